/**
 * A firewall manager of the host (firewalld), as the network room sees it. Its interfaces belong to zones; what it does
 * not know of it may drop, and its reload throws away what others put into its own tables.
 *
 * Story: at start the room asks `isRunning()`, gives each bridge to a zone by `addInterface`, and listens with
 * `onReloaded`: a reload, or a firewalld that has just come, calls the listener, and the room puts everything in place
 * again (`Networks.reassert`).
 */
export interface HostFirewall {
  /** Whether it answers now. Never throws. */
  isRunning(): Promise<boolean>;
  /**
   * Puts an interface into a zone (null: Docker's own zone, made with its policy when missing), whichever it was in before.
   * Idempotent. NotFoundError when the zone does not exist.
   */
  addInterface(interfaceName: string, zone: string | null): Promise<void>;
  /** Takes it out of any zone; idempotent. */
  removeInterface(interfaceName: string): Promise<void>;
  /** The zone an interface is in now; null: none, or nothing runs. */
  zoneOf(interfaceName: string): Promise<string | null>;
  /** Calls `listener` after each reload, and when the manager has come or gone. Dispose to stop. */
  onReloaded(listener: () => void): Disposable;
}
