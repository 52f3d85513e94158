/**
 * Looks after a pool that fills: says so, and has file systems give up what a full pool refuses. xfs else tries for ever to
 * write its metadata, and whoever uses it cannot even be killed.
 *
 * Nothing is done while nothing happens: the kernel wakes us when a pool falls below its low water mark, is full or fails.
 */
import { readFile, writeFile } from 'node:fs/promises';
import type { Clock } from '../../../../base/clock.ts';
import { errnoCodeOf, messageOf } from '../../../../base/errors.ts';
import type { Logger } from '../../../../base/logger.ts';
import type { DeviceMapperCalls } from '../../../kernel/device-mapper.ts';
import { namesIn } from '../../directories.ts';
import type { ThinPool, ThinPoolStatus } from '../thin-pool.ts';
import { poolObstacle } from './pool-words.ts';

/** What {@link PoolWatch} works with. */
export interface PoolWatchOptions {
  readonly pool: ThinPool;
  /** What names of our devices begin with. */
  readonly prefix: string;
  /** How often xfs tries again (`dm.xfs_nospace_max_retries`). */
  readonly xfsRetries: string;
  readonly mapper: Pick<DeviceMapperCalls, 'watch'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where the kernel shows its objects. */
  readonly sysfs?: string;
}

/** Devices come and go with containers; a pool does not fill faster than this. */
const LEAST_INTERVAL_MS = 1000;
const WARNING_SHARES = [0.8, 0.9, 0.95] as const;

export class PoolWatch implements AsyncDisposable {
  readonly #options: PoolWatchOptions;
  readonly #watch: Disposable;
  #timer: Disposable | null = null;
  #work: Promise<void> = Promise.resolve();
  #told: string | null = null;
  #warned = { data: 0, metadata: 0 };
  #isClosed = false;

  constructor(options: PoolWatchOptions) {
    this.#options = options;
    this.#watch = options.mapper.watch(() => this.#soon());
    this.#soon();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#watch[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
    await this.#work;
  }

  #soon(): void {
    if (this.#isClosed) return;
    this.#timer ??= this.#options.clock.after(LEAST_INTERVAL_MS, () => {
      this.#timer = null;
      this.#work = this.#work.then(async () => this.#look());
    });
  }

  async #look(): Promise<void> {
    const { pool, logger } = this.#options;
    try {
      const status = await pool.status();
      const obstacle = poolObstacle(pool.name, status);
      if (obstacle !== this.#told && obstacle !== null) logger.error(obstacle);
      this.#told = obstacle;
      this.#warn('data', status.data);
      this.#warn('metadata', status.metadata);
      if (obstacle !== null) await this.#endPatience();
    } catch (error) {
      logger.warn(`devmapper: state of thin pool ${pool.name} cannot be read: ${messageOf(error)}`);
    }
  }

  /** Once for each step up; again when it has been below. */
  #warn(kind: 'data' | 'metadata', { usedBytes, totalBytes }: ThinPoolStatus['data']): void {
    const share = totalBytes === 0 ? 0 : usedBytes / totalBytes;
    const step = WARNING_SHARES.filter((least) => share >= least).length;
    if (step > this.#warned[kind]) {
      const percents = String(Math.floor(share * 100));
      this.#options.logger.warn(`devmapper: ${kind} of Thin Pool ${this.#options.pool.name} is ${percents}% full`);
    }
    this.#warned[kind] = step;
  }

  async #endPatience(): Promise<void> {
    const { sysfs = '/sys', prefix, xfsRetries, logger } = this.#options;
    for (const device of await namesIn(`${sysfs}/fs/xfs`)) {
      try {
        const name = await readFile(`${sysfs}/block/${device}/dm/name`, 'utf8');
        if (!name.startsWith(prefix)) continue;
        await writeFile(`${sysfs}/fs/xfs/${device}/error/metadata/ENOSPC/max_retries`, xfsRetries);
      } catch (error) {
        // Other devices have no name of the device mapper's, and any may just have been unmounted.
        if (errnoCodeOf(error) !== 'ENOENT') logger.warn(`devmapper: ${messageOf(error)}`);
      }
    }
  }
}
