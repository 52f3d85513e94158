import { InternalError } from '../../../base/errors.ts';
import type { CopyView, PathArchive, PathStat, TreeCopier } from '../copying.ts';
import { ChunkQueue } from './chunk-queue.ts';
import { runTreeJob } from './tree-job.ts';
import { PipeWriter, sharedPipe } from './view/shared-pipe.ts';
import type { LayerWorkers } from './workers.ts';

/** Options of {@link WorkerTreeCopier}. */
export interface TreeCopierOptions {
  /** For what is over at once. */
  readonly lookers: LayerWorkers;
  /** Of their own: one waits for as long as its client takes. */
  readonly copiers: LayerWorkers;
}

/** {@link TreeCopier} by layer workers, each copy a job. */
export class WorkerTreeCopier implements TreeCopier {
  readonly #options: TreeCopierOptions;

  constructor(options: TreeCopierOptions) {
    this.#options = options;
  }

  async look(view: CopyView, path: string, signal?: AbortSignal): Promise<PathStat | null> {
    return runTreeJob(this.#options.lookers, { kind: 'look', ...view, path }, { signal });
  }

  async read(view: CopyView, path: string, signal: AbortSignal): Promise<PathArchive | null> {
    const queue = new ChunkQueue();
    const leave = new AbortController();
    const done = runTreeJob(
      this.#options.copiers,
      { kind: 'read', ...view, path, waiting: queue.waiting },
      { signal: AbortSignal.any([signal, leave.signal]), onChunk: (chunk) => queue.push(chunk) },
    ).finally(() => queue.end());
    // Awaited at the end, whichever way.
    done.catch(() => undefined);
    const chunks = queue.drain();
    const first = await chunks.next();
    if (first.done === true) return (await done) ? never() : null;
    return { stat: JSON.parse(first.value.toString('utf8')) as PathStat, chunks: restOf(chunks, done, leave) };
  }

  async write(view: CopyView, path: string, input: Parameters<TreeCopier['write']>[2]): Promise<boolean> {
    const memory = sharedPipe();
    const pipe = new PipeWriter(memory);
    const leave = new AbortController();
    const done = runTreeJob(
      this.#options.copiers,
      { kind: 'write', ...view, path, options: input.options, input: memory },
      { signal: AbortSignal.any([input.signal, leave.signal]) },
    ).finally(() => pipe.abandon());
    done.catch(() => undefined);
    try {
      for await (const chunk of input.tar) if (!(await pipe.write(chunk))) break;
      pipe.end();
    } catch (error) {
      // Half an archive must not pass for a whole one.
      leave.abort(error);
    }
    return done;
  }
}

async function* restOf(
  chunks: AsyncGenerator<Buffer, void, void>,
  done: Promise<boolean>,
  leave: AbortController,
): PathArchive['chunks'] {
  try {
    yield* chunks;
    await done;
  } finally {
    leave.abort(new Error('nobody reads any more'));
    await done.catch(() => undefined);
  }
}

function never(): never {
  throw new InternalError('layer worker sent nothing');
}
