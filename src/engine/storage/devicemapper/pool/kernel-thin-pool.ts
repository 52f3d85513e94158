/**
 * {@link ThinPool} of the kernel's.
 *
 * What changes the pool's metadata is done one by one, as the kernel does it: so a device that is suspended for a snapshot
 * is nobody else's to resume. A daemon killed in between leaves a device suspended, or without a table; {@link KernelThinPool.open}
 * resumes the one and takes the other away.
 */
import { errnoCodeOf, UnavailableError } from '../../../../base/errors.ts';
import type { BlockCalls } from '../../../kernel/block.ts';
import type { DeviceMapperCalls, DeviceTarget, MappedDevice } from '../../../kernel/device-mapper.ts';
import { KernelError } from '../../../kernel/kernel.ts';
import type { ThinPool, ThinPoolStatus } from '../thin-pool.ts';
import { parseMappedSectors, parsePoolStatus, parsePoolTable, poolObstacle, SECTOR_BYTES } from './pool-words.ts';

/** What a pool is opened with. */
export interface ThinPoolOptions {
  readonly name: string;
  /** Devices whose names begin with it are this daemon's. */
  readonly prefix: string;
  /** Gives a device's blocks back to what the pool lies on before it is deleted; the kernel frees them in the pool only. */
  readonly discards: boolean;
  readonly mapper: DeviceMapperCalls;
  readonly block: Pick<BlockCalls, 'nodeOf' | 'discard'>;
}

/** What the kernel refuses for reasons of the request itself, however the pool is. */
const PLAIN_REFUSALS: ReadonlySet<string> = new Set(['EEXIST', 'ENODATA', 'EBUSY', 'ENAMETOOLONG']);
/** Another process, or the kernel itself, may be taking the same device away. */
const ACTIVATION_ATTEMPTS = 8;

export class KernelThinPool implements ThinPool {
  readonly name: string;
  readonly #options: ThinPoolOptions;
  /** `major:minor` */
  readonly #number: string;
  /** Names under which devices are active, as far as we know: the kernel cannot be asked by device id. */
  readonly #names = new Map<number, string>();
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(options: ThinPoolOptions, { number }: MappedDevice) {
    this.name = options.name;
    this.#options = options;
    this.#number = `${String(number.major)}:${String(number.minor)}`;
  }

  /** Takes over a pool that is there, and what is active in it. ENXIO, or EINVAL for what is no pool. */
  static async open(options: ThinPoolOptions): Promise<KernelThinPool> {
    const found = await options.mapper.targets(options.name, { what: 'table', settled: false });
    if (found.targets[0]?.type !== 'thin-pool') {
      throw new KernelError('dm status', 'EINVAL', options.name, `Device ${options.name} is not a thin pool`);
    }
    const pool = new KernelThinPool(options, found);
    if (found.isSuspended) await options.mapper.resume(options.name);
    await pool.#takeOver();
    return pool;
  }

  async status(): Promise<ThinPoolStatus> {
    const { mapper } = this.#options;
    // Both at each time: a pool can be given other tables by lvextend.
    const [{ targets: table }, { targets: state }] = await Promise.all([
      mapper.targets(this.name, { what: 'table', settled: false }),
      mapper.targets(this.name, { what: 'status', settled: false }),
    ]);
    return parsePoolStatus(state[0]?.parameters ?? '', parsePoolTable(table[0]?.parameters ?? '').blockSectors);
  }

  async create(deviceId: number): Promise<void> {
    await this.#inTurn(async () => this.#send(`create_thin ${String(deviceId)}`));
  }

  async snapshot(deviceId: number, originId: number, originName: string | null): Promise<void> {
    await this.#inTurn(async () => {
      // A file system that is to settle on a pool that cannot take it would hold us for as long as the pool is full.
      await this.#mustBeWritable();
      const words = `create_snap ${String(deviceId)} ${String(originId)}`;
      await this.#whileStill(originName, async () => this.#send(words));
    });
  }

  async delete(deviceId: number): Promise<void> {
    await this.#inTurn(async () => {
      await this.#mustBeIdle(deviceId);
      if (this.#options.discards) await this.#discard(deviceId);
      await unless('ENODATA', this.#send(`delete ${String(deviceId)}`));
      this.#names.delete(deviceId);
    });
  }

  async activate(deviceId: number, name: string, sizeBytes: number): Promise<string> {
    for (let attempt = 1; ; attempt++) {
      try {
        const path = (await this.#adopt(deviceId, name)) ?? (await this.#switchOn(deviceId, name, sizeBytes));
        this.#names.set(deviceId, name);
        return path;
      } catch (error) {
        const passes = ['EBUSY', 'ENXIO'].includes(errnoCodeOf(error) ?? '');
        if (!passes || attempt === ACTIVATION_ATTEMPTS) throw await this.#explained(error);
      }
    }
  }

  async deactivate(name: string, { deferred }: { readonly deferred: boolean }): Promise<void> {
    await unless('ENXIO', this.#options.mapper.remove(name, { deferred }));
  }

  async openCount(name: string): Promise<number | null> {
    return (await this.#options.mapper.find(name))?.openCount ?? null;
  }

  async active(prefix: string): Promise<readonly string[]> {
    const found: string[] = [];
    for (const name of await this.#namesBelow(prefix)) {
      if ((await this.#deviceIdOf(name)) !== null) found.push(name);
    }
    return found;
  }

  async setTransactionId(from: bigint, to: bigint): Promise<void> {
    await this.#inTurn(async () => this.#send(`set_transaction_id ${String(from)} ${String(to)}`));
  }

  /** Names of ours, but for the pool's own and what it uses itself. */
  async #namesBelow(prefix: string): Promise<readonly string[]> {
    const names = await this.#options.mapper.list();
    return names.filter((name) => name.startsWith(prefix) && name !== this.name && !this.#isInner(name));
  }

  /** A device that is only there to be discarded. */
  #innerName(deviceId: number): string {
    return `${this.#options.prefix}discard@${String(deviceId)}`;
  }

  #isInner(name: string): boolean {
    return name.startsWith(`${this.#options.prefix}discard@`);
  }

  async #takeOver(): Promise<void> {
    const { mapper, prefix } = this.#options;
    for (const name of (await mapper.list()).filter((known) => known.startsWith(prefix) && known !== this.name)) {
      const device = await mapper.find(name);
      if (device === null) continue;
      if (!device.isLive || this.#isInner(name)) {
        await this.deactivate(name, { deferred: true });
        continue;
      }
      if (device.isSuspended) await mapper.resume(name);
      const deviceId = await this.#deviceIdOf(name);
      if (deviceId !== null) this.#names.set(deviceId, name);
    }
  }

  /** Null for what is no thin device of this pool. */
  async #deviceIdOf(name: string): Promise<number | null> {
    try {
      const { targets } = await this.#options.mapper.targets(name, { what: 'table', settled: false });
      return this.#idIn(targets);
    } catch (error) {
      if (errnoCodeOf(error) === 'ENXIO') return null;
      throw error;
    }
  }

  #idIn([target]: readonly DeviceTarget[]): number | null {
    const [pool, id] = target?.type === 'thin' ? target.parameters.split(' ') : [];
    return pool === this.#number && id !== undefined ? Number(id) : null;
  }

  /** The node of what is active under this name already; null when nothing is. */
  async #adopt(deviceId: number, name: string): Promise<string | null> {
    const { mapper, block } = this.#options;
    const found = await mapper.targets(name, { what: 'table', settled: false }).catch((error: unknown) => {
      if (errnoCodeOf(error) === 'ENXIO') return null;
      throw error;
    });
    if (found === null) return null;
    // Of an earlier snapshot of this name, or without a table: whoever has it open still must not be met here.
    if (this.#idIn(found.targets) !== deviceId) {
      await mapper.remove(name, { deferred: false });
      return null;
    }
    if (found.isDeferred) await mapper.message(name, '@cancel_deferred_remove');
    if (found.isSuspended) await mapper.resume(name);
    return block.nodeOf(found.number);
  }

  async #switchOn(deviceId: number, name: string, sizeBytes: number): Promise<string> {
    const sectors = Math.floor(sizeBytes / SECTOR_BYTES);
    return this.#options.mapper.create(name, [this.#thin(deviceId, sectors)]);
  }

  #thin(deviceId: number, sectors: number): DeviceTarget {
    return { startSector: 0, sectors, type: 'thin', parameters: `${this.#number} ${String(deviceId)}` };
  }

  /** Holds back what is written to an active origin: a snapshot in between would be one of no moment at all. */
  async #whileStill(originName: string | null, job: () => Promise<void>): Promise<void> {
    const { mapper } = this.#options;
    const origin = originName === null ? null : await mapper.find(originName);
    if (origin === null) return job();
    if (origin.isDeferred) {
      // Else it could go while it is suspended, and nothing would be left to resume.
      await unless('ENXIO', mapper.message(origin.name, '@cancel_deferred_remove'));
    }
    try {
      await unless('ENXIO', mapper.suspend(origin.name));
      try {
        await job();
      } finally {
        await unless('ENXIO', mapper.resume(origin.name));
      }
    } finally {
      if (origin.isDeferred) await this.deactivate(origin.name, { deferred: true });
    }
  }

  async #mustBeIdle(deviceId: number): Promise<void> {
    const name = this.#names.get(deviceId);
    if (name === undefined || (await this.#deviceIdOf(name)) !== deviceId) return;
    throw new KernelError('dm message', 'EBUSY', name, `thin device ${String(deviceId)} is active`);
  }

  /** Best effort: what is not given back is free in the pool all the same. */
  async #discard(deviceId: number): Promise<void> {
    const { mapper, block } = this.#options;
    const name = this.#innerName(deviceId);
    try {
      const path = await mapper.create(name, [this.#thin(deviceId, 1)]);
      const { targets } = await mapper.targets(name, { what: 'status', settled: false });
      const sectors = parseMappedSectors(targets[0]?.parameters ?? '');
      if (sectors > 0) {
        await mapper.replace(name, [this.#thin(deviceId, sectors)]);
        await block.discard(path);
      }
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
    } finally {
      await this.deactivate(name, { deferred: true });
    }
  }

  async #mustBeWritable(): Promise<void> {
    const obstacle = poolObstacle(this.name, await this.status());
    if (obstacle !== null) throw new UnavailableError(obstacle);
  }

  async #send(words: string): Promise<void> {
    try {
      await this.#options.mapper.message(this.name, words);
    } catch (error) {
      throw await this.#explained(error);
    }
  }

  /** What the kernel refuses when the pool is full or broken says nothing of that. */
  async #explained(error: unknown): Promise<unknown> {
    const code = errnoCodeOf(error);
    if (code === null || PLAIN_REFUSALS.has(code)) return error;
    const status = await this.status().catch(() => null);
    const obstacle = status === null ? null : poolObstacle(this.name, status);
    return obstacle === null ? error : new UnavailableError(obstacle, { cause: error });
  }

  async #inTurn<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(job);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

/** Swallows one errno. */
async function unless(code: string, job: Promise<unknown>): Promise<void> {
  try {
    await job;
  } catch (error) {
    if (errnoCodeOf(error) !== code) throw error;
  }
}
