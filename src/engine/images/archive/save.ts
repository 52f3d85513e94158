import { createHash } from 'node:crypto';
import { DataLossError } from '../../../base/errors.ts';
import type { ContentStore } from '../../content/store.ts';
import type { Platform } from '../../oci/image-spec.ts';
import { familiarString } from '../../oci/reference.ts';
import { END_OF_ARCHIVE, headerOf, paddingOf } from '../../storage/tar.ts';
import type { ImageContext } from '../context.ts';
import { holdBlobs, holdLayerBlobs, lostLayer } from '../layer-blobs.ts';
import { configBytesOf, manifestFor, originalManifest } from '../manifest.ts';
import { neededBlobs } from '../record.ts';
import type { LayerBlob } from '../types.ts';
import { archiveFiles, type ArchiveFile, type ImageToSave } from './save-layout.ts';
import { wantedImages, type WantedImage } from './save-selection.ts';

export interface SaveOptions {
  /** Images of any other platform are refused; null takes what is there. */
  readonly platform: Platform | null;
  readonly signal: AbortSignal;
}

/**
 * The archive of some images as a stream. All that can be wrong with names and blobs is found before its first byte. The
 * blobs are kept from removal until the stream ends, is left, or the signal is aborted.
 */
export async function saveImages(
  context: ImageContext,
  references: readonly string[],
  { platform, signal }: SaveOptions,
): Promise<AsyncIterable<Buffer>> {
  signal.throwIfAborted();
  const wanted = wantedImages(context.catalog, references, platform);
  const held = new HeldBlobs();
  try {
    // At once, before anything is waited for: who removes the images from now on leaves us what they need.
    const needed = wanted.flatMap(({ image }) => neededBlobs(image.id, image.document));
    held.add(await holdBlobs(context, needed));
    const images: ImageToSave[] = [];
    for (const one of wanted) images.push(await imageToSave(context, one, held));
    signal.throwIfAborted();
    const files = archiveFiles(images);
    signal.addEventListener('abort', () => void held.release(), { once: true });
    return stream(context, { wanted, files, held, signal });
  } catch (error) {
    await held.release();
    throw error;
  }
}

/** What is held for one archive; released once. */
class HeldBlobs {
  readonly #held: AsyncDisposable[] = [];

  add(held: AsyncDisposable): void {
    this.#held.push(held);
  }

  async release(): Promise<void> {
    for (const held of this.#held.splice(0)) await held[Symbol.asyncDispose]();
  }
}

async function imageToSave(context: ImageContext, wanted: WantedImage, held: HeldBlobs): Promise<ImageToSave> {
  const { id, document } = wanted.image;
  const holding = await holdLayerBlobs(context, document);
  held.add(holding);
  const layers = document.config.rootfs.diff_ids.map((diffId, index): LayerBlob => {
    const blob = holding.blobs[index] ?? null;
    if (blob !== null) return blob;
    const name = wanted.names[0] === undefined ? id : familiarString(wanted.names[0]);
    throw new DataLossError(`image ${name} cannot be saved: ${lostLayer(context, id, diffId)}: pull or load it again`);
  });
  const configBytes = await configBytesOf(context, wanted.image);
  return {
    id,
    names: wanted.names,
    config: document.config,
    configBytes,
    manifest: manifestFor({
      original: await originalManifest(context, wanted.image),
      layers: layers.map(({ mediaType, digest, sizeBytes }) => ({ mediaType, digest, size: sizeBytes })),
      config: { digest: id, sizeBytes: configBytes.length },
    }),
    layers,
    parent: document.parent ?? null,
  };
}

interface Archive {
  readonly wanted: readonly WantedImage[];
  readonly files: readonly ArchiveFile[];
  readonly held: HeldBlobs;
  readonly signal: AbortSignal;
}

async function* stream(
  { catalog, content }: ImageContext,
  { wanted, files, held, signal }: Archive,
): AsyncGenerator<Buffer, void, void> {
  try {
    // Small pieces go together: each chunk is a system call or two for the front.
    let small: Buffer[] = [directory('blobs/'), directory('blobs/sha256/')];
    for (const { name, content: body } of files) {
      small.push(headerOf(member(name, Buffer.isBuffer(body) ? body.length : body.sizeBytes)));
      if (Buffer.isBuffer(body)) {
        small.push(body, paddingOf(body.length));
        continue;
      }
      yield Buffer.concat(small);
      yield* blobBytes(content, body, signal);
      small = [paddingOf(body.sizeBytes)];
    }
    yield Buffer.concat([...small, END_OF_ARCHIVE]);
    for (const { image } of wanted) catalog.publish('save', image.id, image.id, image);
  } finally {
    await held.release();
  }
}

/**
 * Exactly as many bytes as the header said, and those that the digest says: who keeps an archive in place of an image must
 * not learn from its load that the disk was bad.
 */
async function* blobBytes(
  content: ContentStore,
  { digest, sizeBytes }: Pick<LayerBlob, 'digest' | 'sizeBytes'>,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, void> {
  const hash = createHash('sha256');
  let left = sizeBytes;
  for await (const chunk of (await content.open(digest)) as AsyncIterable<Buffer>) {
    signal.throwIfAborted();
    left -= chunk.length;
    if (left < 0) break;
    hash.update(chunk);
    yield chunk;
  }
  if (left === 0 && `sha256:${hash.digest('hex')}` === digest) return;
  throw new DataLossError(
    `blob ${digest} is damaged: let \`moored check --repair\` drop it, and pull or load its image again`,
  );
}

function directory(name: string): Buffer {
  return headerOf({ ...member(name, 0), type: 'directory', mode: 0o755 });
}

function member(name: string, sizeBytes: number): Parameters<typeof headerOf>[0] {
  return {
    type: 'file',
    name,
    linkName: '',
    sizeBytes,
    mode: 0o644,
    uid: 0,
    gid: 0,
    // Equal images give equal archives.
    mtimeNs: 0n,
    deviceMajor: 0,
    deviceMinor: 0,
    xattrs: new Map(),
    sparse: null,
  };
}
