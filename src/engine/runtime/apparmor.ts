/** AppArmor profiles of containers. The seam; apparmor/ loads the engine's own profile where the host has AppArmor. */
export interface AppArmor {
  /** False where the kernel has none: options about it are then without effect, as with dockerd. */
  readonly isSupported: boolean;
  /**
   * The profile a container is to run under; null without AppArmor. The engine's own is loaded first when it is not
   * there (any more). InternalError when that fails.
   */
  profileFor(request: { readonly privileged: boolean; readonly named: string | null }): Promise<string | null>;
}
