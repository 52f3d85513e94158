import type { LogDriver, ReadableLogDriver } from '../logging/driver.ts';
import type { Container } from './container.ts';
import { logReadingUnsupported } from './errors.ts';
import { logDriverNamed, type Room } from './room.ts';
import { isLive } from './state.ts';
import type { LogsOptions, LogsView } from './types.ts';

/** Reads a container's log; `follow` ends with the container, not with a restart by policy. */
export function logs(room: Room, ref: string, options: LogsOptions): LogsView {
  const container = room.registry.resolve(ref);
  const { stdout, stderr, tail, since, until, signal } = options;
  const runs = isLive(container.state) || container.state.status === 'restarting';
  const driver = readableDriver(room, container);
  return {
    terminal: container.document.spec.terminal,
    batches: driver.read(logOf(container), {
      stdout,
      stderr,
      tail,
      since,
      until,
      follow: options.follow && runs ? container.ended.signal : null,
      signal,
    }),
  };
}

/** Rotates the logs of everything that runs, where they are over their bound. */
export async function rotateLogs(room: Room): Promise<void> {
  for (const container of room.registry.all()) {
    const { task, document, logPath } = container;
    const driver = room.logDrivers.get(document.logDriver);
    if (task === null || logPath === null || driver === undefined || !isReadable(driver)) continue;
    await driver.rotate(logOf(container), document.logOptions, () => task.reopenLog());
  }
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
