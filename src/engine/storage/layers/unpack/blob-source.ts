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
import { fstatSync, readSync } from 'node:fs';
import type { Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { InvalidArgumentError } from '../../../../base/errors.ts';
import type { LayerCompression } from '../../layers.ts';
import { zstdFrames } from './zstd-frames.ts';

/** One read of the blob, and one piece of output: large enough that the calls do not matter, small enough for caches. */
export const CHUNK_BYTES = 256 * 1024;
/** So many tell the compression. */
export const START_BYTES = 8;

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

/** What goes on while a blob is read. A throw ends the reading. */
export interface PlainListener {
  /** The next bytes of the archive, good until the next call. */
  readonly take: (chunk: Buffer) => void;
  /** So much of the blob is used up. */
  readonly onRead: (readBytes: number) => void;
}

/** A part of a blob that one decompressor takes. */
export interface Section {
  readonly start: number;
  readonly end: number;
  /** Makes the stream that undoes its compression; null where there is none. */
  readonly decompressor: (() => Transform) | null;
}

/** The sections of a blob in order. gzip's members are one section: Node's decompressor goes from one to the next. */
export function* sectionsOf(fd: number, compression: LayerCompression): Generator<Section, void, void> {
  const { size } = fstatSync(fd);
  if (compression !== 'zstd') {
    const decompressor = compression === 'gzip' ? () => createGunzip({ chunkSize: CHUNK_BYTES }) : null;
    yield { start: 0, end: size, decompressor };
    return;
  }
  for (const { start, end } of zstdFrames(fd, size)) {
    yield { start, end, decompressor: () => createZstdDecompress({ chunkSize: CHUNK_BYTES }) };
  }
}

/** The first bytes of an open file. */
export function readStart(fd: number): Buffer {
  const start = Buffer.alloc(START_BYTES);
  return start.subarray(0, readSync(fd, start, 0, start.length, 0));
}

/**
 * The bytes of a section, in order. With `reuse` each chunk is overwritten by the next: only for a consumer that is
 * done with one when it asks for the next.
 */
export function* readSection(fd: number, section: Section, reuse: boolean): Generator<Buffer, void, void> {
  const length = Math.min(CHUNK_BYTES, section.end - section.start);
  let buffer = Buffer.allocUnsafeSlow(length);
  for (let position = section.start; position < section.end;) {
    const read = readSync(fd, buffer, 0, Math.min(length, section.end - position), position);
    if (read === 0) return;
    position += read;
    yield buffer.subarray(0, read);
    if (!reuse) buffer = Buffer.allocUnsafeSlow(length);
  }
}

function unsupported(name: string): InvalidArgumentError {
  return new InvalidArgumentError(`layer compression ${name} is not supported by this version: use gzip, zstd or none`);
}
