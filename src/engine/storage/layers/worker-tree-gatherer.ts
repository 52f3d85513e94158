import type { GatherOptions, TreeGatherer } from '../gathering.ts';
import { runTreeJob } from './tree-job.ts';
import { PipeWriter, sharedPipe } from './view/shared-pipe.ts';
import type { LayerWorkers } from './workers.ts';

/** {@link TreeGatherer} by layer workers, each step a job. They are its own: one waits for as long as its client takes. */
export class WorkerTreeGatherer implements TreeGatherer {
  readonly #workers: LayerWorkers;

  constructor(workers: LayerWorkers) {
    this.#workers = workers;
  }

  async receive(root: string, tar: AsyncIterable<Buffer>, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const input = sharedPipe();
    const pipe = new PipeWriter(input);
    const leave = new AbortController();
    const done = runTreeJob(
      this.#workers,
      { kind: 'receive', root, input },
      { signal: AbortSignal.any([signal, leave.signal]) },
    ).finally(() => pipe.abandon());
    // Awaited at the end, whichever way.
    done.catch(() => undefined);
    try {
      for await (const chunk of tar) if (!(await pipe.write(chunk))) break;
      pipe.end();
    } catch (error) {
      // Half an archive must not pass for a whole one.
      leave.abort(error);
    }
    await done;
  }

  async gather(
    from: string,
    root: string,
    { excludes, reader, signal }: GatherOptions & { readonly reader: number | null },
  ): Promise<void> {
    await runTreeJob(this.#workers, { kind: 'gather', from, root, excludes, reader }, { signal });
  }

  async sift(root: string, { excludes, signal }: GatherOptions): Promise<void> {
    if (excludes.length > 0) await runTreeJob(this.#workers, { kind: 'sift', root, excludes }, { signal });
  }

  async remove(root: string): Promise<void> {
    await this.#workers.deleteTree(root);
  }
}
