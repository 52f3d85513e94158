/** What is there and nobody needs. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCodeOf, messageOf } from '../../base/errors.ts';
import type { BlobInfo } from '../content/store.ts';
import type { ChainId } from '../oci/digest.ts';
import type { CheckRun, Fault } from './ground.ts';

type Mending = Awaited<ReturnType<NonNullable<Fault['mend']>>>;

/** Beside a daemon at work: what is nameless now and still then is not just on its way to a name. */
const SECOND_LOOK_MS = 2000;
/** As long as an unfinished download is waited for; see the collector. */
const UNFINISHED_AGE_NS = 24n * 3600n * 1_000_000_000n;

export async function checkLeftovers(run: CheckRun): Promise<void> {
  run.progress('leftovers', 0, 1);
  const blobs = await namelessBlobs(run);
  const layers = namelessLayers(run);
  if (run.needs.isOnline && blobs.length + layers.length > 0) {
    await run.needs.clock.sleep(SECOND_LOOK_MS, run.options.signal);
  }
  for (const blob of blobs) await leftoverBlob(run, blob);
  // Children before their parents.
  for (const chainId of layers) await leftoverLayer(run, chainId);
  await unfinished(run);
  for (const { upkeep } of await run.stores()) {
    for (const { name, sizeBytes, remove } of await upkeep.leftovers(() => containerIds(run))) {
      await leftover(run, name, 'no layer and no container has these files', sizeBytes, remove);
    }
  }
  await directories(run);
}

async function leftover(
  run: CheckRun,
  subject: string,
  problem: string,
  sizeBytes: number,
  remove: () => Promise<boolean>,
): Promise<void> {
  const mend = async (): Promise<Mending> => {
    try {
      return (await remove())
        ? { outcome: 'repaired', remedy: 'removed' }
        : { outcome: 'repaired', remedy: 'somebody needs it after all' };
    } catch (error) {
      return { outcome: 'remains', remedy: `it could not be removed: ${messageOf(error)}` };
    }
  };
  await run.report({ kind: 'leftover', subject, problem, sizeBytes, remedy: 'can be removed', mend });
}

async function namelessBlobs(run: CheckRun): Promise<readonly BlobInfo[]> {
  const found: BlobInfo[] = [];
  for await (const blob of run.needs.content.walk()) if (isNameless(run, blob)) found.push(blob);
  return found;
}

function isNameless(run: CheckRun, { digest }: BlobInfo): boolean {
  const { catalog, collector } = run.needs.images;
  return !catalog.tables.isBlobUsed(digest) && !collector.isBlobPinned(digest);
}

async function leftoverBlob(run: CheckRun, blob: BlobInfo): Promise<void> {
  const { digest, sizeBytes } = blob;
  if (!isNameless(run, blob) || (await run.needs.content.stat(digest)) === null) return;
  await leftover(run, digest, 'no image needs this blob', sizeBytes, async () => {
    await run.needs.images.collector.collect({ layers: [], blobs: [digest] });
    return (await run.needs.content.stat(digest)) === null;
  });
}

/** Layers that no image stands on, children first. Those of containers are sorted out one by one. */
function namelessLayers(run: CheckRun): readonly ChainId[] {
  const { catalog, collector } = run.needs.images;
  const used = catalog.usedLayers();
  const rows = run.needs.layerTable
    .all()
    .filter(({ chainId }) => !used.has(chainId) && !collector.isLayerPinned(chainId));
  const parents = new Map(rows.map(({ chainId, parent }) => [chainId, parent]));
  const depthOf = (chainId: ChainId): number => {
    let depth = 0;
    for (let at = parents.get(chainId) ?? null; at !== null && depth < rows.length; at = parents.get(at) ?? null)
      depth += 1;
    return depth;
  };
  return rows.map(({ chainId }) => chainId).toSorted((a, b) => depthOf(b) - depthOf(a));
}

async function leftoverLayer(run: CheckRun, chainId: ChainId): Promise<void> {
  const row = run.needs.layerTable.get(chainId);
  if (row === null || !namelessLayers(run).includes(chainId) || (await isStoodOn(run, chainId))) return;
  await leftover(run, chainId, 'no image and no container needs this layer', row.sizeBytes, async () => {
    await run.needs.images.collector.collect({ layers: [chainId], blobs: [] });
    return run.needs.layerTable.get(chainId) === null;
  });
}

async function isStoodOn(run: CheckRun, chainId: ChainId): Promise<boolean> {
  for (const { id } of run.containers()) {
    const snapshot = await run.needs.upkeep.snapshotOf(id).catch(() => null);
    for (let at = snapshot?.parent ?? null; at !== null; at = run.needs.layerTable.get(at)?.parent ?? null) {
      if (at === chainId) return true;
    }
  }
  return false;
}

async function unfinished(run: CheckRun): Promise<void> {
  const { content, clock } = run.needs;
  const limit = clock.now() - UNFINISHED_AGE_NS;
  for (const { name, sizeBytes, writtenAt, isHeld, isResumable } of await content.unfinished()) {
    const isWorthless = !isResumable && !run.needs.isOnline;
    if (isHeld || !(isWorthless || writtenAt < limit)) continue;
    await leftover(run, name, 'an unfinished download', sizeBytes, async () => content.dropUnfinished(name));
  }
}

async function directories(run: CheckRun): Promise<void> {
  const { directories: places, volumes } = run.needs;
  for (const name of await namesIn(places.containers)) {
    if (containerIds(run).has(name)) continue;
    const path = join(places.containers, name);
    await leftover(run, path, 'the container is gone', 0, async () => {
      await rm(path, { recursive: true, force: true });
      return true;
    });
  }
  const known = new Set(volumes.list().map(({ name }) => name));
  for (const name of await namesIn(places.volumes)) {
    // No volume has such a name: what keeps their sizes has notes there.
    if (known.has(name) || name.startsWith('.')) continue;
    const subject = join(places.volumes, name);
    // Data is never removed on a guess.
    const remedy = 'it may hold data: look at it, and remove it by hand';
    await run.report({ kind: 'leftover', subject, problem: 'no volume has this directory', remedy, mend: null });
  }
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

function containerIds(run: CheckRun): ReadonlySet<string> {
  return new Set(run.needs.containers.all().map(({ id }) => id));
}
