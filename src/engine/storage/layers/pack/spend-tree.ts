import { chmodSync, lchownSync, lstatSync } from 'node:fs';
import type { FileCalls } from '../../../kernel/files.ts';
import type { DifferenceSource, PackResult, SpendJob } from '../job.ts';
import { layerFault } from '../layer-fault.ts';
import type { ByteString } from '../tar/entry.ts';
import { parentOf } from '../tar/path.ts';
import type { LayerTools } from '../tools.ts';
import { JailedTree } from '../tree/jailed-tree.ts';
import { layerXattrs } from '../tree/layer-attributes.ts';
import type { JobControl } from '../unpack/unpack-blob.ts';
import { compareTrees, type Comparison } from './compare-trees.ts';
import { packDifferences, packOverlay } from './pack-layer.ts';
import { tidyUpper } from './tidy-upper.ts';

const ROOT_MODE = 0o755;
const NS_PER_SECOND = 1_000_000_000n;

/**
 * Packs what a tree has changed, and makes of the tree itself what that layer would be, unpacked onto its parents. Null,
 * and all is as it was, for a tree that cannot become one. Nobody else writes to it.
 */
export async function spendTree(
  { source, blobPath, latestTime }: SpendJob,
  tools: LayerTools,
  control: JobControl,
): Promise<PackResult | null> {
  if (source.form === 'overlay') {
    tidyUpper(source, tools.files, { control, latestTime });
    return packOverlay(source.root, { blobPath, tools, control });
  }
  const comparison = compareTrees(source, tools.files, control);
  // A snapshot of a tree has nothing of the subvolumes in it.
  if (comparison.apart.isSplit) return null;
  if (latestTime !== null) limitTimes(source, comparison, { latestTime, files: tools.files });
  const packed = await packDifferences(source.root, comparison, { blobPath, tools, control });
  tidyTree(source, comparison, tools.files);
  return packed;
}

/** Nothing that has changed is later than that. */
function limitTimes(
  { root }: DifferenceSource,
  { differences }: Comparison,
  { latestTime, files }: { readonly latestTime: number; readonly files: FileCalls },
): void {
  using tree = new JailedTree(root, files);
  const latestNs = BigInt(latestTime) * NS_PER_SECOND;
  for (const { path, kind } of differences) {
    if (kind === 'deleted') continue;
    try {
      if (tree.info(path).mtimeNs > latestNs) tree.setModified(path, latestNs);
    } catch (error) {
      throw layerFault('utimensat', path, error);
    }
  }
}

/** Takes away what the layer has not, and gives back times that only the engine's own files have changed. */
function tidyTree(source: DifferenceSource, { differences, apart }: Comparison, files: FileCalls): void {
  using tree = new JailedTree(source.root, files);
  const times = new Map(apart.touched);
  const remove = (path: ByteString): void => {
    const directory = parentOf(path);
    if (!times.has(directory)) times.set(directory, tree.info(directory).mtimeNs);
    tree.remove(path);
    times.delete(path);
  };
  try {
    for (const path of apart.ours) remove(path);
    for (const { path, kind } of differences) {
      if (kind === 'deleted') continue;
      if (tree.info(path).isSocket()) remove(path);
      else tree.dropMarks(path);
    }
    for (const [path, mtimeNs] of times) tree.setModified(path, mtimeNs);
    describeRoot(source, files);
  } catch (error) {
    throw layerFault('unlink', '', error);
  }
}

/** No layer says anything about the root: it is its parent's. */
function describeRoot({ root, parents: [parent] }: DifferenceSource, files: FileCalls): void {
  const place = Buffer.from(root);
  const before = parent === undefined ? null : lstatSync(parent);
  const wanted = parent === undefined ? new Map<string, Buffer>() : layerXattrs(files, Buffer.from(parent));
  lchownSync(root, before?.uid ?? 0, before?.gid ?? 0);
  for (const name of layerXattrs(files, place).keys()) if (!wanted.has(name)) files.removeXattr(place, name);
  for (const [name, value] of wanted) files.setXattr(place, name, value);
  // After an ACL, whose mask is part of it.
  chmodSync(root, (before?.mode ?? ROOT_MODE) & 0o7777);
}
