import { pipeline, Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { InvalidArgumentError } from '../../base/errors.ts';
import { MediaType } from '../oci/image-spec.ts';
import type { LayerCompression } from '../storage/layers.ts';

/** How many leading bytes tell a compression. */
export const MAGIC_BYTES = 6;

/** Compression by magic number. InvalidArgumentError for kinds that the engine does not unpack. */
export function compressionOf(head: Uint8Array): LayerCompression {
  const hex = Buffer.from(head.subarray(0, MAGIC_BYTES)).toString('hex');
  if (hex.startsWith('1f8b')) return 'gzip';
  if (hex.startsWith('28b52ffd')) return 'zstd';
  if (hex.startsWith('fd377a585a00')) throw unsupported('xz');
  if (hex.startsWith('425a68')) throw unsupported('bzip2');
  return 'none';
}

/** The media type of a layer blob that begins with `head`. */
export function layerMediaType(head: Uint8Array): string {
  switch (compressionOf(head)) {
    case 'gzip':
      return MediaType.dockerLayerGzip;
    case 'zstd':
      return MediaType.ociLayerZstd;
    case 'none':
      return MediaType.dockerLayer;
  }
}

/** The stream without its compression, if it has one. A fault of the source is a fault of the result. */
export async function decompressed(source: Readable): Promise<Readable> {
  const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  const first: Buffer[] = [];
  for (let size = 0; size < MAGIC_BYTES;) {
    const { value, done } = await chunks.next();
    if (done === true) break;
    first.push(value);
    size += value.length;
  }
  const head = Buffer.concat(first);
  const compression = compressionOf(head);
  const whole = Readable.from(
    (async function* (): AsyncGenerator<Buffer> {
      if (head.length > 0) yield head;
      for (;;) {
        const { value, done } = await chunks.next();
        if (done === true) return;
        yield value;
      }
    })(),
    { objectMode: false },
  );
  whole.on('close', () => source.destroy());
  if (compression === 'none') return whole;
  // The reader of the result learns of faults by its own 'error'.
  return pipeline(whole, compression === 'gzip' ? createGunzip() : createZstdDecompress(), () => undefined);
}

function unsupported(kind: string): InvalidArgumentError {
  return new InvalidArgumentError(`unsupported compression: ${kind}: use gzip, zstd or a plain tar`);
}
