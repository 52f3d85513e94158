/**
 * The image room: names → images, and the verbs that bring images in and take them away. It stores nothing itself: rows
 * are in state, bytes in content, trees in storage, and registries are asked by the registry room. It knows containers
 * only as users of images ({@link ImageUsers}).
 */
import type { Clock } from '../../base/clock.ts';
import { KeyedLock } from '../../base/keyed-lock.ts';
import type { Logger } from '../../base/logger.ts';
import type { ContentStore } from '../content/store.ts';
import type { Events } from '../events/types.ts';
import type { Platform } from '../oci/image-spec.ts';
import { withDefaultTag } from '../oci/reference.ts';
import type { RegistryClient } from '../registry/client.ts';
import { searchList } from '../registry/names.ts';
import { ImageTables } from '../state/images.ts';
import { ImageUpkeepTable } from '../state/image-upkeep.ts';
import type { Database } from '../state/database.ts';
import type { LayerTable } from '../state/layers.ts';
import type { LayerStore } from '../storage/layers.ts';
import type { LayerPacker } from '../storage/packing.ts';
import { NotFoundError } from '../../base/errors.ts';
import { ImageCatalog, type StoredImage } from './catalog.ts';
import { Collector } from './collector.ts';
import type { ImageContext, ImageLimits } from './context.ts';
import { Gate } from '../../base/gate.ts';
import { historyOf } from './history.ts';
import { listImages } from './list.ts';
import { assertFits } from './platforms.ts';
import type { PullDesk } from './pull/desk.ts';
import { removeImage, untagImage } from './remove.ts';
import { authAt, pullFirst } from './search-list.ts';
import { tagImage } from './tag.ts';
import type { Images, ImageUsers } from './types.ts';

export interface ImagesDependencies {
  readonly database: Database;
  readonly content: ContentStore;
  readonly layers: LayerStore;
  /** Of the same storage driver. */
  readonly layerTable: LayerTable;
  readonly packer: Pick<LayerPacker, 'capture' | 'compress'>;
  readonly registry: RegistryClient;
  readonly events: Events;
  readonly users: ImageUsers;
  readonly clock: Clock;
  readonly logger: Logger;
  /** This machine's, in Go's words. */
  readonly platform: Platform;
  /** The same with its CPU level: what is chosen from an index. */
  readonly bestPlatform: Platform;
  /** Goes into the configs of imported images. */
  readonly engineVersion: string;
  /** Where names without a registry are looked for before docker.io; asked each time. None by default. */
  readonly addedRegistries?: () => readonly string[];
  readonly limits: ImageLimits;
}

/** The room, with what only the composing place calls. */
export interface ImageRoom extends Images {
  /** At start-up, after the layer store's own sweep: takes away what a killed daemon left half brought in. */
  recover(): Promise<void>;
  /** The rest of that, once containers and builds are recovered; see {@link Collector.collectStoodOn}. */
  settle(): Promise<void>;
  /** Gives new limits: those of downloads count for all that begin from now on. */
  reconfigure(limits: ImageLimits): void;
  /** Notes that the image with this name or id is put to use now; nothing when there is none. */
  touch(ref: string): void;
  /** Takes away what was left lying; see {@link Collector.collectLeftovers}. */
  collectLeftovers(): Promise<void>;
  /** The catalog and what keeps it whole, for the check of the store. */
  readonly store: ImageStore;
}

/** What a check of the store looks into. */
export interface ImageStore {
  readonly catalog: ImageCatalog;
  readonly collector: Collector;
  readonly upkeep: ImageUpkeepTable;
}

/** Makes the image room. */
export function createImages(dependencies: ImagesDependencies): ImageRoom {
  const { database, content, layers, layerTable, registry, events, clock, logger } = dependencies;
  const catalog = new ImageCatalog(new ImageTables(database), clock, events, dependencies.addedRegistries);
  const collector = new Collector({ catalog, content, layers, layerTable, clock, logger });
  const upkeep = new ImageUpkeepTable(database);
  const context: ImageContext = {
    ...dependencies,
    catalog,
    collector,
    upkeep,
    downloads: new Gate(dependencies.limits.maxConcurrentDownloads),
    blobLock: new KeyedLock<string>(),
    uploads: new Gate(dependencies.limits.maxConcurrentUploads),
    uploadLock: new KeyedLock<string>(),
  };
  const added = dependencies.addedRegistries ?? ((): readonly string[] => []);
  // Validators of foreign documents take 50 ms to load: they come with the first pull or load, not with every start.
  let desk: Promise<PullDesk> | null = null;
  const pullDesk = (): Promise<PullDesk> =>
    (desk ??= import('./pull/desk.ts').then(({ PullDesk }) => new PullDesk(context)));
  return {
    reconfigure(limits) {
      context.limits = limits;
      context.downloads.widen(limits.maxConcurrentDownloads);
      context.uploads.widen(limits.maxConcurrentUploads);
    },
    ...lookingVerbs(context),
    ...registryVerbs(context, added),
    pull: async (reference, options) => {
      const room = await pullDesk();
      const candidates = searchList(reference, added());
      const pulled = await pullFirst(candidates, { ...options, logger }, async (one, progress) =>
        room.pull(one, { ...options, auth: authAt(one, reference, options.auth), progress }),
      );
      return catalog.view(pulled);
    },
    push: async (text, options) => {
      const reference = catalog.referenceOf(text);
      const shown = { ...options, auth: authAt(reference, text, options.auth) };
      return catalog.view(await (await import('./push/push.ts')).pushImage(context, reference, shown));
    },
    load: async (archive, options) => (await import('./archive/load.ts')).loadImages(context, archive, options),
    save: async (references, options) => (await import('./archive/save.ts')).saveImages(context, references, options),
    importTar: async (archive, options) => (await import('./import.ts')).importTar(context, archive, options),
    commit: async (request) => (await import('./commit.ts')).commitImage(context, request),
    tag: (ref, repository, tag) => tagImage(context, ref, repository, tag),
    untag: (reference) => untagImage(context, reference),
    remoteDigest: async (text, options) => {
      const reference = withDefaultTag(catalog.referenceOf(text));
      const shown = { ...options, auth: authAt(reference, text, options.auth) };
      return (await registry.resolve(reference, shown)).descriptor.digest;
    },
    remove: async (ref, options) => removeImage(context, ref, options),
    recover: async () => collector.collectAll(),
    settle: async () => collector.collectStoodOn(),
    lastUses: () => upkeep.lastUses(),
    touch: (ref) => {
      const image = found(catalog, ref);
      if (image !== null) upkeep.touch(image.id, clock.now());
    },
    collectLeftovers: async () => collector.collectLeftovers(),
    collectChain: async (top) => collector.collectChain(top),
    provide: async (ref, signal) => (await import('./provide.ts')).provideLayers(context, ref, signal),
    store: { catalog, collector, upkeep },
  };
}

/** Verbs that only ask registries. */
function registryVerbs(
  context: ImageContext,
  added: () => readonly string[],
): Pick<Images, 'distribution' | 'search' | 'removeRemote' | 'authenticate'> {
  return {
    distribution: async (text, options) =>
      (await import('./distribution.ts')).distributionOf(context, text, added(), options),
    search: async (term, options) => (await import('./distribution.ts')).searchImages(context, term, options),
    removeRemote: async (reference, options) =>
      (await import('./distribution.ts')).removeRemote(context, reference, options),
    authenticate: async (serverAddress, auth, signal) => context.registry.authenticate(serverAddress, auth, signal),
  };
}

/** Verbs that only look. */
function lookingVerbs(
  context: ImageContext,
): Pick<Images, 'list' | 'get' | 'find' | 'describeStorage' | 'history' | 'watch'> {
  const { catalog, layers } = context;
  return {
    list: async (filter) => listImages(context, filter),
    get: (ref, platform = null) => {
      const image = catalog.lookUp(ref);
      assertFits(ref, image.document.config, platform);
      return catalog.view(image);
    },
    find: (ref) => {
      const image = found(catalog, ref);
      return image === null ? null : catalog.view(image);
    },
    describeStorage: async (ref) => {
      const top = catalog.lookUp(ref).document.layers.at(-1);
      // After a change of storage driver it is unpacked when it is first needed.
      return top === undefined || (await layers.stat(top.chainId)) === null ? {} : layers.describe(top.chainId);
    },
    history: (ref, platform = null) => historyOf(context, ref, platform),
    watch: (listener) => catalog.watch(listener),
  };
}

function found(catalog: ImageCatalog, ref: string): StoredImage | null {
  try {
    return catalog.lookUp(ref);
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    throw error;
  }
}
