/** Chunks on their way from a worker to a reader, counted in a shared word so that the worker waits for a slow reader. */
export class ChunkQueue {
  readonly #waiting = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #chunks: Uint8Array[] = [];
  #ended = false;
  #news = Promise.withResolvers<void>();

  /** One word: how many were sent and not yet taken. */
  get waiting(): SharedArrayBuffer {
    return this.#waiting.buffer;
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#tell();
  }

  /** Nothing comes any more. */
  end(): void {
    this.#ended = true;
    this.#tell();
  }

  /** Everything up to the end. */
  async *drain(): AsyncGenerator<Buffer, void, void> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk === undefined) {
        if (this.#ended) return;
        await this.#news.promise;
        continue;
      }
      yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      Atomics.sub(this.#waiting, 0, 1);
      Atomics.notify(this.#waiting, 0);
    }
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}
