import { inBandError } from '../errors.ts';
import type { Progress } from '../../engine/index.ts';
import type { Reply, ReplyStream } from '../http/reply.ts';
import { jsonLine, progressLine } from './progress.ts';

/**
 * The answer of long work. It begins with the first record: an error before that is an HTTP error, one after it goes
 * into the stream, as with dockerd. `begun` answers 200 before the work, so that every error goes into the stream (load).
 */
export class ProgressStream {
  readonly #reply: Reply;
  #stream: ReplyStream | null = null;
  /** The client reads slower than the work goes. */
  #isBehind = false;

  constructor(reply: Reply, { begun = false }: { readonly begun?: boolean } = {}) {
    this.#reply = reply;
    if (begun) this.#open();
  }

  /** Runs the work with a sink for its records and ends the answer. */
  async run(work: (progress: (record: Progress) => void) => Promise<void>): Promise<void> {
    try {
      await work((progress) => this.#send(progress));
    } catch (error) {
      if (this.#stream === null) throw error;
      void this.#stream.write(Buffer.from(jsonLine(inBandError(error))));
    }
    this.#open().end();
  }

  /**
   * The sink of the seam must not block. A client that is behind misses numbers, never words: what is kept for it while
   * it sleeps stays small, as with dockerd.
   */
  #send(progress: Progress): void {
    const stream = this.#open();
    if (this.#isBehind && progress.current !== undefined) return;
    const drained = stream.write(Buffer.from(progressLine(progress)));
    if (drained === undefined) return;
    this.#isBehind = true;
    void drained.then(() => {
      this.#isBehind = false;
    });
  }

  #open(): ReplyStream {
    this.#stream ??= this.#reply.stream(200, 'application/json');
    return this.#stream;
  }
}
