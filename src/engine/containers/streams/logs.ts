import { InternalError, messageOf } from '../../../base/errors.ts';
import {
  isShipping,
  type JournalEntry,
  type JournalLogDriver,
  type LogDriver,
  type LoggedContainer,
  type ReadableLogDriver,
} from '../../logging/driver.ts';
import type { Shipment } from '../../logging/sink.ts';
import type { Task } from '../../runtime/monitor.ts';
import type { Container } from '../container.ts';
import { logReadingUnsupported } from '../errors.ts';
import { logDriverNamed, type Room } from '../room.ts';
import { isLive } from '../state.ts';
import type { LogsOptions, LogsView } from '../types.ts';

/** How far the log was shipped; beside it. */
const POSITION_FILE = 'log-position';
/** How long a removal waits for a receiver that takes lines. */
const LAST_LINES_MS = 5000;

/**
 * Reads a container's log; `follow` ends with the container, not with a restart by policy, or in place of that when `end`
 * is aborted: what was written before is still delivered.
 */
export function logs(room: Room, ref: string, options: LogsOptions, end: AbortSignal | null = null): LogsView {
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
      follow: options.follow && runs ? (end ?? container.ended.signal) : null,
      signal,
    }),
  };
}

/** Keeps the log of a running container within its bounds, and ships it, until the result is disposed of at its end. */
export function boundLog(room: Room, container: Container, task: Task): Disposable | null {
  const { id, document, logPath } = container;
  const driver = room.logDrivers.get(document.logDriver);
  if (logPath === null || driver === undefined || !isReadable(driver)) return null;
  const bounded = room.logRotation.keep({
    log: logOf(container),
    driver,
    options: document.logOptions,
    reopen: async () => {
      await task.reopenLog();
      room.logShipping.rotated(id);
    },
  });
  const shipment = shipmentOf(room, container);
  if (shipment !== null) room.logShipping.ship(shipment);
  return {
    [Symbol.dispose]: () => {
      bounded[Symbol.dispose]();
      if (shipment === null) return;
      // A file that goes with its container need not be finished.
      if (document.spec.host.autoRemove && container.shippedPath !== null) void room.logShipping.forget(id);
      else room.logShipping.end(shipment);
    },
  };
}

/** Ships what is left of the log of a container that ended while no engine ran. */
export function resumeLog(room: Room, container: Container): void {
  const shipment = container.live.hasStarted ? shipmentOf(room, container) : null;
  if (shipment !== null) room.logShipping.end(shipment);
}

/**
 * Before a container's files go: what is on its way to another place gets there, if that can be had soon. Nobody writes
 * or moves files in its directory any more.
 */
export async function letGoOfLog(room: Room, { id, logPath, shippedPath }: Container): Promise<void> {
  if (shippedPath === null) await room.logShipping.settled(id, LAST_LINES_MS);
  await room.logShipping.forget(id);
  if (logPath !== null) await room.logRotation.letGo(logPath);
}

/**
 * Makes sure that a container's lines can get where they are to go, and tells what the monitor is to write beside each in
 * the journal (null: nothing). InternalError in Docker's words.
 */
export async function readyLog(room: Room, container: Container): Promise<JournalEntry | null> {
  const { document } = container;
  const driver = logDriverNamed(room, document.logDriver);
  try {
    const logged = loggedContainer(container);
    if (isShipping(driver)) {
      const sink = driver.sink(logged, document.logOptions, container.shippedPath);
      if (sink !== null) await driver.reach(sink, document.logOptions);
    }
    return writesJournal(driver) ? driver.journalEntry(logged, document.logOptions) : null;
  } catch (error) {
    throw new InternalError(
      `failed to create task for container: failed to initialize logging driver: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** What of a container's log options has no effect on this host. */
export function logWarnings(
  room: Room,
  driverName: string,
  options: Readonly<Record<string, string>>,
): readonly string[] {
  const driver = logDriverNamed(room, driverName);
  return isReadable(driver) ? driver.warnings(options) : [];
}

/** Null where nothing is shipped. */
function shipmentOf(room: Room, container: Container): Shipment | null {
  const { id, document, logPath, shippedPath, paths } = container;
  const driver = room.logDrivers.get(document.logDriver);
  if (logPath === null || driver === undefined || !isShipping(driver)) return null;
  try {
    const sink = driver.sink(loggedContainer(container), document.logOptions, shippedPath);
    const positionPath = `${paths.directory}/${POSITION_FILE}`;
    return sink === null ? null : { containerId: id, logPath, positionPath, sink };
  } catch (error) {
    // Good when it was started; its receiver's socket is gone since.
    room.logger.warn('a container’s log cannot be shipped', { container: id, reason: messageOf(error) });
    return null;
  }
}

function loggedContainer({ id, name, createdAt, document }: Container): LoggedContainer {
  const { spec, imageId, path, args } = document;
  const { image: imageName, labels, env } = spec;
  return { id, name, imageId, imageName, command: [path, ...args], createdAt, labels, env };
}

function readableDriver(room: Room, container: Container): ReadableLogDriver {
  const driver = logDriverNamed(room, container.document.logDriver);
  if (!isReadable(driver) || container.logPath === null) throw logReadingUnsupported();
  if (!driver.canRead(container.document.logOptions)) throw logReadingUnsupported();
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
