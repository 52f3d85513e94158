import type { LogDriver, ReadableLogDriver } from '../logging/driver.ts';
import type { Task } from '../runtime/monitor.ts';
import type { Container } from './container.ts';
import { logReadingUnsupported } from './errors.ts';
import { logDriverNamed, type Room } from './room.ts';
import { isLive } from './state.ts';
import type { LogsOptions, LogsView } from './types.ts';

/** Reads a container's log; `follow` ends with the container, not with a restart by policy. */
export function logs(room: Room, ref: string, options: LogsOptions): LogsView {
  const container = room.registry.resolve(ref);
  const { stdout, stderr, tail, after = null, since, until, signal } = options;
  const runs = isLive(container.state) || container.state.status === 'restarting';
  const driver = readableDriver(room, container);
  return {
    terminal: container.document.spec.terminal,
    batches: driver.read(logOf(container), {
      stdout,
      stderr,
      tail,
      after,
      since,
      until,
      follow: options.follow && runs ? container.ended.signal : null,
      signal,
    }),
  };
}

/** Keeps the log of a running container within its bounds until the result is disposed of. */
export function boundLog(room: Room, container: Container, task: Task): Disposable | null {
  const { document, logPath } = container;
  const driver = room.logDrivers.get(document.logDriver);
  if (logPath === null || driver === undefined || !isReadable(driver)) return null;
  return room.logRotation.keep({
    log: logOf(container),
    driver,
    options: document.logOptions,
    reopen: () => task.reopenLog(),
  });
}

function readableDriver(room: Room, container: Container): ReadableLogDriver {
  const driver = logDriverNamed(room, container.document.logDriver);
  if (!isReadable(driver) || container.logPath === null) throw logReadingUnsupported();
  return driver;
}

function isReadable(driver: LogDriver): driver is ReadableLogDriver {
  return 'read' in driver;
}

function logOf(container: Container): { readonly containerId: Container['id']; readonly path: string } {
  return { containerId: container.id, path: container.logPath ?? '' };
}
