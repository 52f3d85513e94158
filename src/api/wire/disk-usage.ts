/** `GET /system/df`. */
import type { Timestamp } from '../../base/clock.ts';
import type { JsonValue } from '../../base/json.ts';
import { EVERY_IMAGE, layerBytesOf, layerUsers, sharedBytesOf, type Engine } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import { cacheRow } from './build-cache.ts';
import { listRow } from './container-list.ts';
import { imageRow } from './image.ts';
import { isCurrentReference, networkLookup } from './lookups.ts';
import { volumeDocument } from './volume.ts';

export interface DiskUsageOptions {
  /** Empty: all. */
  readonly types: readonly string[];
  readonly version: ApiVersion;
  readonly now: Timestamp;
}

/** What images, containers, volumes and the build cache take. */
export async function diskUsageDocument(engine: Engine, options: DiskUsageOptions): Promise<JsonValue> {
  const { types, version } = options;
  const wants = (type: string): boolean => types.length === 0 || types.includes(type);
  const images = wants('image') ? await imageUsage(engine, version) : { layersSize: 0, rows: null };
  const cache = wants('build-cache') ? await engine.build.cache() : null;
  const cacheBytes = (cache ?? []).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return {
    LayersSize: images.layersSize,
    Images: images.rows,
    Containers: wants('container') ? await containerUsage(engine, options) : null,
    Volumes: wants('volume') ? await volumeUsage(engine) : null,
    BuildCache: cache?.map((entry) => cacheRow(entry, version)) ?? null,
    // What the rows add up to; from 1.42 on clients add themselves.
    ...(version.before('1.42') && cacheBytes > 0 ? { BuilderSize: cacheBytes } : {}),
  };
}

/** Images that others were built on have no row; their layers are those others' too. */
async function imageUsage(
  engine: Engine,
  version: ApiVersion,
): Promise<{ readonly layersSize: number; readonly rows: JsonValue }> {
  const all = await engine.images.list(EVERY_IMAGE);
  const users = layerUsers(all);
  const containers = Map.groupBy(engine.containers.list(), ({ imageId }) => imageId);
  const rows = (await engine.images.list({ ...EVERY_IMAGE, all: false })).map((image) =>
    imageRow(image, {
      version,
      containers: containers.get(image.id)?.length ?? 0,
      sharedBytes: sharedBytesOf(image, users),
    }),
  );
  return { layersSize: layerBytesOf(all), rows };
}

async function containerUsage(engine: Engine, { version, now }: DiskUsageOptions): Promise<JsonValue> {
  const facts = {
    version,
    now,
    findNetwork: networkLookup(engine),
    isCurrentReference: isCurrentReference(engine),
    linkNames: engine.containers.linkNames(),
  };
  const rows = engine.containers.list().map(async (view) => {
    // It may be removed while we measure.
    const sizes = await engine.containers.sizes(view.id).catch(() => null);
    return sizes === null ? [] : [listRow(view, { ...facts, sizes })];
  });
  return (await Promise.all(rows)).flat();
}

async function volumeUsage(engine: Engine): Promise<JsonValue> {
  // A share on the network is not the engine's, and counting it could take for ever: dockerd leaves these out too.
  const own = engine.volumes.list().filter(({ options }) => !('type' in options || 'device' in options));
  const rows = own.map(async (volume) => {
    // -1 is Docker's word for "unknown": it may be removed while we measure.
    const sizeBytes = await engine.volumes.usage(volume.name).catch(() => -1);
    return volumeDocument(volume, { sizeBytes, users: engine.volumes.usersOf(volume.name).length });
  });
  return Promise.all(rows);
}
