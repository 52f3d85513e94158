import { createHash } from 'node:crypto';
import { familiarString, type NamedReference } from '../oci/reference.ts';
import type { StoredImage } from './catalog.ts';
import type { ImageContext } from './context.ts';
import { ProgressBroadcast } from './progress.ts';
import { pullImage, type PullOptions } from './pull.ts';

/** One pull under way and those who wait for it. */
interface SharedPull {
  readonly broadcast: ProgressBroadcast;
  readonly stop: AbortController;
  readonly result: Promise<StoredImage>;
  watchers: number;
}

/** Joins equal pulls: same name, platform and credentials. A pull ends early only when the last who wants it has gone. */
export class PullDesk {
  readonly #context: ImageContext;
  readonly #pulls = new Map<string, SharedPull>();

  constructor(context: ImageContext) {
    this.#context = context;
  }

  /** As {@link pullImage}; an abort leaves, and rejects with the signal's reason once the pull has let go or goes on for others. */
  async pull(reference: NamedReference, options: PullOptions): Promise<StoredImage> {
    options.signal.throwIfAborted();
    const key = keyOf(reference, options);
    const shared = this.#pulls.get(key) ?? this.#start(key, reference, options);
    using _watch = shared.broadcast.join(options.progress);
    shared.watchers += 1;
    const { promise: gone, resolve: leave } = Promise.withResolvers<'gone'>();
    const onAbort = (): void => leave('gone');
    options.signal.addEventListener('abort', onAbort, { once: true });
    try {
      const outcome = await Promise.race([shared.result, gone]);
      if (outcome !== 'gone') return outcome;
      if (shared.watchers === 1) {
        shared.stop.abort(options.signal.reason);
        // What it had begun is undone when this settles.
        await shared.result.catch(() => undefined);
      }
      throw options.signal.reason;
    } finally {
      options.signal.removeEventListener('abort', onAbort);
      shared.watchers -= 1;
    }
  }

  #start(key: string, reference: NamedReference, options: PullOptions): SharedPull {
    const broadcast = new ProgressBroadcast();
    const stop = new AbortController();
    // Starts in the next turn of the queue, when its first watcher has joined.
    const result = Promise.resolve().then(async () =>
      pullImage(this.#context, reference, { ...options, progress: broadcast.sink, signal: stop.signal }),
    );
    const shared: SharedPull = { broadcast, stop, result, watchers: 0 };
    this.#pulls.set(key, shared);
    const forget = (): void => {
      if (this.#pulls.get(key) === shared) this.#pulls.delete(key);
    };
    // An aborted pull takes no newcomers while it is being undone.
    stop.signal.addEventListener('abort', forget, { once: true });
    result.then(forget, forget);
    return shared;
  }
}

/** Hashed, so that no password lies in a map's keys. */
function keyOf(reference: NamedReference, { platform, auth }: PullOptions): string {
  const parts = [reference.domain, familiarString(reference), platform, auth];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
