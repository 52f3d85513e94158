import { humanSize } from '../../base/byte-size.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { ChainId } from '../oci/digest.ts';
import type { LayerRow } from '../state/layers.ts';
import type { StorageRoom, StorageSide } from '../storage/moving.ts';

/** What is to be moved, and what the target has already. */
export interface Freight {
  readonly sources: readonly StorageSide[];
  readonly targetLayers: readonly LayerRow[];
  readonly containers: readonly { readonly id: ContainerId; readonly driver: string | null }[];
}

/** Bytes that the target takes for what it does not have yet. What cannot be read counts nothing: it is told when its turn comes. */
export async function roomNeeded(
  { sources, targetLayers, containers }: Freight,
  { copiesParents }: Pick<StorageRoom, 'copiesParents'>,
): Promise<number> {
  const there = new Set<string>(targetLayers.map(({ chainId }) => chainId));
  const known = [...sources.flatMap((source) => source.layers()), ...targetLayers];
  const rows = new Map<string, LayerRow>(known.map((row) => [row.chainId, row]));
  /** With its parents where those are copied. */
  const sizeOf = (top: ChainId | null): number => {
    let sum = 0;
    for (let row = rows.get(top ?? ''); row !== undefined; row = rows.get(row.parent ?? '')) sum += row.sizeBytes;
    return sum;
  };
  let needed = 0;
  for (const { chainId, sizeBytes } of rows.values()) {
    if (!there.has(chainId)) needed += copiesParents ? sizeOf(chainId) : sizeBytes;
  }
  for (const { id, driver } of containers) {
    const source = sources.find(({ name }) => name === driver);
    const stood = (await source?.container(id).catch(() => null)) ?? null;
    if (source === undefined || stood === null) continue;
    needed += (await source.usage(id).catch(() => 0)) + (copiesParents ? sizeOf(stood.parent) : 0);
  }
  return needed;
}

/** What to do about too little room, in words. */
export function tooLittleRoom(target: string, neededBytes: number, freeBytes: number): string {
  return (
    `moving everything to ${target} takes about ${humanSize(neededBytes)}, and ${humanSize(freeBytes)} are free where it ` +
    'keeps its data: make room, or begin all the same with --force'
  );
}
