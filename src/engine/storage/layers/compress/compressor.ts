import { finished } from 'node:stream/promises';
import { createGzip, type Gzip } from 'node:zlib';
import type { Codecs, Deflater } from '../../../kernel/codecs.ts';

/** Compression in a layer worker: bytes in, bytes out to a sink, whichever library does it. */
export interface Compressor extends Disposable {
  /** The chunk may be reused by the caller when the promise has settled. */
  write(chunk: Buffer): Promise<void>;
  /** Flushes and ends; nothing may be written after it. */
  finish(): Promise<void>;
  /** Lets go of what a stream that will not be finished holds; harmless after {@link finish}. */
  [Symbol.dispose](): void;
}

/** Takes compressed bytes; a chunk is good only until it returns. */
export type CompressedSink = (chunk: Buffer) => void;

/** Disk and network are cheap beside the seconds that higher levels cost. */
const LEVEL = 1;
const INPUT_BYTES = 256 * 1024;
const OUTPUT_BYTES = 256 * 1024;

/** A gzip stream into `sink`, by the fastest library of this host. Rejects with what the sink throws. */
export function makeCompressor(sink: CompressedSink, codecs: Codecs): Compressor {
  const deflater = codecs.openDeflater();
  return deflater === null ? new ZlibCompressor(sink) : new CodecCompressor(deflater, sink);
}

/** Gathers what comes, since headers of archives are small and each step has its price. */
class CodecCompressor implements Compressor {
  readonly #deflater: Deflater;
  readonly #sink: CompressedSink;
  readonly #input = Buffer.allocUnsafeSlow(INPUT_BYTES);
  readonly #output = Buffer.allocUnsafeSlow(OUTPUT_BYTES);
  #fill = 0;

  constructor(deflater: Deflater, sink: CompressedSink) {
    this.#deflater = deflater;
    this.#sink = sink;
  }

  async write(chunk: Buffer): Promise<void> {
    if (this.#fill + chunk.length > INPUT_BYTES) {
      await this.#compress(this.#input.subarray(0, this.#fill), false);
      this.#fill = 0;
    }
    if (chunk.length >= INPUT_BYTES) {
      await this.#compress(chunk, false);
    } else {
      chunk.copy(this.#input, this.#fill);
      this.#fill += chunk.length;
    }
  }

  async finish(): Promise<void> {
    await this.#compress(this.#input.subarray(0, this.#fill), true);
  }

  [Symbol.dispose](): void {
    // Its state is a Buffer, which goes with it.
  }

  async #compress(input: Buffer, last: boolean): Promise<void> {
    for (let rest = input; ;) {
      const { consumedBytes, producedBytes, ended } = await this.#deflater.step(rest, this.#output, last);
      rest = rest.subarray(consumedBytes);
      if (producedBytes > 0) this.#sink(this.#output.subarray(0, producedBytes));
      if (last ? ended : rest.length === 0) return;
    }
  }
}

class ZlibCompressor implements Compressor {
  readonly #gzip: Gzip;
  #failure: unknown = null;

  constructor(sink: CompressedSink) {
    this.#gzip = createGzip({ level: LEVEL, chunkSize: OUTPUT_BYTES });
    this.#gzip.on('data', (chunk: Buffer) => {
      if (this.#failure !== null) return;
      try {
        sink(chunk);
      } catch (error) {
        this.#failure = error;
      }
    });
    this.#gzip.on('error', (error) => (this.#failure ??= error));
  }

  async write(chunk: Buffer): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gzip.write(chunk, () => resolve());
    await promise;
    this.#throwFailure();
  }

  async finish(): Promise<void> {
    this.#gzip.end();
    await finished(this.#gzip);
    this.#throwFailure();
  }

  [Symbol.dispose](): void {
    this.#gzip.destroy();
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure as Error;
  }
}
