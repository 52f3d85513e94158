import type { Clock } from '../../../base/clock.ts';
import type { OutputStream } from '../../oci/streams.ts';

/** How long packets are gathered after one was delivered; a process that says little is heard at once. */
const GATHER_MS = 1;
/** What clients read at once (Docker's own have 32 KiB for a frame). */
const CHUNK_BYTES = 32 * 1024;

/**
 * Joins what a process writes in a flood to larger chunks: conmon reads 8 KiB at a time, and each chunk costs a frame and
 * a write for each client. The first packet after a silence goes on at once, those that follow within a millisecond wait
 * for one another.
 */
export class Gathering implements Disposable {
  readonly #clock: Clock;
  readonly #deliver: (stream: OutputStream, chunk: Buffer) => boolean;
  #stream: OutputStream = 'stdout';
  #chunk: Buffer | null = null;
  #length = 0;
  #timer: Disposable | null = null;

  /** `deliver` is true when it is done with the chunk, false when it goes on looking at it. */
  constructor(clock: Clock, deliver: (stream: OutputStream, chunk: Buffer) => boolean) {
    this.#clock = clock;
    this.#deliver = deliver;
  }

  /** Takes a packet, whose bytes are copied where they must wait. */
  add(stream: OutputStream, bytes: Buffer): void {
    if (stream !== this.#stream || this.#length + bytes.length > CHUNK_BYTES) this.flush();
    this.#stream = stream;
    if (this.#timer === null || bytes.length > CHUNK_BYTES) {
      this.#wait();
      this.#deliver(stream, Buffer.from(bytes));
      return;
    }
    this.#chunk ??= Buffer.allocUnsafeSlow(CHUNK_BYTES);
    bytes.copy(this.#chunk, this.#length);
    this.#length += bytes.length;
  }

  /** Delivers what was gathered. */
  flush(): void {
    const length = this.#length;
    if (length === 0 || this.#chunk === null) return;
    const chunk = this.#chunk;
    this.#length = 0;
    if (!this.#deliver(this.#stream, chunk.subarray(0, length))) this.#chunk = null;
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }

  #wait(): void {
    this.#timer ??= this.#clock.after(GATHER_MS, () => {
      this.#timer = null;
      if (this.#length === 0) return;
      this.#wait();
      this.flush();
    });
  }
}
