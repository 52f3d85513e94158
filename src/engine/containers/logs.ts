import type { JournalEntry, JournalLogDriver, LogDriver, ReadableLogDriver } from '../logging/driver.ts';
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

/** What the monitor is to write beside each line in the journal; null with other log drivers. */
export function journalEntryOf(room: Room, container: Container): JournalEntry | null {
  const { id, name, document } = container;
  const driver = logDriverNamed(room, document.logDriver);
  if (!writesJournal(driver)) return null;
  const { spec, imageId, path, args } = document;
  const { image: imageName, labels, env } = spec;
  return driver.journalEntry(
    { id, name, imageId, imageName, command: [path, ...args], labels, env },
    document.logOptions,
  );
}

/** What of a container's log options has no effect on this host. */
export function logWarnings(
  room: Room,
  driverName: string,
  options: Readonly<Record<string, string>>,
): readonly string[] {
  const driver = logDriverNamed(room, driverName);
  return writesJournal(driver) ? driver.warnings(options) : [];
}

function readableDriver(room: Room, container: Container): ReadableLogDriver {
  const driver = logDriverNamed(room, container.document.logDriver);
  if (!isReadable(driver) || container.logPath === null) throw logReadingUnsupported();
  return driver;
}

function isReadable(driver: LogDriver): driver is ReadableLogDriver {
  return 'read' in driver;
}

function writesJournal(driver: LogDriver): driver is JournalLogDriver {
  return 'journalEntry' in driver;
}

function logOf(container: Container): { readonly containerId: Container['id']; readonly path: string } {
  return { containerId: container.id, path: container.logPath ?? '' };
}
