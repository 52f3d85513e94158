import { Gate } from '../../base/gate.ts';
import { KeyedLock } from '../../base/keyed-lock.ts';
import type { ContainerId } from '../../base/ids.ts';
import { InvalidArgumentError } from '../../base/errors.ts';
import { shippedPathOf, type LogDriver } from '../logging/driver.ts';
import { LogRotation } from '../logging/rotation.ts';
import type { OciRuntime } from '../runtime/runtime.ts';
import type { Task } from '../runtime/monitor.ts';
import { createContainerSizeRows } from '../state/container-sizes.ts';
import { createContainerRows, type ContainerRows } from '../state/containers.ts';
import { createUsernsLeases, type UsernsLeases } from '../state/userns-leases.ts';
import { Changes } from './images/changes.ts';
import { Container } from './container.ts';
import { pathsOf, type ContainersDependencies, type ContainersOptions } from './options.ts';
import type { ContainerRecord } from './record.ts';
import { Registry } from './registry.ts';
import { KnownSizes } from './known-sizes.ts';
import { usageOf } from './usage/sample.ts';
import { UsageSampler } from './usage/sampler.ts';
import type { HealthView } from './types.ts';

/** So many probes of health checks are begun at a time; how many run is for the checks to say. */
const PROBES_BEGUN_AT_A_TIME = 4;

/** What every verb works with: the dependencies, the containers, and the few things they share. */
export interface Room extends ContainersDependencies {
  /** Replaced as a whole when the daemon is reconfigured. */
  options: ContainersOptions;
  readonly rows: ContainerRows;
  readonly usernsLeases: UsernsLeases;
  readonly registry: Registry;
  readonly changes: Changes;
  /** Serialises the first filling of one volume. */
  readonly volumeLock: KeyedLock<string>;
  /** One commit of a container at a time. */
  readonly captureLock: KeyedLock<ContainerId>;
  readonly logRotation: LogRotation;
  readonly knownSizes: KnownSizes;
  readonly sampler: UsageSampler;
  /** Probes of health checks pass it one by one to begin. */
  readonly probeGate: Gate;
  /** True once the daemon is on its way out: no restarts any more. */
  closing: boolean;
  /** Aborted then, for what waits. */
  readonly over: AbortController;
  /** Puts a process's end into its container's mailbox, whenever it comes. Set by the door. */
  watchExit(container: Container, task: Task): void;
  /** Does what a container's labels ask for, after each probe of its health. Set by the door. */
  actOnHealth(container: Container, health: HealthView, hasChanged: boolean): void;
}

/** What the room's files need of each other in a circle: the door closes it. */
export interface RoomVerbs {
  readonly watchExit: (room: Room, container: Container, task: Task) => void;
  readonly actOnHealth: (room: Room, container: Container, health: HealthView, hasChanged: boolean) => void;
}

export function createRoom(dependencies: ContainersDependencies, options: ContainersOptions, verbs: RoomVerbs): Room {
  const changes = new Changes();
  const room: Room = {
    ...dependencies,
    options,
    rows: createContainerRows(dependencies.db),
    usernsLeases: createUsernsLeases(dependencies.db),
    registry: new Registry((change) => changes.tell(change)),
    changes,
    volumeLock: new KeyedLock(),
    captureLock: new KeyedLock(),
    sampler: new UsageSampler(dependencies.clock, (container) => usageOf(room, container)),
    knownSizes: new KnownSizes(createContainerSizeRows(dependencies.db), dependencies),
    logRotation: new LogRotation(dependencies.clock, dependencies.logger),
    closing: false,
    over: new AbortController(),
    probeGate: new Gate(PROBES_BEGUN_AT_A_TIME),
    watchExit: (container, task) => verbs.watchExit(room, container, task),
    actOnHealth: (container, health, hasChanged) => verbs.actOnHealth(room, container, health, hasChanged),
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
    shippedPath: driver === undefined ? null : shippedPathOf(driver, record.id, paths.directory),
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
  if (driver === undefined) {
    throw new InvalidArgumentError(`error looking up logging plugin ${name}: plugin "${name}" not found`);
  }
  return driver;
}
