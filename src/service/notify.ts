/**
 * What the service manager is told (sd_notify(3)): one datagram of `KEY=value` lines to NOTIFY_SOCKET. Without that
 * variable nothing is sent.
 */
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { DatagramSocket, Fd, Kernel } from '../engine/kernel/kernel.ts';

/** Words for the service manager. Each call is one message, sent at once; a failure is logged and does no more harm. */
export interface Notifier {
  /** Whether anybody listens. */
  readonly active: boolean;
  /** Start-up is through: recovered and listening. */
  ready(status: string): void;
  /** The line that `systemctl status` shows. */
  status(text: string): void;
  /** A reload begins; `ready` ends it, whatever came of it. */
  reloading(): void;
  stopping(status: string): void;
  /** Alive. */
  watchdog(): void;
  /** Asks for `ms` more, from now, for the start-up or shut-down under way. */
  extendTimeout(ms: number): void;
  /** Has a descriptor kept for the next run, which inherits it under this name. */
  keep(name: string, fd: Fd): void;
  forget(name: string): void;
}

/** Takes NOTIFY_SOCKET out of `env`: conmon and runtimes act upon it as well. */
export function createNotifier(env: NodeJS.ProcessEnv, kernel: Pick<Kernel, 'sockets'>, logger: Logger): Notifier {
  const address = env['NOTIFY_SOCKET'] ?? '';
  Reflect.deleteProperty(env, 'NOTIFY_SOCKET');
  const socket = /^[/@]./.test(address) ? openQuietly(kernel, logger) : null;
  const send = (...lines: readonly string[]): void => {
    if (socket === null) return;
    try {
      socket.send(address, Buffer.from(lines.join('\n')));
    } catch (error) {
      logger.warn('the service manager could not be told', { what: lines[0], reason: messageOf(error) });
    }
  };
  const keep = (name: string, fd: Fd): void => {
    if (socket === null) return;
    try {
      // FDPOLL=0: an error on a socket (ICMP) is none that ends its keeping.
      socket.sendWith(address, Buffer.from(`FDSTORE=1\nFDPOLL=0\nFDNAME=${name}`), fd);
    } catch (error) {
      logger.debug('the service manager could not be given a descriptor', { name, reason: messageOf(error) });
    }
  };
  return {
    active: socket !== null,
    keep,
    forget: (name) => send('FDSTOREREMOVE=1', `FDNAME=${name}`),
    // The wrapper script gives way to us by exec, so that our pid is the unit's; said all the same, as dockerd does.
    ready: (status) => send('READY=1', `MAINPID=${String(process.pid)}`, `STATUS=${oneLine(status)}`),
    status: (text) => send(`STATUS=${oneLine(text)}`),
    reloading: () =>
      send(
        'RELOADING=1',
        `MONOTONIC_USEC=${String(process.hrtime.bigint() / 1000n)}`,
        'STATUS=Reloading configuration',
      ),
    stopping: (status) => send('STOPPING=1', `STATUS=${oneLine(status)}`),
    watchdog: () => send('WATCHDOG=1'),
    extendTimeout: (ms) => send(`EXTEND_TIMEOUT_USEC=${String(ms * 1000)}`),
  };
}

function openQuietly(kernel: Pick<Kernel, 'sockets'>, logger: Logger): DatagramSocket | null {
  try {
    return kernel.sockets.openDatagrams();
  } catch (error) {
    logger.warn('the service manager cannot be told anything', { reason: messageOf(error) });
    return null;
  }
}

/** A line break would begin another assignment. */
function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, '; ');
}
