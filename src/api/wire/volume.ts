/** Volumes on the wire. */
import type { JsonValue } from '../../base/json.ts';
import type { VolumeRecord } from '../../engine/index.ts';
import { map, struct, text, omitEmpty } from './go-struct.ts';

/** Body of `POST /volumes/create`. `ClusterVolumeSpec` is swarm's. */
export const VOLUME_CREATE = struct('volume.CreateOptions', {
  Name: omitEmpty(text),
  Driver: omitEmpty(text),
  DriverOpts: omitEmpty(map(text)),
  Labels: omitEmpty(map(text)),
  ClusterVolumeSpec: omitEmpty(map(text)),
});

/** Docker's time has whole seconds here. `usage`: numbers of `system df`. */
export function volumeDocument(
  volume: VolumeRecord,
  usage: { readonly sizeBytes: number; readonly users: number } | null = null,
): JsonValue {
  return {
    CreatedAt: new Date(Number(volume.createdAt / 1_000_000_000n) * 1000).toISOString().replace('.000Z', 'Z'),
    Driver: volume.driver,
    Labels: emptyToNull(volume.labels),
    Mountpoint: volume.mountPoint,
    Name: volume.name,
    Options: emptyToNull(volume.options),
    Scope: 'local',
    ...(usage === null ? {} : { UsageData: { Size: usage.sizeBytes, RefCount: usage.users } }),
  };
}

function emptyToNull(record: Readonly<Record<string, string>>): Readonly<Record<string, string>> | null {
  return Object.keys(record).length === 0 ? null : record;
}
