import { pipeline, Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { InvalidArgumentError } from '../../base/errors.ts';
import { peek } from '../../base/peek.ts';
import { MediaType } from '../oci/image-spec.ts';
import { throughProgram } from '../kernel/filter-program.ts';
import type { LayerCompression } from '../storage/layers.ts';

/** How many leading bytes tell a compression. */
export const MAGIC_BYTES = 6;

/** What a whole archive may be compressed with; the last two are undone by programs of the host. */
type ArchiveCompression = LayerCompression | 'xz' | 'bzip2';

/** Compression of a layer by magic number. InvalidArgumentError for kinds that the engine does not unpack. */
export function compressionOf(head: Uint8Array): LayerCompression {
  const compression = archiveCompressionOf(head);
  if (compression !== 'xz' && compression !== 'bzip2') return compression;
  throw new InvalidArgumentError(`unsupported compression: ${compression}: use gzip, zstd or a plain tar`);
}

function archiveCompressionOf(head: Uint8Array): ArchiveCompression {
  const hex = Buffer.from(head.subarray(0, MAGIC_BYTES)).toString('hex');
  if (hex.startsWith('1f8b')) return 'gzip';
  if (hex.startsWith('28b52ffd')) return 'zstd';
  if (hex.startsWith('fd377a585a00')) return 'xz';
  if (hex.startsWith('425a68')) return 'bzip2';
  return 'none';
}

/** True for an archive that `decompressed` would change. */
export function isCompressed(head: Uint8Array): boolean {
  return archiveCompressionOf(head) !== 'none';
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
  const { compression, whole } = await recognized(source);
  switch (compression) {
    case 'none':
      return whole;
    case 'xz':
    case 'bzip2':
      return byProgram(compression, whole);
    case 'gzip':
    case 'zstd':
      // The reader of the result learns of faults by its own 'error'.
      return pipeline(whole, compression === 'gzip' ? createGunzip() : createZstdDecompress(), () => undefined);
  }
}

/** The stream in a form in which a layer may be kept: plain, gzip and zstd as they come, anything else decompressed. */
export async function asLayer(source: Readable): Promise<Readable> {
  const { compression, whole } = await recognized(source);
  return compression === 'xz' || compression === 'bzip2' ? byProgram(compression, whole) : whole;
}

/** Looks at the first bytes and gives them back. */
async function recognized(
  source: Readable,
): Promise<{ readonly compression: ArchiveCompression; readonly whole: Readable }> {
  const peeked = await peek(source, MAGIC_BYTES);
  const whole = Readable.from(peeked.whole, { objectMode: false });
  whole.on('close', () => source.destroy());
  return { compression: archiveCompressionOf(peeked.head), whole };
}

/** As dockerd does for xz: no library of ours knows it, and many distributions ship their images so. */
function byProgram(program: 'xz' | 'bzip2', source: Readable): Readable {
  return throughProgram(program, ['-d', '-c', '-q'], source, ({ isMissing, text }) => {
    const advice = `install the program ${program}, or use gzip, zstd or a plain tar`;
    return new InvalidArgumentError(isMissing ? `unsupported compression: ${program}: ${advice}` : text);
  });
}
