/**
 * What a storage driver or a volume driver hands back and the kernel or an OCI runtime executes: the lingua franca
 * between storage and execution. Shaped as the runtime-spec's `mounts` entries, less the destination.
 */
export interface Mount {
  /** `overlay`, `bind`, `tmpfs` … */
  readonly type: string;
  /** Device, directory or the type's own word. */
  readonly source: string;
  /** Words as in fstab: `ro`, `rbind`, `lowerdir=…`. */
  readonly options: readonly string[];
}

/** True where mounting and unmounting wait for no disk: a disk's file system has a log to be read and to be written out. */
export function isInstant({ type }: Mount): boolean {
  return type === 'bind' || type === 'overlay';
}
