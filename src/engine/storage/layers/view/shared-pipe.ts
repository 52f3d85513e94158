/**
 * Bytes on their way from the main thread to a worker that reads them synchronously, by shared memory.
 *
 * ```
 * word 0   bytes written so far (modulo 2^32)      word 2   1: nothing comes any more, 2: nobody reads any more
 * word 1   bytes read so far (modulo 2^32)         word 3   counts what the writer did: a reader waits for it
 * then     a ring of RING_BYTES
 * ```
 */
const WORDS = 4;
const HEAD_BYTES = WORDS * Int32Array.BYTES_PER_ELEMENT;
/** Some turns of both sides; a power of two, so that the counters may wrap. */
const RING_BYTES = 4 * 1024 * 1024;
/** What the reader takes at once: large enough that waking the writer does not matter. */
const MAX_READ_BYTES = 1024 * 1024;
const WRITTEN = 0;
const READ = 1;
const STATE = 2;
const NEWS = 3;
const ENDED = 1;
const ABANDONED = 2;
/** How often a reader that waits looks whether it is to stop. */
const LOOK_MS = 200;

/** A new pipe's memory. */
export function sharedPipe(): SharedArrayBuffer {
  return new SharedArrayBuffer(HEAD_BYTES + RING_BYTES);
}

/** The main thread's end. */
export class PipeWriter {
  readonly #words: Int32Array;
  readonly #ring: Uint8Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory, 0, WORDS);
    this.#ring = new Uint8Array(memory, HEAD_BYTES);
  }

  /** Resolves when all of it is in the pipe; false when nobody reads any more. */
  async write(bytes: Uint8Array): Promise<boolean> {
    const words = this.#words;
    for (let done = 0; done < bytes.length;) {
      if (Atomics.load(words, STATE) === ABANDONED) return false;
      const written = Atomics.load(words, WRITTEN);
      const read = Atomics.load(words, READ);
      const room = RING_BYTES - ((written - read) | 0);
      if (room === 0) {
        await Atomics.waitAsync(words, READ, read, LOOK_MS).value;
        continue;
      }
      const at = written & (RING_BYTES - 1);
      const piece = bytes.subarray(done, done + Math.min(room, RING_BYTES - at));
      this.#ring.set(piece, at);
      done += piece.length;
      Atomics.add(words, WRITTEN, piece.length);
      this.#tell();
    }
    return true;
  }

  /** Nothing comes any more. */
  end(): void {
    Atomics.compareExchange(this.#words, STATE, 0, ENDED);
    this.#tell();
  }

  /** Nobody reads any more: a write that waits gives up. */
  abandon(): void {
    Atomics.store(this.#words, STATE, ABANDONED);
    Atomics.notify(this.#words, READ);
  }

  #tell(): void {
    Atomics.add(this.#words, NEWS, 1);
    Atomics.notify(this.#words, NEWS);
  }
}

/** The worker's end: all bytes in order; each chunk is good until the next is asked for. `look` may throw to stop. */
export function* readPipe(memory: SharedArrayBuffer, look: () => void): Generator<Buffer, void, void> {
  const words = new Int32Array(memory, 0, WORDS);
  for (;;) {
    look();
    const news = Atomics.load(words, NEWS);
    const state = Atomics.load(words, STATE);
    const written = Atomics.load(words, WRITTEN);
    const read = Atomics.load(words, READ);
    const filled = (written - read) | 0;
    if (filled === 0) {
      if (state !== 0) return;
      Atomics.wait(words, NEWS, news, LOOK_MS);
      continue;
    }
    const at = read & (RING_BYTES - 1);
    const length = Math.min(filled, RING_BYTES - at, MAX_READ_BYTES);
    yield Buffer.from(memory, HEAD_BYTES + at, length);
    Atomics.add(words, READ, length);
    Atomics.notify(words, READ);
  }
}
