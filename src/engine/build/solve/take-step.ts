import { constants } from 'node:fs';
import { copyFile, truncate } from 'node:fs/promises';
import { parseTimestamp } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import type { StageState as Wording } from '../../dockerfile/apply-config.ts';
import type { CapturedLayer } from '../../storage/packing.ts';
import type { CachedStep } from '../cache/record.ts';
import { candidatesOf } from '../cache/step-cache.ts';
import { fromHistory, isInHistory, timeOf } from './cache-from.ts';
import type { BuildJob, StagePlace } from './job.ts';
import { stepKey } from './keys.ts';
import { advance, topOf, type StageState } from './state.ts';

/** One step, ready to be done. */
export interface Step {
  /** What the stage has come to after it. */
  readonly wording: Wording;
  /** Docker's text for the history. */
  readonly createdBy: string;
  /** The instruction, for people. */
  readonly description: string;
  /** All that decides what comes of it, beside the state. */
  readonly parts: readonly unknown[];
  /** Makes the layer, with its blob at `draftPath`; null: the configuration alone changes. */
  readonly make: ((draftPath: string) => Promise<CapturedLayer | null>) | null;
  /** Names the layer whatever it stands on; absent or null: it depends on that. */
  readonly linkKey?: string | null;
}

/** Takes a step from the cache, or does it. */
export async function takeStep(place: StagePlace, state: StageState, step: Step): Promise<StageState> {
  const { job } = place;
  const { ground, request, signal } = job;
  const key = stepKey(state, job.epoch, step.parts);
  job.uses.use(ground.cache.use(key));
  const takeOrMake = async (): Promise<CachedStep> =>
    (await taken(place, state, { ...step, key })) ?? (await made(place, state, { ...step, key }));
  const isAlone = request.noCache || step.make === null;
  const done = isAlone ? await takeOrMake() : await ground.cache.turn(key, takeOrMake, signal);
  const { wording, createdBy } = step;
  const createdAt = timeOf(job, done.createdAt);
  const result = { wording, createdBy, createdAt, layer: done.layer, key };
  const next = advance(state, result, ground.engineVersion);
  job.documents.take(next.image.bytes);
  return next;
}

type KeyedStep = Step & { readonly key: string };

async function taken({ job, voice }: StagePlace, state: StageState, step: KeyedStep): Promise<CachedStep | null> {
  const { ground, request, holds, signal } = job;
  if (request.noCache) return null;
  const hold: typeof holds.add = async (candidates) => holds.add(candidates);
  const own = await ground.cache.find(step.key, { hold, parent: topOf(state), signal });
  const isWelcome = own !== null && (request.cacheFrom.length === 0 || isInHistory(job, state, step.createdBy, own));
  const found = isWelcome ? own : await foundElsewhere(job, state, step);
  if (found === null) return null;
  job.taken.add(step.key);
  await voice.line(' ---> Using cache');
  return found;
}

/** In the history of a `--cache-from` image; it is remembered from then on. */
async function foundElsewhere(job: BuildJob, state: StageState, step: KeyedStep): Promise<CachedStep | null> {
  const found = await fromHistory(job, state, step.createdBy);
  if (found === null) return null;
  const { key, description } = step;
  const createdAt = parseTimestamp(found.created) ?? job.ground.clock.now();
  const cached = { key, parent: state.layeredStep, description, createdAt, layer: found.layer };
  job.ground.cache.put(cached);
  return cached;
}

async function made(place: StagePlace, state: StageState, step: KeyedStep): Promise<CachedStep> {
  const { job } = place;
  const { key, description, make, linkKey = null } = step;
  const { cache, clock } = job.ground;
  const layer = make === null ? null : await makeLayer(place, state, { make, linkKey });
  job.signal.throwIfAborted();
  const done = { key, parent: state.layeredStep, description, createdAt: clock.now(), layer };
  // What was made of the same before goes with the build, unless an image has it.
  const before = cache.kept(key);
  if (before !== null) await job.holds.add(before);
  cache.put(done);
  if (linkKey !== null && layer !== null) cache.putLink(linkKey, done);
  return done;
}

async function makeLayer(
  place: StagePlace,
  state: StageState,
  { make, linkKey }: { readonly make: NonNullable<Step['make']>; readonly linkKey: string | null },
): Promise<CapturedLayer | null> {
  const { ground, gate, holds, signal } = place.job;
  using _place = await gate.enter(signal);
  await using draft = await ground.content.draft();
  const known = linkKey === null ? null : await relinked(place, state, { linkKey, draftPath: draft.path });
  const layer = known ?? (await make(draft.path));
  if (layer === null) return null;
  await holds.add(candidatesOf(layer));
  // An equal layer that somebody else removed meanwhile has gone with this one.
  if ((await ground.layers.stat(layer.chainId)) === null) {
    await ground.layers.unpack({ blobPath: draft.path, parent: topOf(state), diffId: layer.diffId, signal });
  }
  // The image waits for the disk once, for all of its layers.
  await draft.publish(layer.blob, { isLasting: false });
  return layer;
}

/** The layer of that name, on what is below now; null when it was never made, or has gone. */
async function relinked(
  { job, voice }: StagePlace,
  state: StageState,
  { linkKey, draftPath }: { readonly linkKey: string; readonly draftPath: string },
): Promise<CapturedLayer | null> {
  const { ground, request, holds, signal } = job;
  const found = request.noCache ? null : ground.cache.linked(linkKey);
  if (found === null) return null;
  const { diffId, blob } = found;
  await holds.add({ layers: [], blobs: [blob.digest] });
  if ((await ground.content.stat(blob.digest))?.sizeBytes !== blob.sizeBytes) return null;
  try {
    await copyFile(await ground.content.pathOf(blob.digest), draftPath, constants.COPYFILE_FICLONE);
    const layer = await ground.layers.unpack({ blobPath: draftPath, parent: topOf(state), diffId, signal });
    await voice.line(' ---> Using cache');
    return { ...layer, blob };
  } catch (error) {
    signal.throwIfAborted();
    ground.logger.warn('a layer of the build cache could not be used again', { diffId, reason: messageOf(error) });
    await truncate(draftPath);
    return null;
  }
}
