/**
 * How images are made here: commit, import and build end in this one path. What an image needs is held first
 * ({@link holdNew}), its document made of its parent's ({@link childDocument}), and in the end blobs and rows are written:
 * any number of images by one wait for the disk and in one transaction.
 */
import type { ContentStore } from '../content/store.ts';
import { digestOf, type ImageId } from '../oci/digest.ts';
import {
  MediaType,
  type HistoryEntry,
  type ImageConfig,
  type ImageRunConfig,
  type Platform,
} from '../oci/image-spec.ts';
import type { NamedReference } from '../oci/reference.ts';
import type { CapturedLayer } from '../storage/packing.ts';
import type { ImageCatalog, StoredImage } from './catalog.ts';
import { configDocument } from './config-document.ts';
import type { Candidates, Collector } from './collector.ts';
import type { ImageDocument } from './record.ts';

/** An image that is not stored yet, with its config's bytes. */
export interface NewImage extends StoredImage {
  readonly bytes: Buffer;
}

/** What makes a child differ from its parent. */
export interface ChildChange {
  /** The image that it is made on; null: none. Its platform is the child's. */
  readonly parent: StoredImage | null;
  /** For an image on nothing. */
  readonly platform: Platform;
  readonly config: ImageRunConfig;
  /** Keys of what was a container: its id and how it was configured. */
  readonly made?: Pick<ImageConfig, 'container' | 'container_config'>;
  readonly author: string;
  readonly created: string;
  readonly history: HistoryEntry;
  /** Null: the tree has not changed. */
  readonly layer: CapturedLayer | null;
  /** Written as `docker_version`. */
  readonly engineVersion: string;
}

/** The document of an image that stands on another one. Keys are in the order of their names, as dockerd writes them. */
export function childDocument(change: ChildChange): ImageDocument {
  const { parent, author, config, made, created, history, layer, engineVersion } = change;
  const below = parent?.document ?? emptyDocument(change.platform);
  const { architecture, variant, os, rootfs, history: past = [] } = below.config;
  const osVersion = below.config['os.version'];
  return {
    config: {
      architecture,
      ...(author === '' ? {} : { author }),
      config: configDocument(config),
      ...made,
      created,
      docker_version: engineVersion,
      history: [...past, history],
      os,
      ...(osVersion === undefined ? {} : { 'os.version': osVersion }),
      rootfs: { type: 'layers', diff_ids: [...rootfs.diff_ids, ...(layer === null ? [] : [layer.diffId])] },
      ...(variant === undefined || variant === '' ? {} : { variant }),
    },
    sizeBytes: below.sizeBytes + (layer?.sizeBytes ?? 0),
    layers: [...below.layers, ...(layer === null ? [] : [{ chainId: layer.chainId, sizeBytes: layer.sizeBytes }])],
    blobs: {
      // Stand-ins with them.
      ...below.blobs,
      manifest: null,
      layers: [...below.blobs.layers, ...(layer === null ? [] : [layerBlob(layer)])],
    },
    ...(parent === null ? {} : { parent: parent.id }),
  };
}

/** How a document names the blob of a layer. */
export function layerBlob({ blob }: CapturedLayer): ImageDocument['blobs']['layers'][number] {
  return { ...blob, mediaType: blob.mediaType ?? MediaType.dockerLayerGzip };
}

function emptyDocument(platform: Platform): ImageDocument {
  return {
    config: { ...platform, rootfs: { type: 'layers', diff_ids: [] } },
    sizeBytes: 0,
    layers: [],
    blobs: { manifest: null, layers: [] },
  };
}

/** The image of a document: its id is the digest of its config's bytes. */
export function newImage(document: ImageDocument): NewImage {
  const bytes = Buffer.from(JSON.stringify(document.config));
  return { id: digestOf(bytes), document, bytes };
}

/** Protects what is about to be named; what nobody has named by the end is taken away. */
export async function holdNew(collector: Collector, candidates: Candidates): Promise<AsyncDisposable> {
  const pin = await collector.pin(candidates);
  return {
    [Symbol.asyncDispose]: async () => {
      pin[Symbol.dispose]();
      await collector.collect(candidates);
    },
  };
}

export interface WriteOptions {
  /** Names of the last image. */
  readonly names: readonly NamedReference[];
  /** False: a crash of the host may damage what is written; it is only good until the next start. */
  readonly isLasting?: boolean;
  /** More that belongs to the same transaction. */
  readonly also?: () => void;
  readonly signal?: AbortSignal;
}

/** Stores images with their configs, parents first. What else they need is there and held by the caller. */
export async function writeImages(
  { catalog, content }: { readonly catalog: ImageCatalog; readonly content: ContentStore },
  images: readonly NewImage[],
  { names, isLasting = true, also, signal }: WriteOptions,
): Promise<void> {
  await content.putAll(
    images.map(({ bytes }) => bytes),
    { isLasting },
  );
  signal?.throwIfAborted();
  const last: ImageId | undefined = images.at(-1)?.id;
  catalog.transaction(() => {
    for (const { id, document } of images) catalog.add({ id, document });
    if (last !== undefined) for (const name of names) catalog.setTag(last, name);
    also?.();
  });
  if (isLasting) await catalog.settled();
}
