import type { Clock } from '../../base/clock.ts';
import type { KeyedLock } from '../../base/keyed-lock.ts';
import type { Logger } from '../../base/logger.ts';
import type { ContentStore } from '../content/store.ts';
import type { Platform } from '../oci/image-spec.ts';
import type { RegistryClient } from '../registry/client.ts';
import type { LayerStore } from '../storage/layers.ts';
import type { ImageCatalog } from './catalog.ts';
import type { Collector } from './collector.ts';
import type { Gate } from './gate.ts';
import type { ImageUsers } from './types.ts';

/** Limits of the image room, with dockerd's defaults at the composing place. */
export interface ImageLimits {
  /** Layers downloaded at the same time, over all pulls. */
  readonly maxConcurrentDownloads: number;
  /** How often one layer's download is begun before the pull fails. */
  readonly maxDownloadAttempts: number;
}

/** What every verb of the room works with. */
export interface ImageContext {
  readonly catalog: ImageCatalog;
  readonly collector: Collector;
  readonly content: ContentStore;
  readonly layers: LayerStore;
  readonly registry: RegistryClient;
  readonly users: ImageUsers;
  readonly clock: Clock;
  readonly logger: Logger;
  /** This machine's. */
  readonly platform: Platform;
  /** Written into the configs of imported images as `docker_version`. */
  readonly engineVersion: string;
  /** Replaced when the daemon is reconfigured. */
  limits: ImageLimits;
  readonly downloads: Gate;
  /** One download a blob at a time. */
  readonly blobLock: KeyedLock<string>;
}
