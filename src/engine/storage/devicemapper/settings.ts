import type { Mount } from '../../oci/mount.ts';
import type { DeviceFileSystem } from './file-systems.ts';

/** How devices are made and mounted; see dockerd's `dm.` storage options. */
export interface DeviceSettings {
  /** `dm.basesize`; null: 10 GiB, and a base that is there stays as large as it is. */
  readonly baseSizeBytes: number | null;
  /** `dm.fs`; null: what works best here. */
  readonly fileSystem: DeviceFileSystem | null;
  /** `dm.mkfsarg`. */
  readonly mkfsWords: readonly string[];
  /** `dm.mountopt`. */
  readonly mountWords: readonly string[];
  /** `dm.min_free_space`; 0: new devices are made as long as there is any. */
  readonly minFreePercent: number;
  /** `dm.use_deferred_removal` */
  readonly deferredRemoval: boolean;
  /** `dm.use_deferred_deletion` */
  readonly deferredDeletion: boolean;
}

/** dockerd's. */
export const DEFAULT_SETTINGS: DeviceSettings = {
  baseSizeBytes: null,
  fileSystem: null,
  mkfsWords: [],
  mountWords: [],
  minFreePercent: 10,
  deferredRemoval: true,
  deferredDeletion: true,
};

/** How a device is mounted. All mounts of one device have the same words: the kernel takes no others. */
export function deviceMount(
  source: string,
  type: DeviceFileSystem,
  { mountWords, mode }: { readonly mountWords: readonly string[]; readonly mode: 'rw' | 'ro' },
): Mount {
  // Snapshots of one file system all have its UUID, and xfs mounts each UUID once.
  return { type, source, options: [mode, ...(type === 'xfs' ? ['nouuid'] : []), ...mountWords] };
}
