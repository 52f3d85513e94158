import { createGunzip, createZstdDecompress } from 'node:zlib';
import type { Codecs } from '../../../kernel/codecs.ts';
import { CHUNK_BYTES, compressionOf, START_BYTES } from './blob-source.ts';
import { inflateMembers } from './gzip-members.ts';
import { InputWindow } from './input-window.ts';
import { decompress } from './plain-chunks.ts';
import { nextZstdFrame } from './zstd-stream.ts';

/**
 * As `eachPlainChunk`, for chunks that come and are good until the next is asked for. So is each piece.
 * InvalidArgumentError for what is broken, cut, or compressed in a way that we cannot undo.
 */
export async function eachPlainPiece(
  chunks: Generator<Buffer, void, void>,
  codecs: Codecs,
  take: (piece: Buffer) => void,
): Promise<void> {
  const input = new ChunkReader(chunks);
  const window = new InputWindow((into) => input.read(into));
  switch (compressionOf(window.start(START_BYTES))) {
    case 'none':
      take(window.rest());
      for (const chunk of input.rest()) take(chunk);
      return;
    case 'gzip': {
      const inflater = codecs.openInflater();
      if (inflater !== null) await inflateMembers(window, inflater, take);
      else await decompress(copies(window), createGunzip({ chunkSize: CHUNK_BYTES }), take);
      return;
    }
    case 'zstd':
      for (let frame = nextZstdFrame(window); frame !== null; frame = nextZstdFrame(window))
        await decompress(frame, createZstdDecompress({ chunkSize: CHUNK_BYTES }), take);
  }
}

/** For who reads on while a piece is still looked at. */
function* copies(window: InputWindow): Generator<Buffer, void, void> {
  while (window.refill()) {
    const piece = Buffer.from(window.rest());
    window.skip(piece.length);
    yield piece;
  }
}

/** Chunks, as bytes that are asked for. */
class ChunkReader {
  readonly #chunks: Generator<Buffer, void, void>;
  #present: Buffer = Buffer.alloc(0);

  constructor(chunks: Generator<Buffer, void, void>) {
    this.#chunks = chunks;
  }

  read(into: Buffer): number {
    while (this.#present.length === 0) {
      const { value, done } = this.#chunks.next();
      if (done === true) return 0;
      this.#present = value;
    }
    const length = this.#present.copy(into);
    this.#present = this.#present.subarray(length);
    return length;
  }

  /** What nobody has read yet, as it comes. */
  *rest(): Generator<Buffer, void, void> {
    yield this.#present;
    for (;;) {
      const { value, done } = this.#chunks.next();
      if (done === true) return;
      yield value;
    }
  }
}
