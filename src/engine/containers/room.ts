import { KeyedLock } from '../../base/keyed-lock.ts';
import { InvalidArgumentError } from '../../base/errors.ts';
import type { LogDriver } from '../logging/driver.ts';
import { LogRotation } from '../logging/rotation.ts';
import type { OciRuntime } from '../runtime/runtime.ts';
import type { Task } from '../runtime/monitor.ts';
import { createContainerRows, type ContainerRows } from '../state/containers.ts';
import { Changes } from './changes.ts';
import { Container } from './container.ts';
import { pathsOf, type ContainersDependencies, type ContainersOptions } from './options.ts';
import type { ContainerRecord } from './record.ts';
import { Registry } from './registry.ts';

/** What every verb works with: the dependencies, the containers, and the few things they share. */
export interface Room extends ContainersDependencies {
  /** Replaced as a whole when the daemon is reconfigured. */
  options: ContainersOptions;
  readonly rows: ContainerRows;
  readonly registry: Registry;
  readonly changes: Changes;
  /** Serialises the first filling of one volume. */
  readonly volumeLock: KeyedLock<string>;
  readonly logRotation: LogRotation;
  /** True once the daemon is on its way out: no restarts any more. */
  closing: boolean;
  /** Puts a process's end into its container's mailbox, whenever it comes. Set by the door. */
  watchExit(container: Container, task: Task): void;
}

export function createRoom(
  dependencies: ContainersDependencies,
  options: ContainersOptions,
  watchExit: (room: Room, container: Container, task: Task) => void,
): Room {
  const changes = new Changes();
  const room: Room = {
    ...dependencies,
    options,
    rows: createContainerRows(dependencies.db),
    registry: new Registry((change) => changes.tell(change)),
    changes,
    volumeLock: new KeyedLock(),
    logRotation: new LogRotation(dependencies.clock, dependencies.logger),
    closing: false,
    watchExit: (container, task) => watchExit(room, container, task),
  };
  return room;
}

/** Makes the actor for a record. */
export function actorOf(room: Room, record: ContainerRecord): Container {
  const paths = pathsOf(room.options, record.id);
  const driver = room.logDrivers.get(record.document.logDriver);
  return new Container(record, {
    rows: room.rows,
    paths,
    logPath: driver?.open(record.id, paths.directory)?.path ?? null,
    changed: () => {
      // Not before it is there for others: a create may still be taken back.
      if (room.registry.get(record.id) !== null) room.changes.tell({ kind: 'changed', containerId: record.id });
    },
  });
}

/** Publishes a container's event with Docker's attributes: labels, image, name, and `more`. */
export function publish(
  room: Room,
  container: Container,
  action: string,
  more: Readonly<Record<string, string>> = {},
): void {
  const { spec } = container.document;
  room.events.publish({
    type: 'container',
    action,
    actorId: container.id,
    attributes: { ...spec.labels, image: spec.image, name: container.name, ...more },
  });
}

/** Tells of each volume that a container's process gets (`mount`) or has given back (`unmount`). */
export function publishVolumes(room: Room, { id, document }: Container, action: 'mount' | 'unmount'): void {
  for (const { kind, name, driver, destination, readOnly, propagation } of document.mounts) {
    if (kind !== 'volume' || name === null) continue;
    const where = { destination, propagation, 'read/write': String(!readOnly) };
    room.events.publish({
      type: 'volume',
      action,
      actorId: name,
      attributes: { container: id, driver: driver ?? '', ...(action === 'mount' ? where : {}) },
    });
  }
}

/** The runtime by name. InvalidArgumentError in Docker's words. */
export function runtimeNamed(room: Room, name: string): OciRuntime {
  const runtime = room.runtimes.get(name);
  if (runtime === undefined) throw new InvalidArgumentError(`unknown or invalid runtime name: ${name}`);
  return runtime;
}

/** The log driver by name. InvalidArgumentError in Docker's words. */
export function logDriverNamed(room: Room, name: string): LogDriver {
  const driver = room.logDrivers.get(name);
  if (driver === undefined)
    throw new InvalidArgumentError(`error looking up logging plugin ${name}: plugin "${name}" not found`);
  return driver;
}
