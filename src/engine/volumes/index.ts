/**
 * The volumes room: named directories that outlive containers, and who uses them. It calls the state file and its
 * drivers; which container mounts what where is the containers room's business.
 */
import { existsSync } from 'node:fs';
import { Readable } from 'node:stream';
import type { Clock } from '../../base/clock.ts';
import { ConflictError, NotFoundError } from '../../base/errors.ts';
import type { ContainerId } from '../../base/ids.ts';
import { KeyedLock } from '../../base/keyed-lock.ts';
import type { Logger } from '../../base/logger.ts';
import type { Events } from '../events/types.ts';
import type { Database } from '../state/database.ts';
import { VolumeRepository } from '../state/volumes.ts';
import { importContent } from './import-content.ts';
import type { MountedVolume, VolumeContents, VolumeDriver, VolumeMounter, VolumeRecord, Volumes } from './driver.ts';
import { MountsInUse } from './mounts-in-use.ts';
import { anonymousName, chosenDriver, isVolumeName, noSuchDriver, recordOf, sameDriver, storedOf } from './record.ts';

/** What the room is given to work with. */
export interface VolumesDependencies {
  readonly database: Database;
  readonly clock: Clock;
  readonly events: Pick<Events, 'publish'>;
  readonly logger: Pick<Logger, 'warn' | 'info'>;
  /** By name; `local` is the default. */
  readonly drivers: ReadonlyMap<string, VolumeDriver>;
  readonly contents: VolumeContents;
  readonly mounter: VolumeMounter;
}

/** By this label Docker's clients know a volume that nobody gave a name. */
const ANONYMOUS_LABEL = 'com.docker.volume.anonymous';

/** Makes the room. */
export function createVolumes(dependencies: VolumesDependencies): Volumes {
  return new VolumesRoom(dependencies);
}

class VolumesRoom implements Volumes {
  readonly #dependencies: VolumesDependencies;
  readonly #repository: VolumeRepository;
  readonly #mounts: MountsInUse;
  readonly #lock = new KeyedLock<string>();
  /** Counts under way, by volume: whoever asks meanwhile gets the same. */
  readonly #measuring = new Map<string, Promise<number>>();

  constructor(dependencies: VolumesDependencies) {
    this.#dependencies = dependencies;
    this.#repository = new VolumeRepository(dependencies.database);
    this.#mounts = new MountsInUse(dependencies.mounter, dependencies.logger);
  }

  list(): readonly VolumeRecord[] {
    return this.#repository.list().map(recordOf);
  }

  get(name: string): VolumeRecord {
    const volume = this.#find(name);
    if (volume === null) throw new NotFoundError(`get ${name}: no such volume`);
    return volume;
  }

  async create(request: Parameters<Volumes['create']>[0]): Promise<VolumeRecord> {
    const isUnnamed = request.name === null || request.name === '';
    const name = isUnnamed ? anonymousName() : request.name;
    const anonymous = isUnnamed || request.anonymous === true;
    const driver = chosenDriver(name, request, (wanted) => this.#driverNamed(wanted));
    return this.#lock.hold(name, async () => {
      const existing = this.#find(name);
      if (existing !== null) return sameDriver(existing, driver);
      const volume: VolumeRecord = {
        name,
        driver: driver.name,
        createdAt: this.#dependencies.clock.now(),
        mountPoint: driver.mountPointOf(name),
        labels: anonymous ? { ...request.labels, [ANONYMOUS_LABEL]: '' } : request.labels,
        options: request.options,
        anonymous,
      };
      // The row comes first: what a daemon killed in between has made is known by it.
      this.#repository.insert(storedOf(volume));
      try {
        await driver.create(name, request.options);
      } catch (error) {
        this.#repository.delete(name);
        throw error;
      }
      this.#publish('create', volume);
      return volume;
    });
  }

  async remove(name: string, { force }: { readonly force: boolean }): Promise<void> {
    await this.#lock.hold(name, async () => {
      const volume = this.#find(name);
      if (volume === null && force) return;
      if (volume === null) throw new NotFoundError(`get ${name}: no such volume`);
      const users = this.#repository.usersOf(name);
      if (users.length > 0) throw new ConflictError(`remove ${name}: volume is in use - [${users.join(', ')}]`);
      const driver = this.#driverNamed(volume.driver);
      if (driver.hasSuperblock(volume)) await this.#mounts.release(volume);
      this.#mounts.assertFree(volume);
      // The row goes last: a daemon killed in between finds the volume again and can remove it again.
      await driver.remove(volume);
      this.#repository.delete(name);
      this.#publish('destroy', volume);
    });
  }

  hold(containerId: ContainerId, names: readonly string[]): void {
    this.#repository.hold(containerId, names);
  }

  release(containerId: ContainerId): void {
    this.#repository.release(containerId);
  }

  usersOf(name: string): readonly ContainerId[] {
    return this.#repository.usersOf(name);
  }

  export(name: string): Readable {
    const volume = this.get(name);
    if (this.#driverNamed(volume.driver).hasSuperblock(volume)) return Readable.from(this.#packed(name));
    return this.#dependencies.contents.pack(volume.mountPoint);
  }

  async import(name: string, tar: Readable, options: Parameters<Volumes['import']>[2]): Promise<void> {
    const { contents } = this.#dependencies;
    const get = (): VolumeRecord => this.get(name);
    await this.#using(name, async () => {
      await importContent({ contents, lock: this.#lock, get, usersOf: () => this.usersOf(name) }, name, tar, options);
    });
  }

  async usage(name: string): Promise<number> {
    const { mountPoint } = this.get(name);
    let counting = this.#measuring.get(name);
    if (counting === undefined) {
      counting = this.#dependencies.contents.measure(mountPoint).finally(() => this.#measuring.delete(name));
      this.#measuring.set(name, counting);
    }
    return counting;
  }

  async mount(name: string, user: ContainerId): Promise<MountedVolume> {
    const volume = await this.#use(name, user);
    const driver = this.#driverNamed(volume.driver);
    return {
      mount: { type: 'bind', source: volume.mountPoint, options: ['rbind'] },
      keepsOwner: driver.keepsOwner(volume),
      isMounted: driver.hasSuperblock(volume),
    };
  }

  async unmount(name: string, user: ContainerId): Promise<void> {
    await this.#leave(name, user);
  }

  async adopt(): Promise<void> {
    const { database, drivers, logger } = this.#dependencies;
    for (const driver of drivers.values()) {
      const known = new Set(this.list().map(({ name }) => name));
      const found = (await driver.found()).filter(({ name }) => !known.has(name) && isVolumeName(name));
      if (found.length === 0) continue;
      database.transaction(() => {
        for (const one of found) {
          // Nobody knows what it is for: it is no anonymous one, which a prune would take.
          const rest = { driver: driver.name, mountPoint: driver.mountPointOf(one.name), labels: {}, anonymous: false };
          this.#repository.insert(storedOf({ ...one, ...rest }));
        }
      });
      logger.info('volumes were found on disk', { volumes: found.map(({ name }) => name).join(' ') });
    }
  }

  async settle(running: ReadonlyMap<ContainerId, readonly string[]>): Promise<void> {
    for (const [user, names] of running) for (const name of names) this.#mounts.adopt(name, user);
    for (const volume of this.list()) {
      if (!this.#driverNamed(volume.driver).hasSuperblock(volume)) continue;
      await this.#lock.hold(volume.name, async () => this.#mounts.release(volume));
    }
  }

  #find(name: string): VolumeRecord | null {
    const stored = this.#repository.get(name);
    return stored === null ? null : recordOf(stored);
  }

  #driverNamed(name: string): VolumeDriver {
    const driver = this.#dependencies.drivers.get(name);
    if (driver === undefined) throw noSuchDriver(name);
    return driver;
  }

  #publish(action: string, { name, driver }: VolumeRecord): void {
    this.#dependencies.events.publish({ type: 'volume', action, actorId: name, attributes: { driver } });
  }

  async #use(name: string, user: string): Promise<VolumeRecord> {
    return this.#lock.hold(name, async () => {
      const volume = this.get(name);
      const driver = this.#driverNamed(volume.driver);
      // Somebody may have deleted the directory by hand; a container must then get an empty volume, not an error.
      if (!existsSync(volume.mountPoint)) await driver.create(name, volume.options);
      if (driver.hasSuperblock(volume)) await this.#mounts.use(volume, async () => driver.superblock(volume), user);
      return volume;
    });
  }

  async #leave(name: string, user: string): Promise<void> {
    if (!this.#mounts.isUser(name, user)) return;
    await this.#lock.hold(name, async () => {
      const volume = this.#find(name);
      if (volume !== null) await this.#mounts.leave(volume, user);
    });
  }

  /** With its content in place for as long as `job` takes. */
  async #using(name: string, job: (volume: VolumeRecord) => Promise<void>): Promise<void> {
    const user = anonymousName();
    const volume = await this.#use(name, user);
    try {
      await job(volume);
    } finally {
      await this.#leave(name, user);
    }
  }

  async *#packed(name: string): AsyncGenerator<Buffer> {
    const user = anonymousName();
    const { mountPoint } = await this.#use(name, user);
    try {
      for await (const chunk of this.#dependencies.contents.pack(mountPoint)) yield chunk as Buffer;
    } finally {
      await this.#leave(name, user);
    }
  }
}
