/**
 * Reads a layer's blob and undoes its compression, which is found by its first bytes:
 *
 * ```
 * 1f 8b          gzip
 * 28 b5 2f fd    zstd (also 50..5f 2a 4d 18: a skippable frame)
 * 42 5a 68       bzip2   refused
 * fd 37 7a 58 5a xz      refused
 * ```
 */
import { readSync } from 'node:fs';
import type { Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { LayerCompression } from '../layers.ts';

/** One read of the blob, and one piece of output: large enough that the calls do not matter, small enough for caches. */
const CHUNK_BYTES = 256 * 1024;

/** Which compression the first bytes tell of. InvalidArgumentError for those we cannot undo. */
export function compressionOf(start: Uint8Array): LayerCompression {
  const [a, b, c, d] = start;
  if (a === 0x1f && b === 0x8b) return 'gzip';
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return 'zstd';
  if (a !== undefined && (a & 0xf0) === 0x50 && b === 0x2a && c === 0x4d && d === 0x18) return 'zstd';
  if (a === 0x42 && b === 0x5a && c === 0x68) throw unsupported('bzip2');
  if (a === 0xfd && b === 0x37 && c === 0x7a && d === 0x58) throw unsupported('xz');
  return 'none';
}

/** A stream that undoes the compression; null where there is none. */
export function decompressor(compression: LayerCompression): Transform | null {
  switch (compression) {
    case 'gzip':
      return createGunzip({ chunkSize: CHUNK_BYTES });
    case 'zstd':
      return createZstdDecompress({ chunkSize: CHUNK_BYTES });
    case 'none':
      return null;
  }
}

/**
 * The bytes of an open file, in order. With `reuse` each chunk is overwritten by the next: only for a consumer that is
 * done with one when it asks for the next.
 */
export function* readFileChunks(fd: number, reuse: boolean): Generator<Buffer, void, void> {
  let buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  for (let position = 0; ;) {
    const length = readSync(fd, buffer, 0, buffer.length, position);
    if (length === 0) return;
    position += length;
    yield buffer.subarray(0, length);
    if (!reuse) buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  }
}

function unsupported(name: string): InvalidArgumentError {
  return new InvalidArgumentError(`layer compression ${name} is not supported by this version: use gzip, zstd or none`);
}
