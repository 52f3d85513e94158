import type { Readable } from 'node:stream';
import { InternalError, InvalidArgumentError } from '../../../base/errors.ts';
import { chainIdsOf, digestOf, type Digest, type ImageId } from '../../oci/digest.ts';
import type { HistoryEntry, ImageConfig, Platform } from '../../oci/image-spec.ts';
import { canonicalName, familiarString } from '../../oci/reference.ts';
import { imagesOf, type ArchivedImage } from './images.ts';
import type { ImageContext } from '../context.ts';
import { holdBlobs, holdLayerBlobs, withStandIns } from '../layer-blobs.ts';
import { unpackLayers, type LoadOptions } from './load-layers.ts';
import { layerMediaType } from '../magic.ts';
import type { ImageDocument } from '../record.ts';
import { SpooledArchive, spooledDigest, type SpooledFile } from './spool.ts';
import type { LayerBlob, ProgressSink } from '../types.ts';

/** Images that are made ready at the same time: what they write goes to the disk together. */
const AHEAD = 8;

/** Loads every image of an archive; each becomes visible by itself, whole, in the order of the archive. */
export async function loadImages(
  context: ImageContext,
  source: Readable,
  options: LoadOptions & { readonly platform?: Platform | null },
): Promise<readonly ImageId[]> {
  await using kept = new KeptBlobs(context);
  await using archive = await SpooledArchive.read(context.content, source, {
    signal: options.signal,
    keep: async (digest) => kept.add(digest),
  });
  const loaded: ImageId[] = [];
  let names = 0;
  const images = imagesOf(archive, { native: context.platform, wanted: options.platform ?? null });
  const make = async (image: ArchivedImage, signal: AbortSignal): Promise<ReadyImage> =>
    await makeReady(context, archive, image, { ...options, signal, parentConfig: parentOf(image, images) });
  await using queue = new ReadyQueue(images, options.signal, make);
  for (const image of images) {
    await using ready = await queue.next();
    if (!ready.show()) await bringAnew(() => make(image, options.signal));
    for (const name of image.names) options.progress({ stream: `Loaded image: ${familiarString(name)}\n` });
    names = image.names.length;
    loaded.push(image.id);
    context.catalog.publish('load', image.id, image.id, context.catalog.get(image.id));
  }
  await context.catalog.settled();
  // Docker's rule: what the last image is without, all are told by.
  if (names === 0 && loaded.length > 0) {
    options.progress({ stream: loaded.map((id) => `Loaded image ID: ${id}\n`).join('') });
  }
  return loaded;
}

/** Blobs of the store that stand for the archive's own. */
class KeptBlobs implements AsyncDisposable {
  readonly #context: Pick<ImageContext, 'collector'>;
  readonly #pins = new DisposableStack();
  readonly #digests: Digest[] = [];

  constructor(context: Pick<ImageContext, 'collector'>) {
    this.#context = context;
  }

  async add(digest: Digest): Promise<void> {
    this.#pins.use(await this.#context.collector.pin({ layers: [], blobs: [digest] }));
    this.#digests.push(digest);
  }

  /** What lost its last image meanwhile was spared for us. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#pins.dispose();
    await this.#context.collector.collect({ layers: [], blobs: this.#digests });
  }
}

function parentOf({ parent }: ArchivedImage, images: readonly ArchivedImage[]): ImageConfig | null {
  return images.find(({ id }) => id === parent)?.config ?? null;
}

/** An image whose content is in its place and kept there until this is disposed of. */
interface ReadyImage extends AsyncDisposable {
  /** Makes it visible, with its names. False when it was here before and has been removed since: then it has to be brought. */
  show(): boolean;
}

/** Ends with the image that is brought whole: who removes it meanwhile can only remove what was here before. */
async function bringAnew(make: () => Promise<ReadyImage>): Promise<void> {
  for (;;) {
    await using ready = await make();
    if (ready.show()) return;
  }
}

/** Makes images ready ahead of those who take them, in order. Disposing stops what nobody took. */
class ReadyQueue implements AsyncDisposable {
  readonly #images: readonly ArchivedImage[];
  readonly #make: (image: ArchivedImage, signal: AbortSignal) => Promise<ReadyImage>;
  readonly #begun: Promise<ReadyImage>[] = [];
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #taken = 0;

  constructor(
    images: readonly ArchivedImage[],
    signal: AbortSignal,
    make: (image: ArchivedImage, signal: AbortSignal) => Promise<ReadyImage>,
  ) {
    this.#images = images;
    this.#make = make;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
  }

  /** To be called once an image. */
  async next(): Promise<ReadyImage> {
    for (const image of this.#images.slice(this.#begun.length, this.#taken + AHEAD)) {
      const made = this.#make(image, this.#signal);
      // Its failure counts when it is taken.
      made.catch(() => undefined);
      this.#begun.push(made);
    }
    const first = this.#begun[this.#taken++];
    if (first === undefined) throw new InternalError('there is no further image');
    return await first;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    for (const made of await Promise.allSettled(this.#begun.slice(this.#taken))) {
      if (made.status === 'fulfilled') await made.value[Symbol.asyncDispose]();
    }
  }
}

async function makeReady(
  context: ImageContext,
  archive: SpooledArchive,
  image: ArchivedImage,
  options: LoadOptions & { readonly parentConfig: ImageConfig | null },
): Promise<ReadyImage> {
  const { parentConfig, progress } = options;
  if (parentConfig !== null && !isParent(parentConfig, image.config)) {
    throw new InvalidArgumentError(`image ${image.parent ?? ''} is not a valid parent for ${image.id}`);
  }
  const { catalog } = context;
  if (catalog.get(image.id) === null) return await bringImage(context, archive, image, options);
  await restoreBlobs(context, archive, image);
  return {
    show: () => {
      if (catalog.get(image.id) === null) return false;
      catalog.transaction(() => nameImage(context, image, progress));
      return true;
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** An image that is here already may have lost a blob, or never have fetched it: the archive's stands in. */
async function restoreBlobs(context: ImageContext, archive: SpooledArchive, image: ArchivedImage): Promise<void> {
  const { catalog, content, upkeep } = context;
  const document = catalog.get(image.id)?.document;
  if (document === undefined) return;
  await using held = await holdLayerBlobs(context, document);
  const isWanted = (file: SpooledFile, index: number): boolean =>
    (held.blobs[index] ?? null) === null || spooledDigest(file) === document.blobs.layers[index]?.digest;
  const files = image.layers.map(({ file }) => file);
  const wanted = files.filter(isWanted).map(spooledDigest);
  await using _kept = await holdBlobs(context, [image.id, ...wanted]);
  await content.put(image.configBytes);
  for (const file of files.filter(isWanted)) {
    if ((await content.stat(spooledDigest(file))) === null) await archive.store(file);
  }
  catalog.transaction(() => {
    if (catalog.get(image.id)?.document !== document) return;
    const kept = files.map((file, index) => (isWanted(file, index) ? layerBlob(file) : (held.blobs[index] ?? null)));
    catalog.replace({ id: image.id, document: withStandIns(document, kept) });
    upkeep.clearFlaws([image.id, ...wanted]);
  });
}

async function bringImage(
  context: ImageContext,
  archive: SpooledArchive,
  image: ArchivedImage,
  options: LoadOptions,
): Promise<ReadyImage> {
  const { catalog, collector, content } = context;
  const manifest = image.manifestBytes === null ? null : digestOf(image.manifestBytes);
  await using undo = new AsyncDisposableStack();
  const choice = undo.use(await chooseBlobs(context, image));
  const candidates = {
    layers: chainIdsOf(image.layers.map(({ diffId }) => diffId)),
    blobs: [
      image.id,
      ...(manifest === null ? [] : [manifest]),
      ...[...choice.blobs, ...image.layers.map(({ file }) => layerBlob(file))].map(({ digest }) => digest),
    ],
  };
  // Takes what a failure leaves; of a stored image, what was put for unpacking and is not needed.
  undo.defer(async () => {
    await collector.collect(candidates);
  });
  undo.use(await collector.pin(candidates));
  const unpacked = await unpackLayers(context, archive, image, options);
  await allEnded(choice.files.map(async (file) => archive.store(file)));
  await content.put(image.configBytes);
  if (image.manifestBytes !== null) await content.put(image.manifestBytes);
  options.signal.throwIfAborted();
  const document: ImageDocument = {
    config: image.config,
    sizeBytes: unpacked.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    layers: unpacked.map(({ chainId, sizeBytes }) => ({ chainId, sizeBytes })),
    blobs: { manifest, layers: choice.blobs },
    ...(image.parent === null ? {} : { parent: image.parent }),
  };
  const held = undo.move();
  return {
    show: () => {
      catalog.transaction(() => {
        if (catalog.get(image.id) === null) catalog.add({ id: image.id, document });
        nameImage(context, image, options.progress);
      });
      return true;
    },
    [Symbol.asyncDispose]: async () => held.disposeAsync(),
  };
}

/** Which blobs an image is to have, and which files must be stored for that. */
interface BlobChoice extends AsyncDisposable {
  readonly blobs: readonly LayerBlob[];
  readonly files: readonly SpooledFile[];
}

/**
 * The archive's own blobs where a manifest names them; else a blob of the same layer that the store has already: the
 * plain layers of a docker archive need not lie beside the compressed ones of a pull.
 */
async function chooseBlobs(
  context: ImageContext,
  { config, layers, manifestBytes }: ArchivedImage,
): Promise<BlobChoice> {
  const own = layers.map(({ file }) => layerBlob(file));
  const files = layers.map(({ file }) => file);
  if (manifestBytes !== null) return { blobs: own, files, [Symbol.asyncDispose]: async () => undefined };
  const held = await holdLayerBlobs(context, { config, blobs: { manifest: null, layers: own } });
  return {
    blobs: own.map((blob, index) => held.blobs[index] ?? blob),
    files: files.filter((_, index) => (held.blobs[index] ?? null) === null),
    [Symbol.asyncDispose]: async () => held[Symbol.asyncDispose](),
  };
}

/** Waits for all of them, also when one fails: nothing may write any more when its pins are gone. */
async function allEnded(jobs: readonly Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(jobs);
  await Promise.all(jobs);
}

function layerBlob(file: SpooledFile): LayerBlob {
  const isBlob = file.kind === 'blob';
  return {
    digest: spooledDigest(file),
    sizeBytes: isBlob ? file.sizeBytes : file.bytes.length,
    mediaType: layerMediaType(isBlob ? file.head : file.bytes),
  };
}

/** Docker's rule: a child has its parent's history and one step more. */
function isParent(parent: ImageConfig, child: ImageConfig): boolean {
  const [before, after] = [parent.history ?? [], child.history ?? []];
  if (before.length === 0 && after.length === 0) return true;
  return after.length === before.length + 1 && before.every((step, index) => isSameStep(step, after[index]));
}

function isSameStep(a: HistoryEntry, b: HistoryEntry | undefined): boolean {
  if (b === undefined) return false;
  const text = ({ created, created_by, author, comment, empty_layer }: HistoryEntry): string =>
    JSON.stringify([created ?? '', created_by ?? '', author ?? '', comment ?? '', empty_layer ?? false]);
  return text(a) === text(b);
}

/** Points the archive's names at the image; says so where a name leaves another image. */
function nameImage({ catalog }: ImageContext, image: ArchivedImage, progress: ProgressSink): void {
  for (const reference of image.names) {
    const previous = catalog.tables.imageTagged(canonicalName(reference), reference.tag ?? 'latest');
    if (previous !== null && previous !== image.id) {
      progress({
        stream:
          `The image ${familiarString(reference)} already exists, renaming the old one with ID ${previous} ` +
          'to empty string\n',
      });
    }
    catalog.setTag(image.id, reference);
  }
}
