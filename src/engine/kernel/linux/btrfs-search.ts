/**
 * Reading Btrfs's own trees. The argument of the call:
 *
 * ```
 *   0  tree u64 · objectid min, max u64 · offset min, max u64 · transaction min, max u64 · type min, max u32 · items u32 …
 * 104  size of what follows u64
 * 112  items: transaction u64 · objectid u64 · offset u64 · type u32 · length u32 · that many bytes
 * ```
 */
import { call, requestBoth } from './btrfs-ioctl.ts';

const TREE_SEARCH_V2 = requestBoth('BTRFS_IOC_TREE_SEARCH_V2', 17, 112);
const ITEMS_AT = 112;
const HEADER_BYTES = 32;
const ITEMS_BYTES = 16 * 1024;
const ALL_BITS = 0xffff_ffff_ffff_ffffn;

/** Where to look: items of one type that belong to one object. */
export interface SearchRange {
  readonly tree: bigint;
  readonly objectId: bigint;
  readonly type: number;
  /** The only offset that is wanted; all unless given. */
  readonly offset?: bigint;
}

/** One item of a tree. */
export interface TreeItem {
  readonly offset: bigint;
  readonly body: Buffer;
}

/** The items in a range, by their offsets. ENOENT when there is no such tree. */
export async function searchTree(fd: number, range: SearchRange, path: string): Promise<readonly TreeItem[]> {
  const { tree, objectId, type } = range;
  const last = range.offset ?? ALL_BITS;
  const found: TreeItem[] = [];
  for (let first = range.offset ?? 0n; first <= last;) {
    const argument = Buffer.alloc(ITEMS_AT + ITEMS_BYTES);
    const numbers = [tree, objectId, objectId, first, last, 0n, ALL_BITS];
    numbers.forEach((value, index) => argument.writeBigUInt64LE(value, index * 8));
    argument.writeUInt32LE(type, 56);
    argument.writeUInt32LE(type, 60);
    argument.writeUInt32LE(0xffff_ffff, 64);
    argument.writeBigUInt64LE(BigInt(ITEMS_BYTES), 104);
    await call(fd, TREE_SEARCH_V2, argument, path);
    const items = itemsIn(argument);
    found.push(...items);
    first = (items.at(-1)?.offset ?? last) + 1n;
  }
  return found;
}

function itemsIn(argument: Buffer): readonly TreeItem[] {
  const items: TreeItem[] = [];
  let at = ITEMS_AT;
  for (let left = argument.readUInt32LE(64); left > 0; left -= 1) {
    const end = at + HEADER_BYTES + argument.readUInt32LE(at + 28);
    items.push({ offset: argument.readBigUInt64LE(at + 16), body: argument.subarray(at + HEADER_BYTES, end) });
    at = end;
  }
  return items;
}
