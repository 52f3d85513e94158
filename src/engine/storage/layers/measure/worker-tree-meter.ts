import { InternalError } from '../../../../base/errors.ts';
import type { SnapshotUsage } from '../../driver.ts';
import type { MeasureSource, TreeMeter } from '../../measuring.ts';
import { measureSmallTree } from '../../tree-usage.ts';
import { runTreeJob } from '../tree-job.ts';
import type { LayerWorkers } from '../workers.ts';

/** Entries that this thread counts itself: fewer than it takes to start another. */
const MOST_HERE = 128;
/** So many at a time: a thousand small ones are quicker in one job. */
const WALKS_HERE = 4;

interface Waiting {
  readonly source: MeasureSource;
  readonly resolve: (usage: SnapshotUsage) => void;
  readonly reject: (error: Error) => void;
}

/**
 * {@link TreeMeter} with layer workers. What is asked for while a job is under way goes with the next one, all in one:
 * a thousand messages would take longer than a thousand containers.
 */
export class WorkerTreeMeter implements TreeMeter {
  readonly #workers: LayerWorkers;
  #walks = 0;
  #waiting: Waiting[] = [];
  #isMeasuring = false;

  /** `workers`: of its own; a volume of a million files must not keep layers waiting. */
  constructor(workers: LayerWorkers) {
    this.#workers = workers;
  }

  async measure(source: MeasureSource): Promise<SnapshotUsage> {
    return (await this.#measureHere(source)) ?? this.#measureThere(source);
  }

  async #measureHere({ root, parent, except }: MeasureSource): Promise<SnapshotUsage | null> {
    if (parent !== null || this.#walks >= WALKS_HERE) return null;
    this.#walks += 1;
    try {
      return await measureSmallTree(root, except, MOST_HERE);
    } finally {
      this.#walks -= 1;
    }
  }

  async #measureThere(source: MeasureSource): Promise<SnapshotUsage> {
    const { promise, resolve, reject } = Promise.withResolvers<SnapshotUsage>();
    this.#waiting.push({ source, resolve, reject });
    if (!this.#isMeasuring) void this.#drain();
    return promise;
  }

  async #drain(): Promise<void> {
    this.#isMeasuring = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      await this.#run(batch);
    }
    this.#isMeasuring = false;
  }

  async #run(batch: readonly Waiting[]): Promise<void> {
    try {
      const sources = batch.map(({ source }) => source);
      const usages = await runTreeJob(this.#workers, { kind: 'measure', sources }, {});
      for (const [index, { resolve, reject }] of batch.entries()) {
        const usage = usages[index] ?? 'the layer worker forgot it';
        if (typeof usage === 'string') reject(new InternalError(usage));
        else resolve(usage);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error as Error);
    }
  }
}
