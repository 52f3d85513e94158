/** `--cache-from`, as dockerd's first builder has it: a step is known when an image's history goes on with it. */
import { formatTimestamp, type Timestamp } from '../../../base/clock.ts';
import type { StoredImage } from '../../images/catalog.ts';
import type { HistoryEntry } from '../../oci/image-spec.ts';
import type { CapturedLayer } from '../../storage/packing.ts';
import type { CachedStep } from '../cache/record.ts';
import { candidatesOf } from '../cache/step-cache.ts';
import type { BuildJob } from './job.ts';
import { topOf, type StageState } from './state.ts';

interface Found {
  readonly created: string;
  readonly layer: CapturedLayer | null;
}

/** Null when no image has it, or the layer is not here. */
export async function fromHistory(job: BuildJob, state: StageState, createdBy: string): Promise<Found | null> {
  for (const source of job.cacheSources) {
    const entry = nextEntry(source, state);
    if (entry?.created_by !== createdBy) continue;
    const created = entry.created ?? '';
    if (entry.empty_layer === true) return { created, layer: null };
    const layer = layerAfter(source, state);
    if (layer === null) continue;
    await job.holds.add(candidatesOf(layer));
    const { ground, signal } = job;
    if (await ground.cache.provide(layer, { parent: topOf(state), signal })) return { created, layer };
  }
  return null;
}

/** Whether one of the images has that very step: where images are named, no other one is taken, as dockerd's builder does. */
export function isInHistory(job: BuildJob, state: StageState, createdBy: string, step: CachedStep): boolean {
  const created = formatTimestamp(timeOf(job, step.createdAt));
  return job.cacheSources.some((source) => {
    const entry = nextEntry(source, state);
    if (entry?.created_by !== createdBy || entry.created !== created) return false;
    if (step.layer === null) return entry.empty_layer === true;
    return entry.empty_layer !== true && layerAfter(source, state)?.diffId === step.layer.diffId;
  });
}

/** With `SOURCE_DATE_EPOCH` everything is of that time. */
export function timeOf({ epoch }: BuildJob, createdAt: Timestamp): Timestamp {
  return epoch === null ? createdAt : ((BigInt(epoch) * 1_000_000_000n) as Timestamp);
}

/** What comes in an image's history after that of `state`; null when it does not begin so. */
function nextEntry({ document: { config } }: StoredImage, { image }: StageState): HistoryEntry | null {
  const past = image?.document.config.history ?? [];
  const history = config.history ?? [];
  const diffIds = image?.document.config.rootfs.diff_ids ?? [];
  const isPrefix =
    past.every((entry, index) => isSame(entry, history[index])) &&
    diffIds.every((diffId, index) => config.rootfs.diff_ids[index] === diffId);
  return isPrefix ? (history[past.length] ?? null) : null;
}

function isSame(a: HistoryEntry, b: HistoryEntry | undefined): boolean {
  return (
    b !== undefined &&
    a.created === b.created &&
    a.created_by === b.created_by &&
    a.comment === b.comment &&
    a.author === b.author &&
    (a.empty_layer ?? false) === (b.empty_layer ?? false)
  );
}

/** The image's layer above those of `state`; null where there is none. */
function layerAfter({ document }: StoredImage, { image }: StageState): CapturedLayer | null {
  const place = image?.document.layers.length ?? 0;
  const diffId = document.config.rootfs.diff_ids[place];
  const layer = document.layers[place];
  const blob = document.blobs.layers[place];
  if (diffId === undefined || layer === undefined || blob === undefined) return null;
  const { digest, sizeBytes, mediaType } = blob;
  return { ...layer, diffId, blob: { digest, sizeBytes, mediaType } };
}
