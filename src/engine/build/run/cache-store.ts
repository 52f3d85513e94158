import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Timestamp } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/logger.ts';
import type { CacheMountRow, CacheMountTable } from '../../state/cache-mounts.ts';
import { deleteHere } from '../../storage/delete-tree.ts';
import type { TreeMeter } from '../../storage/measuring.ts';
import type { BuildCacheEntry } from '../types.ts';
import type { CacheMounts, HeldCacheMount } from './cache-mounts.ts';
import { choose, Queue, type TurnPlace } from './cache-turns.ts';

/** What keeping cache mounts takes. */
export interface CacheMountGround {
  readonly table: Pick<CacheMountTable, 'all' | 'put' | 'delete'>;
  /** `<data-root>/build/cache-mounts`: one directory each, by its id. */
  readonly directory: string;
  readonly meter: TreeMeter;
  readonly clock: Clock;
  readonly logger: Logger;
}

type Mount = Parameters<CacheMounts['hold']>[0];

/** One directory. */
interface Place extends TurnPlace {
  row: CacheMountRow;
  /** Settles when it holds what it begins with; null: it does. */
  filling: Promise<void> | null;
}

const ID_BYTES = 16;
const ID_LENGTH = 25;
/** Of directories on their way out. */
const DOOMED = '.doomed-';

/**
 * Cache mounts in directories. A directory is there before its row: one without a row was never finished, or is about to
 * go, and the next start takes it away. Nothing is synced: what a power cut takes is made again by the next build.
 */
export class CacheMountStore implements CacheMounts {
  readonly #ground: CacheMountGround;
  readonly #places = new Map<string, Place>();
  readonly #queues = new Map<string, Queue>();

  private constructor(ground: CacheMountGround) {
    this.#ground = ground;
  }

  /** Reads what there is, and takes away what a killed engine left half made or half removed. */
  static async open(ground: CacheMountGround): Promise<CacheMountStore> {
    const store = new CacheMountStore(ground);
    const { table, directory } = ground;
    const found = new Set(existsSync(directory) ? readdirSync(directory) : []);
    for (const row of table.all()) {
      if (found.delete(row.id)) store.#places.set(row.id, { row, heldAs: null, holders: 0, filling: null });
      else table.delete(row.id);
    }
    for (const stray of found) await deleteHere(join(directory, stray));
    return store;
  }

  async hold(mount: Mount, { base, fill, signal }: Parameters<CacheMounts['hold']>[1]): Promise<HeldCacheMount> {
    for (;;) {
      const place = await this.#turn(mount, base, signal);
      try {
        if (place.filling === null && !existsSync(this.#pathOf(place))) place.filling = this.#make(place, mount, fill);
        await place.filling;
        this.#use(place);
      } catch (error) {
        const isMaker = this.#places.get(place.row.id) === place;
        this.#places.delete(place.row.id);
        this.#giveBack(place);
        // Whoever waited for somebody else's filling tries for himself.
        if (isMaker) throw error;
        continue;
      }
      return this.#held(place);
    }
  }

  async list(): Promise<readonly BuildCacheEntry[]> {
    return Promise.resolve([...this.#places.values()].filter(({ row }) => row.uses > 0).map(entryOf));
  }

  async remove(id: string): Promise<boolean> {
    const place = this.#places.get(id);
    if (place?.heldAs !== null) return false;
    const { directory, table } = this.#ground;
    this.#places.delete(id);
    table.delete(id);
    const doomed = join(directory, `${DOOMED}${id}`);
    if (existsSync(join(directory, id))) renameSync(join(directory, id), doomed);
    await deleteHere(doomed);
    return true;
  }

  /** A directory, held from now on. */
  async #turn(mount: Mount, base: string, signal: AbortSignal): Promise<Place> {
    signal.throwIfAborted();
    const key = keyOf({ name: mount.id, base });
    const take = (): Place | null => {
      const mine = [...this.#places.values()].filter(({ row }) => keyOf(row) === key);
      const chosen = choose(mine.toSorted(lastUsedFirst), mount.sharing);
      if (chosen === 'wait') return null;
      const place = chosen === 'make' ? this.#newPlace(mount, base) : chosen;
      place.heldAs = mount.sharing;
      place.holders += 1;
      return place;
    };
    const queue = this.#queues.get(key) ?? new Queue();
    this.#queues.set(key, queue);
    const isNext = queue.isEmpty || mount.sharing === 'private';
    return (isNext ? take() : null) ?? queue.wait(take, signal);
  }

  #newPlace(mount: Mount, base: string): Place {
    const now = this.#ground.clock.now();
    const id = BigInt(`0x${randomBytes(ID_BYTES).toString('hex')}`)
      .toString(36)
      .padStart(ID_LENGTH, '0');
    const row = { id, name: mount.id, base, target: mount.target, createdAt: now, usedAt: now, uses: 0, sizeBytes: 0 };
    const place: Place = { row, heldAs: null, holders: 0, filling: null };
    this.#places.set(id, place);
    return place;
  }

  async #make(
    place: Place,
    { uid, gid, mode }: Mount,
    fill: ((directory: string) => Promise<void>) | null,
  ): Promise<void> {
    const path = this.#pathOf(place);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    try {
      if (fill === null) {
        chownSync(path, uid, gid);
        chmodSync(path, mode);
      } else {
        await fill(path);
      }
    } catch (error) {
      await deleteHere(path).catch(() => undefined);
      throw error;
    }
  }

  #pathOf({ row }: Place): string {
    return join(this.#ground.directory, row.id);
  }

  #use(place: Place): void {
    place.filling = null;
    this.#write(place, { uses: place.row.uses + 1, usedAt: this.#ground.clock.now() });
  }

  #write(place: Place, change: Partial<CacheMountRow>): void {
    const row = { ...place.row, ...change };
    this.#ground.table.put(row);
    place.row = row;
  }

  #held(place: Place): HeldCacheMount {
    let isHeld = true;
    return {
      path: this.#pathOf(place),
      [Symbol.asyncDispose]: async () => {
        if (!isHeld) return Promise.resolve();
        isHeld = false;
        this.#giveBack(place);
        // Nobody waits for a number.
        void this.#measure(place);
        return Promise.resolve();
      },
    };
  }

  #giveBack(place: Place): void {
    place.holders -= 1;
    if (place.holders === 0) place.heldAs = null;
    const key = keyOf(place.row);
    const queue = this.#queues.get(key);
    queue?.advance();
    if (queue?.isEmpty === true) this.#queues.delete(key);
  }

  async #measure(place: Place): Promise<void> {
    const { meter, logger } = this.#ground;
    const { id } = place.row;
    try {
      const { sizeBytes } = await meter.measure({ root: this.#pathOf(place), parent: null, except: [] });
      if (this.#places.get(id) === place) this.#write(place, { sizeBytes, usedAt: this.#ground.clock.now() });
    } catch (error) {
      logger.debug('a cache mount could not be measured', { id, reason: messageOf(error) });
    }
  }
}

function keyOf({ name, base }: { readonly name: string; readonly base: string }): string {
  return JSON.stringify([name, base]);
}

function lastUsedFirst(a: Place, b: Place): number {
  return compare(b.row.usedAt, a.row.usedAt);
}

function compare(a: Timestamp, b: Timestamp): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Description as BuildKit's. */
function entryOf({ row, heldAs }: Place): BuildCacheEntry {
  const { id, name, target, sizeBytes, createdAt, usedAt, uses } = row;
  return {
    id,
    parents: [],
    kind: 'exec.cachemount',
    description: `cached mount ${target}${name === target ? '' : ` with id ${JSON.stringify(name)}`}`,
    sizeBytes,
    createdAt,
    lastUsedAt: usedAt,
    uses,
    inUse: heldAs !== null,
    shared: false,
  };
}
