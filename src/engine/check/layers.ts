import { messageOf, NotFoundError } from '../../base/errors.ts';
import type { StoredImage } from '../images/catalog.ts';
import { chainIdOn, type ChainId, type Digest } from '../oci/digest.ts';
import type { LayerRow } from '../state/layers.ts';
import type { CheckRun, DriverStore, Fault } from './ground.ts';

type Mending = Awaited<ReturnType<NonNullable<Fault['mend']>>>;

/** How many differences a finding names. */
const SHOWN_DIFFERENCES = 3;

/** Every layer, lowest first: is its tree there, on its parent, and (deep) what its blob says? */
export async function checkLayers(run: CheckRun): Promise<void> {
  for (const store of await run.stores()) await checkLayersOf(run, store);
}

async function checkLayersOf(run: CheckRun, store: DriverStore): Promise<void> {
  const rows = parentsFirst(store.layerTable.all());
  for (const [index, row] of rows.entries()) {
    run.progress('layers', index, rows.length);
    const blob = await run.blobFor(row.diffId);
    using _pin = await run.needs.images.collector.pin({ layers: [row.chainId], blobs: blob === null ? [] : [blob] });
    run.counts.layers += 1;
    if (chainIdOn(row.parent, row.diffId) !== row.chainId) {
      // What it says of the layer is no measure for its files, and the next check looks at them.
      await reportRow(run, store, row);
      continue;
    }
    const problem = await problemOf(run, store, row, blob);
    if (problem !== null) await reportLayer(run, store, { row, blob, problem });
  }
}

/** A layer is named by what it is made of: its row has lost that. Images that have the layer know it. */
async function reportRow(run: CheckRun, { layerTable }: DriverStore, { chainId }: LayerRow): Promise<void> {
  const known = run
    .images()
    .map(({ document }) => rowIn(document, chainId))
    .find((found) => found !== null);
  const base = {
    kind: 'state',
    subject: `layer ${chainId}`,
    problem: 'its row names another parent or content',
  } as const;
  if (known === undefined) {
    const remedy = 'no image knows it: remove what stands on it, or restore the state file from a backup';
    await run.report({ ...base, remedy, mend: null });
    return;
  }
  const mend = async (): Promise<Mending> => {
    try {
      layerTable.correct(known);
      return await Promise.resolve({ outcome: 'repaired', remedy: 'written as the image has it' });
    } catch (error) {
      return { outcome: 'remains', remedy: messageOf(error) };
    }
  };
  await run.report({ ...base, remedy: 'can be written as the image has it', mend });
}

function rowIn({ layers, config }: StoredImage['document'], chainId: ChainId): Omit<LayerRow, 'sizeBytes'> | null {
  const index = layers.findIndex((layer) => layer.chainId === chainId);
  const diffId = config.rootfs.diff_ids[index];
  const parent = layers[index - 1]?.chainId ?? null;
  return diffId !== undefined && chainIdOn(parent, diffId) === chainId ? { chainId, parent, diffId } : null;
}

async function problemOf(
  run: CheckRun,
  { upkeep }: DriverStore,
  { chainId }: LayerRow,
  blob: Digest | null,
): Promise<string | null> {
  const { content } = run.needs;
  try {
    const wrong = await upkeep.examine(chainId);
    if (wrong !== null || !run.options.deep || blob === null) return wrong;
    const differences = await upkeep.compare(chainId, await content.pathOf(blob), run.options.signal);
    if (differences.length === 0) return null;
    const more = differences.length > SHOWN_DIFFERENCES ? ', …' : '';
    return `${differences.slice(0, SHOWN_DIFFERENCES).join(', ')}${more}`;
  } catch (error) {
    run.options.signal.throwIfAborted();
    // Removed since the list was made.
    if (error instanceof NotFoundError) return null;
    return `it could not be compared with its blob: ${messageOf(error)}`;
  }
}

interface BadLayer {
  readonly row: LayerRow;
  readonly blob: Digest | null;
  readonly problem: string;
}

async function reportLayer(run: CheckRun, store: DriverStore, { row, blob, problem }: BadLayer): Promise<void> {
  const images = run.images().filter(({ document }) => document.layers.some(({ chainId }) => chainId === row.chainId));
  const running = await runningOn(run, store, row.chainId);
  const isInUse = store.name === run.needs.name;
  const told = isInUse ? problem : `${problem} (storage driver ${store.name})`;
  const base = { kind: 'layer', subject: row.chainId, problem: told, sizeBytes: row.sizeBytes } as const;
  if (running.length > 0) {
    const remedy = `stop ${running.join(', ')} and repair again`;
    await run.report({ ...base, remedy, mend: null });
  } else if (blob !== null) {
    const remedy = 'can be unpacked again from its blob';
    await run.report({ ...base, remedy, mend: async () => rebuild(run, store, row, blob) });
  } else if (!isInUse) {
    const remedy = 'remove the containers that stand on it, or give it up with "moored migrate-storage --remove-old"';
    await run.report({ ...base, remedy, mend: null });
  } else {
    const names = images.map((image) => run.nameOf(image)).join(', ');
    const remedy = names === '' ? 'no image needs it' : `pull ${names} again`;
    await run.report({ ...base, remedy, mend: async () => giveUp(run, row, images, remedy) });
  }
}

async function rebuild(run: CheckRun, store: DriverStore, { chainId }: LayerRow, blob: Digest): Promise<Mending> {
  const { content, images } = run.needs;
  try {
    await store.upkeep.rebuild(chainId, await content.pathOf(blob), run.options.signal);
  } catch (error) {
    run.options.signal.throwIfAborted();
    return { outcome: 'remains', remedy: `it could not be unpacked again: ${messageOf(error)}` };
  }
  images.upkeep.clearFlaws([chainId]);
  return { outcome: 'repaired', remedy: 'unpacked again from its blob' };
}

/** Nothing here has its content: the row stays, since a pull puts the tree in its place under whatever stands on it. */
async function giveUp(
  run: CheckRun,
  { chainId }: LayerRow,
  images: readonly StoredImage[],
  remedy: string,
): Promise<Mending> {
  if (images.length > 0) {
    run.mark(images, chainId, 'layer');
    return { outcome: 'remains', remedy: `marked; ${remedy}` };
  }
  try {
    await run.needs.layers.remove(chainId);
    return { outcome: 'repaired', remedy: 'removed: no image needs it' };
  } catch (error) {
    return { outcome: 'remains', remedy: messageOf(error) };
  }
}

/** Names of running containers whose root stands on a layer. */
export async function runningOn(run: CheckRun, store: DriverStore, wanted: ChainId): Promise<readonly string[]> {
  const names: string[] = [];
  for (const container of run.containers()) {
    if ('unreadable' in container || !['running', 'paused'].includes(container.live.state.status)) continue;
    if (container.document.storageDriver !== store.name) continue;
    const snapshot = await store.upkeep.snapshotOf(container.id).catch(() => null);
    for (let at = snapshot?.parent ?? null; at !== null; at = store.layerTable.get(at)?.parent ?? null) {
      if (at === wanted) names.push(container.name);
    }
  }
  return names;
}

function parentsFirst(rows: readonly LayerRow[]): readonly LayerRow[] {
  const byId = new Map(rows.map((row) => [row.chainId, row]));
  const sorted = new Set<LayerRow>();
  const add = (row: LayerRow): void => {
    const chain: LayerRow[] = [];
    for (let at: LayerRow | undefined = row; at !== undefined && !sorted.has(at) && !chain.includes(at);) {
      chain.unshift(at);
      at = at.parent === null ? undefined : byId.get(at.parent);
    }
    for (const one of chain) sorted.add(one);
  };
  rows.forEach(add);
  return [...sorted];
}
