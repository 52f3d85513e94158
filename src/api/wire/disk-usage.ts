/** `GET /system/df`. */
import type { Timestamp } from '../../base/clock.ts';
import type { JsonValue } from '../../base/json.ts';
import { EVERY_IMAGE, layerBytesOf, type ContainerView, type Engine, type ImageView } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
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

/** What images, containers and volumes take. */
export async function diskUsageDocument(engine: Engine, options: DiskUsageOptions): Promise<JsonValue> {
  const { types, version } = options;
  const wants = (type: string): boolean => types.length === 0 || types.includes(type);
  const images = await engine.images.list(EVERY_IMAGE);
  const containers = engine.containers.list();
  return {
    LayersSize: wants('image') ? layerBytesOf(images) : 0,
    Images: wants('image') ? images.map((image) => imageUsage(image, { images, containers, version })) : null,
    Containers: wants('container') ? await containerUsage(engine, options) : null,
    Volumes: wants('volume') ? await volumeUsage(engine) : null,
    BuildCache: wants('build-cache') ? [] : null,
    ...(version.before('1.42') ? { BuilderSize: 0 } : {}),
  };
}

function imageUsage(
  image: ImageView,
  {
    images,
    containers,
    version,
  }: {
    readonly images: readonly ImageView[];
    readonly containers: readonly ContainerView[];
    readonly version: ApiVersion;
  },
): JsonValue {
  return imageRow(image, {
    version,
    containers: containers.filter(({ imageId }) => imageId === image.id).length,
    sharedBytes: sharedBytesOf(image, images),
  });
}

/** Bytes that this image has together with another one: the whole of it, or of the image it stands on. */
export function sharedBytesOf(image: ImageView, images: readonly ImageView[]): number {
  const others = images.filter(({ id }) => id !== image.id);
  const isInOther = others.some(({ layerChainIds }) => image.chainId !== null && layerChainIds.includes(image.chainId));
  if (isInOther) return image.sizeBytes;
  const bases = others.filter(({ chainId }) => chainId !== null && image.layerChainIds.includes(chainId));
  return Math.max(0, ...bases.map(({ sizeBytes }) => sizeBytes));
}

async function containerUsage(engine: Engine, { version, now }: DiskUsageOptions): Promise<JsonValue> {
  const rows: JsonValue[] = [];
  for (const view of engine.containers.list()) {
    // It may be removed while we measure.
    const sizes = await engine.containers.sizes(view.id).catch(() => null);
    if (sizes === null) continue;
    rows.push(
      listRow(view, {
        version,
        now,
        sizes,
        findNetwork: networkLookup(engine),
        isCurrentReference: isCurrentReference(engine),
      }),
    );
  }
  return rows;
}

async function volumeUsage(engine: Engine): Promise<JsonValue> {
  const rows: JsonValue[] = [];
  for (const volume of engine.volumes.list()) {
    // -1 is Docker's word for "unknown": it may be removed while we measure.
    const sizeBytes = await engine.volumes.usage(volume.name).catch(() => -1);
    rows.push(volumeDocument(volume, { sizeBytes, users: engine.volumes.usersOf(volume.name).length }));
  }
  return rows;
}
