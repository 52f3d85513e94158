import { Transform } from 'node:stream';
import type { TransformCallback, Writable } from 'node:stream';

/*
 * The multiplexed stream of a container without a terminal:
 *
 *   byte 0     1 2 3   4 5 6 7           8 …
 *   stream     0 0 0   size, big endian  payload of that size
 *
 * stream: 0 stdin (never sent), 1 stdout, 2 stderr, 3 an error of the daemon's.
 */
const HEADER_BYTES = 8;

/** Takes the frames apart and writes each payload, as it comes in, to its own stream; ends with the source. */
export class FrameReader extends Transform {
  readonly #sinks: readonly (Writable | undefined)[];
  #header = Buffer.alloc(0);
  #remaining = 0;
  #sink: Writable | undefined;

  constructor(stdout: Writable, stderr: Writable) {
    super();
    this.#sinks = [stdout, stdout, stderr, stderr];
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let waiting = 0;
    let finished = false;
    const release = (): void => {
      waiting -= 1;
      if (waiting === 0 && finished) done();
    };
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#remaining === 0) {
        rest = this.#readHeader(rest);
        continue;
      }
      const payload = rest.subarray(0, this.#remaining);
      rest = rest.subarray(payload.length);
      this.#remaining -= payload.length;
      // A slow reader of our output slows the container down, as it would without us.
      if (this.#sink?.write(payload) === false) {
        waiting += 1;
        this.#sink.once('drain', release);
      }
    }
    finished = true;
    if (waiting === 0) done();
  }

  #readHeader(chunk: Buffer): Buffer {
    const missing = HEADER_BYTES - this.#header.length;
    this.#header = Buffer.concat([this.#header, chunk.subarray(0, missing)]);
    if (this.#header.length === HEADER_BYTES) {
      this.#sink = this.#sinks[this.#header[0] ?? 1];
      this.#remaining = this.#header.readUInt32BE(4);
      this.#header = Buffer.alloc(0);
    }
    return chunk.subarray(missing);
  }
}
