/** `GET /system/df`. */
import type { Timestamp } from '../../base/clock.ts';
import type { JsonValue } from '../../base/json.ts';
import type { ContainerView, Engine, ImageView } from '../../engine/index.ts';
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
  const images = await engine.images.list({
    all: true,
    references: [],
    dangling: null,
    labels: [],
    before: null,
    since: null,
  });
  const containers = engine.containers.list();
  return {
    LayersSize: wants('image') ? layersSize(images) : 0,
    Images: wants('image') ? images.map((image) => imageUsage(image, { images, containers, version })) : null,
    Containers: wants('container') ? await containerUsage(engine, options) : null,
    Volumes: wants('volume') ? await volumeUsage(engine) : null,
    BuildCache: wants('build-cache') ? [] : null,
    ...(version.before('1.42') ? { BuilderSize: 0 } : {}),
  };
}

/** Bytes of all layers, each counted once: an image's own are those that no larger stack repeats. */
function layersSize(images: readonly ImageView[]): number {
  const byTop = new Map(images.map((image) => [image.chainId, image.sizeBytes]));
  let total = 0;
  for (const [, sizeBytes] of byTop) total += sizeBytes;
  return total - sharedTotal(images);
}

/** What the sum over stacks counts more than once: for each image the largest other image that it stands on. */
function sharedTotal(images: readonly ImageView[]): number {
  const tops = new Map(images.map((image) => [image.chainId, image]));
  let shared = 0;
  for (const image of tops.values()) {
    const below = image.layerChainIds.slice(0, -1).reverse();
    const base = below.map((chainId) => tops.get(chainId)).find((found) => found !== undefined);
    shared += base?.sizeBytes ?? 0;
  }
  return shared;
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
