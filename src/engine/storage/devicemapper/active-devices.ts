import type { Clock } from '../../../base/clock.ts';
import { errnoCodeOf } from '../../../base/errors.ts';
import { KeyedLock } from '../../../base/keyed-lock.ts';
import type { ThinDevice } from './thin-device.ts';
import type { ThinPool } from './thin-pool.ts';

/** Options of {@link ActiveDevices}. */
export interface ActiveDevicesOptions {
  readonly pool: ThinPool;
  /** What the device mapper's names begin with; no other engine's do. */
  readonly prefix: string;
  /** Whether a device that is still open when nobody holds it goes by itself later. */
  readonly deferredRemoval: boolean;
}

/** A second in all. */
const IDLE_TRIES = 20;
const IDLE_WAIT_MS = 50;

interface Held {
  readonly path: string;
  /** How many holds each snapshot has: views hold the device of their parent. */
  readonly holds: Map<string, number>;
}

/**
 * Which thin devices the kernel has block devices of, and for whom. A device is named by its id, which the pool does not
 * give out again while the device is there: a snapshot may change its name while it is mounted, and one that could not be
 * deleted yet is in nobody's way.
 */
export class ActiveDevices {
  readonly #options: ActiveDevicesOptions;
  readonly #locks = new KeyedLock<number>();
  readonly #held = new Map<number, Held>();

  constructor(options: ActiveDevicesOptions) {
    this.#options = options;
  }

  /** The device mapper's name for a device. */
  nameOf(deviceId: number): string {
    return `${this.#options.prefix}${String(deviceId)}`;
  }

  /** Takes a hold for a snapshot: the path of the block device. */
  async hold(key: string, { deviceId, sizeBytes }: ThinDevice): Promise<string> {
    return this.#locks.hold(deviceId, async () => {
      const held = this.#held.get(deviceId) ?? {
        path: await this.#options.pool.activate(deviceId, this.nameOf(deviceId), sizeBytes),
        holds: new Map<string, number>(),
      };
      held.holds.set(key, (held.holds.get(key) ?? 0) + 1);
      this.#held.set(deviceId, held);
      return held.path;
    });
  }

  /** Ends one hold of a snapshot; with the last one of all, or where there is none, the device goes. */
  async release(key: string, deviceId: number): Promise<void> {
    await this.#locks.hold(deviceId, async () => {
      const holds = this.#held.get(deviceId)?.holds;
      const count = holds?.get(key) ?? 0;
      if (count > 1) holds?.set(key, count - 1);
      else holds?.delete(key);
      await this.#dropIdle(deviceId);
    });
  }

  /** Ends all holds of a snapshot on a device. */
  async end(key: string, deviceId: number): Promise<void> {
    await this.#locks.hold(deviceId, async () => {
      this.#held.get(deviceId)?.holds.delete(key);
      await this.#dropIdle(deviceId);
    });
  }

  /**
   * Ends all holds on a device, makes it go, and runs `job` while nobody can take one. False when either is refused
   * because the device is open (EBUSY).
   */
  async without(deviceId: number, options: { readonly deferred: boolean }, job: () => Promise<void>): Promise<boolean> {
    return this.#locks.hold(deviceId, async () => {
      this.#held.delete(deviceId);
      try {
        await this.#options.pool.deactivate(this.nameOf(deviceId), options);
        await job();
        return true;
      } catch (error) {
        if (errnoCodeOf(error) === 'EBUSY') return false;
        throw error;
      }
    });
  }

  /** Runs `job` with the name under which a device is active now, or null, while that does not change by us. */
  async during<T>(deviceId: number, job: (name: string | null) => Promise<T>): Promise<T> {
    const name = this.nameOf(deviceId);
    return this.#locks.hold(deviceId, async () => {
      const isActive = (await this.#options.pool.openCount(name)) !== null;
      return job(isActive ? name : null);
    });
  }

  /** Waits a while for those who have it open; false when somebody still has. */
  async becomesIdle(deviceId: number, clock: Clock): Promise<boolean> {
    for (let tries = 0; tries < IDLE_TRIES; tries += 1) {
      if (((await this.#options.pool.openCount(this.nameOf(deviceId))) ?? 0) === 0) return true;
      await clock.sleep(IDLE_WAIT_MS);
    }
    return false;
  }

  /** At start-up: what no one has open goes; mounted devices are running containers'. */
  async sweep(): Promise<void> {
    const { pool, prefix } = this.#options;
    for (const name of await pool.active(prefix)) {
      if (!/^\d+$/.test(name.slice(prefix.length))) continue;
      if ((await pool.openCount(name)) === 0) await this.#switchOff(name);
    }
  }

  async #dropIdle(deviceId: number): Promise<void> {
    const held = this.#held.get(deviceId);
    if (held !== undefined && held.holds.size > 0) return;
    this.#held.delete(deviceId);
    await this.#switchOff(this.nameOf(deviceId));
  }

  async #switchOff(name: string): Promise<void> {
    const { pool, deferredRemoval } = this.#options;
    try {
      await pool.deactivate(name, { deferred: deferredRemoval });
    } catch (error) {
      // It is mounted elsewhere, a container's while its tree was read: the release of that one comes.
      if (errnoCodeOf(error) !== 'EBUSY') throw error;
    }
  }
}
