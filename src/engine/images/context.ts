import type { Clock } from '../../base/clock.ts';
import type { KeyedLock } from '../../base/keyed-lock.ts';
import type { Logger } from '../../base/logger.ts';
import type { ContentStore } from '../content/store.ts';
import type { Platform } from '../oci/image-spec.ts';
import type { RegistryClient } from '../registry/client.ts';
import type { ImageUpkeepTable } from '../state/image-upkeep.ts';
import type { LayerStore } from '../storage/layers.ts';
import type { LayerPacker } from '../storage/packing.ts';
import type { ImageCatalog } from './catalog.ts';
import type { Collector } from './collector.ts';
import type { Gate } from '../../base/gate.ts';
import type { ImageUsers } from './types.ts';

/** Limits of the image room, with dockerd's defaults at the composing place. */
export interface ImageLimits {
  /** Layers downloaded at the same time, over all pulls. */
  readonly maxConcurrentDownloads: number;
  /** How often one layer's download is begun again before the pull fails. */
  readonly maxDownloadAttempts: number;
  /** Layers sent at the same time, over all pushes. */
  readonly maxConcurrentUploads: number;
}

/** What every verb of the room works with. */
export interface ImageContext {
  readonly catalog: ImageCatalog;
  readonly collector: Collector;
  readonly upkeep: ImageUpkeepTable;
  readonly content: ContentStore;
  readonly layers: LayerStore;
  readonly packer: Pick<LayerPacker, 'capture' | 'compress'>;
  readonly registry: RegistryClient;
  readonly users: ImageUsers;
  readonly clock: Clock;
  readonly logger: Logger;
  /** This machine's. */
  readonly platform: Platform;
  /** The same with its CPU level: what is looked for in an index when nobody asks for a platform. */
  readonly bestPlatform: Platform;
  /** Written into the configs of imported images as `docker_version`. */
  readonly engineVersion: string;
  /** Replaced when the daemon is reconfigured. */
  limits: ImageLimits;
  readonly downloads: Gate;
  /** One download (or compression) a blob at a time. */
  readonly blobLock: KeyedLock<string>;
  readonly uploads: Gate;
  /** One upload a layer and repository at a time. */
  readonly uploadLock: KeyedLock<string>;
}
