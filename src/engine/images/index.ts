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
import { parseReference, withDefaultTag } from '../oci/reference.ts';
import type { RegistryClient } from '../registry/client.ts';
import { ImageTables } from '../state/images.ts';
import type { Database } from '../state/database.ts';
import { LayerTable } from '../state/layers.ts';
import type { LayerStore } from '../storage/layers.ts';
import { NotFoundError } from '../../base/errors.ts';
import { ImageCatalog } from './catalog.ts';
import { Collector } from './collector.ts';
import type { ImageContext, ImageLimits } from './context.ts';
import { Gate } from './gate.ts';
import { historyOf } from './history.ts';
import { listImages } from './list.ts';
import type { PullDesk } from './pull-desk.ts';
import { removeImage, untagImage } from './remove.ts';
import { tagImage } from './tag.ts';
import type { Images, ImageUsers } from './types.ts';

export interface ImagesDependencies {
  readonly database: Database;
  readonly content: ContentStore;
  readonly layers: LayerStore;
  readonly registry: RegistryClient;
  readonly events: Events;
  readonly users: ImageUsers;
  readonly clock: Clock;
  readonly logger: Logger;
  /** This machine's, in Go's words: what is chosen from an index. */
  readonly platform: Platform;
  /** Goes into the configs of imported images. */
  readonly engineVersion: string;
  readonly limits: ImageLimits;
}

/** The room, with what only the composing place calls. */
export interface ImageRoom extends Images {
  /** At start-up, after the layer store's own sweep: takes away what a killed daemon left half brought in. */
  recover(): Promise<void>;
  /** Gives new limits: those of downloads count for all that begin from now on. */
  reconfigure(limits: ImageLimits): void;
}

/** Makes the image room. */
export function createImages(dependencies: ImagesDependencies): ImageRoom {
  const { database, content, layers, registry, events, clock, logger } = dependencies;
  const catalog = new ImageCatalog(new ImageTables(database), clock, events);
  const collector = new Collector({ catalog, content, layers, layerTable: new LayerTable(database), logger });
  const context: ImageContext = {
    ...dependencies,
    catalog,
    collector,
    downloads: new Gate(dependencies.limits.maxConcurrentDownloads),
    blobLock: new KeyedLock<string>(),
  };
  // Validators of foreign documents take 50 ms to load: they come with the first pull or load, not with every start.
  let desk: Promise<PullDesk> | null = null;
  const pullDesk = (): Promise<PullDesk> =>
    (desk ??= import('./pull-desk.ts').then(({ PullDesk }) => new PullDesk(context)));
  return {
    reconfigure(limits) {
      context.limits = limits;
      context.downloads.widen(limits.maxConcurrentDownloads);
    },
    list: async (filter) => listImages(context, filter),
    get: (ref) => catalog.view(catalog.lookUp(ref)),
    find: (ref) => {
      try {
        return catalog.view(catalog.lookUp(ref));
      } catch (error) {
        if (error instanceof NotFoundError) return null;
        throw error;
      }
    },
    history: (ref) => historyOf(context, ref),
    pull: async (reference, options) => catalog.view(await (await pullDesk()).pull(parseReference(reference), options)),
    load: async (archive, options) => (await import('./load.ts')).loadImages(context, archive, options),
    importTar: async (archive, options) => (await import('./import.ts')).importTar(context, archive, options),
    tag: (ref, repository, tag) => tagImage(context, ref, repository, tag),
    untag: (reference) => untagImage(context, reference),
    remoteDigest: async (reference, options) =>
      (await registry.resolve(withDefaultTag(parseReference(reference)), options)).descriptor.digest,
    watch: (listener) => catalog.watch(listener),
    remove: async (ref, options) => removeImage(context, ref, options),
    authenticate: async (serverAddress, auth, signal) => registry.authenticate(serverAddress, auth, signal),
    recover: async () => collector.collectAll(),
  };
}
