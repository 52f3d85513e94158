/**
 * systemd, as far as the runtime room needs it; the service fills it in over D-Bus. Where systemd is not PID 1 there is
 * none of this.
 *
 * Vocabulary: a *scope* is a unit of processes that others have started; its *control group* is the path below each
 * hierarchy's mount point where they live.
 *
 * Story, the first container after boot: `controlGroupOf('docker-monitors.scope')` is null, so
 * `startScope({ name, pids: [keeper] })` makes it; each conmon is then written into its control group, without systemd.
 */
export interface Units {
  /** Control group of an active unit; null when there is no such unit, or it is not active. */
  controlGroupOf(unit: string): Promise<string | null>;
  /**
   * Makes a transient scope of these processes and returns its control group, which is there then. ConflictError when
   * the unit exists; UnavailableError when systemd cannot be reached.
   */
  startScope(request: ScopeRequest): Promise<string>;
  /** Changes what `systemctl status` calls a unit, until it ends. NotFoundError when there is no such unit. */
  describe(unit: string, description: string): Promise<void>;
  /**
   * Changes limits of a unit (systemd.resource-control(5)'s names; `INFINITY` for none) until it ends, so that systemd
   * does not put the old ones back. NotFoundError when there is no such unit.
   */
  limit(unit: string, limits: Readonly<Record<string, bigint>>): Promise<void>;
}

/** systemd's word for "no limit". */
export const INFINITY = 2n ** 64n - 1n;

export interface ScopeRequest {
  /** `docker-monitors.scope` */
  readonly name: string;
  readonly description: string;
  /** At least one: a scope without processes ends. */
  readonly pids: readonly number[];
}

/** Where monitors live, so that the end of the daemon's own unit does not reach them. */
export interface MonitorScope {
  /**
   * Moves a process that has just been started, and has no children yet, out of the daemon's control group. Never
   * throws: a monitor that could not be moved still does its work.
   */
  adopt(pid: number): Promise<void>;
}
