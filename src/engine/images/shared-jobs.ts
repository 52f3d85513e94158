import { ProgressBroadcast } from './progress.ts';
import type { ProgressSink } from './types.ts';

/** Who waits for a job: sees its progress, and may leave. */
export interface Watcher {
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

interface Running<T> {
  readonly broadcast: ProgressBroadcast;
  readonly stop: AbortController;
  readonly result: Promise<T>;
  watchers: number;
}

/**
 * Long work that several callers want at the same time, done once. Each sees its progress, who comes late from where it
 * stands. It goes on while one of them waits, and is stopped when the last has left.
 */
export class SharedJobs<T> {
  readonly #running = new Map<string, Running<T>>();

  /**
   * Joins the job `key`, or starts it. Settles as the job does; an abort leaves, and rejects with the signal's reason
   * at once where others still wait, else when what the job had begun is undone.
   */
  async join(key: string, { progress, signal }: Watcher, start: (job: Watcher) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const running = this.#running.get(key) ?? this.#start(key, start);
    using _watch = running.broadcast.join(progress);
    running.watchers += 1;
    const { promise: gone, resolve: leave } = Promise.withResolvers<'gone'>();
    const onAbort = (): void => leave('gone');
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const outcome = await Promise.race([running.result.then((value) => ({ value })), gone]);
      if (outcome !== 'gone') return outcome.value;
      if (running.watchers === 1) {
        running.stop.abort(signal.reason);
        await running.result.catch(() => undefined);
      }
      throw signal.reason;
    } finally {
      signal.removeEventListener('abort', onAbort);
      running.watchers -= 1;
    }
  }

  #start(key: string, start: (job: Watcher) => Promise<T>): Running<T> {
    const broadcast = new ProgressBroadcast();
    const stop = new AbortController();
    // Starts in the next turn of the queue, when its first watcher has joined.
    const result = Promise.resolve().then(async () => start({ progress: broadcast.sink, signal: stop.signal }));
    const running: Running<T> = { broadcast, stop, result, watchers: 0 };
    this.#running.set(key, running);
    const forget = (): void => {
      if (this.#running.get(key) === running) this.#running.delete(key);
    };
    // A stopped job takes no newcomers while it is being undone.
    stop.signal.addEventListener('abort', forget, { once: true });
    result.then(forget, forget);
    return running;
  }
}
