/**
 * Sockets that systemd opened for us and passed on (sd_listen_fds(3)): descriptors from 3 upwards, counted by LISTEN_FDS,
 * named by LISTEN_FDNAMES, meant for the process LISTEN_PID.
 */
import type { Fd, Kernel } from '../engine/kernel/kernel.ts';

/** Number of the first one. */
const FIRST_FD = 3;
/** What systemd calls a descriptor without a name. */
const UNNAMED = 'unknown';
/** A unit has a handful of sockets, and what it had kept (keeping.ts); a larger count is nonsense. */
const MAX_SOCKETS = 65_536;

/** One socket that was passed on. */
export interface InheritedSocket {
  readonly fd: number;
  /** `FileDescriptorName=` of the socket unit; by default the unit's name. */
  readonly name: string;
}

/**
 * Takes the sockets over: marks them close-on-exec and takes the variables out of `env`, so that neither descriptors nor
 * words reach a program started from here. Empty when there are none, or when they are another process's.
 */
export function takeInheritedSockets(
  env: NodeJS.ProcessEnv,
  pid: number,
  kernel: Pick<Kernel, 'sockets'>,
): readonly InheritedSocket[] {
  const { LISTEN_PID: owner, LISTEN_FDS: countText, LISTEN_FDNAMES: namesText } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_PIDFDID', 'LISTEN_FDS', 'LISTEN_FDNAMES'])
    Reflect.deleteProperty(env, name);
  const count = Number(countText ?? '');
  if (Number(owner ?? '') !== pid || !Number.isInteger(count) || count < 1 || count > MAX_SOCKETS) return [];
  const names = namesText?.split(':') ?? [];
  return Array.from({ length: count }, (_, index) => {
    const fd = FIRST_FD + index;
    kernel.sockets.closeOnExec(fd as Fd);
    return { fd, name: names[index] ?? UNNAMED };
  });
}
