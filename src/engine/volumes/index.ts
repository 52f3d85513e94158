/**
 * The volumes room: named directories that outlive containers, and who uses them. It calls the state file and its
 * drivers; which container mounts what where is the containers room's business.
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { ConflictError, EngineError, InvalidArgumentError, NotFoundError } from '../../base/errors.ts';
import type { ContainerId } from '../../base/ids.ts';
import { KeyedLock } from '../../base/keyed-lock.ts';
import type { Events } from '../events/types.ts';
import type { Database } from '../state/database.ts';
import { VolumeRepository, type StoredVolume } from '../state/volumes.ts';
import { importContent } from './import-content.ts';
import type { VolumeContents, VolumeDriver, VolumeRecord, Volumes } from './driver.ts';

/** What the room is given to work with. */
export interface VolumesDependencies {
  readonly database: Database;
  readonly clock: Clock;
  readonly events: Pick<Events, 'publish'>;
  /** By name; `local` is the default. */
  readonly drivers: ReadonlyMap<string, VolumeDriver>;
  readonly contents: VolumeContents;
}

const DEFAULT_DRIVER = 'local';
/** Bytes of randomness in the name of an anonymous volume: 64 hex digits, as Docker's. */
const ANONYMOUS_NAME_BYTES = 32;
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** Makes the room. */
export function createVolumes({ database, clock, events, drivers, contents }: VolumesDependencies): Volumes {
  const repository = new VolumeRepository(database);
  const lock = new KeyedLock<string>();

  const publish = (action: string, volume: VolumeRecord): void => {
    events.publish({ type: 'volume', action, actorId: volume.name, attributes: { driver: volume.driver } });
  };
  const driverOf = (name: string): VolumeDriver => {
    const driver = drivers.get(name);
    if (driver === undefined) throw noSuchDriver(name);
    return driver;
  };
  const find = (name: string): VolumeRecord | null => {
    const stored = repository.get(name);
    return stored === null ? null : recordOf(stored);
  };
  const get = (name: string): VolumeRecord => {
    const volume = find(name);
    if (volume === null) throw new NotFoundError(`get ${name}: no such volume`);
    return volume;
  };

  const usersOf = (name: string): readonly ContainerId[] => repository.usersOf(name);

  return {
    list: () => repository.list().map(recordOf),
    get,
    async create(request) {
      const name = request.name === null || request.name === '' ? anonymousName() : request.name;
      const driver = chosenDriver(name, request, driverOf);
      return lock.hold(name, async () => {
        const existing = find(name);
        if (existing !== null) return sameDriver(existing, driver);
        const volume: VolumeRecord = {
          name,
          driver: driver.name,
          createdAt: clock.now(),
          mountPoint: await driver.create(name),
          labels: request.labels,
          options: request.options,
          anonymous: request.anonymous === true,
        };
        repository.insert(storedOf(volume));
        publish('create', volume);
        return volume;
      });
    },
    async remove(name, { force }) {
      await lock.hold(name, async () => {
        const volume = find(name);
        if (volume === null && force) return;
        if (volume === null) throw new NotFoundError(`get ${name}: no such volume`);
        const users = repository.usersOf(name);
        if (users.length > 0) throw new ConflictError(`remove ${name}: volume is in use - [${users.join(', ')}]`);
        // The row goes last: a daemon killed in between finds the volume again and can remove it again.
        await driverOf(volume.driver).remove(volume);
        repository.delete(name);
        publish('destroy', volume);
      });
    },
    hold: (containerId, names) => repository.hold(containerId, names),
    release: (containerId) => repository.release(containerId),
    usersOf,
    export: (name) => contents.pack(get(name).mountPoint),
    import: (name, tar, options) => importContent({ contents, lock, get, usersOf }, name, tar, options),
    usage: async (name) => contents.measure(get(name).mountPoint),
    mount: (name) => {
      const volume = get(name);
      return driverOf(volume.driver).mount(volume);
    },
  };
}

/** The driver of a new volume, once name and options are fit for it. */
function chosenDriver(
  name: string,
  request: Parameters<Volumes['create']>[0],
  driverOf: (name: string) => VolumeDriver,
): VolumeDriver {
  return inCreateOf(name, () => {
    const chosen = driverOf(request.driver === null || request.driver === '' ? DEFAULT_DRIVER : request.driver);
    refuseBadName(name);
    chosen.validate(request.options);
    return chosen;
  });
}

function recordOf({ createdAt, document }: StoredVolume): VolumeRecord {
  return { ...(JSON.parse(document) as Omit<VolumeRecord, 'createdAt'>), createdAt };
}

function storedOf({ createdAt, ...rest }: VolumeRecord): StoredVolume {
  return { name: rest.name, createdAt, document: JSON.stringify(rest) };
}

function anonymousName(): string {
  return randomBytes(ANONYMOUS_NAME_BYTES).toString('hex');
}

/** Docker names the volume in front of whatever is wrong with a request. */
function inCreateOf<T>(name: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof EngineError) error.message = `create ${name}: ${error.message}`;
    throw error;
  }
}

function refuseBadName(name: string): void {
  if (name.length === 1) {
    throw new InvalidArgumentError('volume name is too short, names should be at least two alphanumeric characters');
  }
  if (!NAME.test(name)) {
    throw new InvalidArgumentError(
      `"${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  }
}

function noSuchDriver(name: string): NotFoundError {
  return new NotFoundError(`error looking up volume plugin ${name}: plugin "${name}" not found`);
}

function sameDriver(volume: VolumeRecord, driver: VolumeDriver): VolumeRecord {
  if (volume.driver === driver.name) return volume;
  throw new ConflictError(
    `create ${volume.name}: conflict: volume ${volume.name} already exists with driver ${volume.driver}`,
  );
}
