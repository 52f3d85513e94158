/** Which entries of the cache go, by BuildKit's rules. Pure. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { Timestamp } from '../../../base/clock.ts';
import { parseUntil } from '../../../base/until.ts';
import type { BuildCacheEntry, CachePruneRequest } from '../types.ts';

type Matches = (entry: BuildCacheEntry) => boolean;

/** What the rules look at beside the entries. */
export interface PruneFacts {
  readonly now: Timestamp;
  /** Of the disk. */
  readonly freeBytes: number;
}

/**
 * The victims in their order: what was not used for longest first, but nothing before what stands on it.
 * InvalidArgumentError for a time that is none, or an unknown filter.
 */
export function victimsOf(
  entries: readonly BuildCacheEntry[],
  request: CachePruneRequest,
  facts: PruneFacts,
): readonly BuildCacheEntry[] {
  const matches = matcherOf(request, facts.now);
  const total = entries.reduce((sum, entry) => sum + ownBytes(entry), 0);
  const bound = boundOf(total, request, facts);
  const children = new Map<string, number>();
  for (const parent of entries.flatMap(({ parents }) => parents)) {
    children.set(parent, (children.get(parent) ?? 0) + 1);
  }
  const victims: BuildCacheEntry[] = [];
  let left = total;
  let candidates = entries.filter(matches).sort((a, b) => compare(lastUse(a), lastUse(b)) || a.uses - b.uses);
  for (;;) {
    const before = victims.length;
    const blocked: BuildCacheEntry[] = [];
    for (const entry of candidates) {
      if (bound !== null && left <= bound) return victims;
      if ((children.get(entry.id) ?? 0) > 0) {
        blocked.push(entry);
        continue;
      }
      victims.push(entry);
      left -= ownBytes(entry);
      for (const parent of entry.parents) children.set(parent, (children.get(parent) ?? 0) - 1);
    }
    if (victims.length === before) return victims;
    candidates = blocked;
  }
}

/** What comes free with it. */
export function ownBytes({ shared, sizeBytes }: BuildCacheEntry): number {
  return shared ? 0 : sizeBytes;
}

/** How much may stay; null: nothing is said of it. */
function boundOf(
  total: number,
  { keepBytes, maxUsedBytes, minFreeBytes }: CachePruneRequest,
  { freeBytes }: PruneFacts,
): number | null {
  if (keepBytes === null && maxUsedBytes === null && minFreeBytes === null) return null;
  const excess = (minFreeBytes ?? 0) - freeBytes;
  const bounds = [
    ...(maxUsedBytes === null ? [] : [maxUsedBytes]),
    ...(minFreeBytes === null ? [] : [excess > 0 ? total - excess : total]),
  ];
  return Math.max(keepBytes ?? 0, bounds.length === 0 ? 0 : Math.min(...bounds));
}

function matcherOf({ all, until, filters }: CachePruneRequest, now: Timestamp): Matches {
  const limit = until === null ? null : parseUntil(until, now);
  const conditions = [...filters].map(([name, values]) => conditionOf(name, values));
  return (entry) =>
    !entry.inUse &&
    (all || !entry.shared) &&
    (limit === null || lastUse(entry) < limit) &&
    conditions.every((holds) => holds(entry));
}

function conditionOf(name: string, values: readonly string[]): Matches {
  const [value = '', ...more] = values;
  if (more.length > 0) {
    throw new InvalidArgumentError(`invalid filter '${name}=[${values.join(' ')}]': filters expect only one value`);
  }
  const is = (fact: (entry: BuildCacheEntry) => boolean): Matches => {
    const wanted = !['false', '0'].includes(value);
    return (entry) => fact(entry) === wanted;
  };
  switch (name) {
    case 'id':
      return ({ id }) => id.includes(value);
    case 'parent':
    case 'parents':
      return ({ parents }) => parents.includes(value);
    case 'type':
      return ({ kind }) => kind === value;
    case 'description':
      return ({ description }) => description === value;
    case 'inuse':
      return is(({ inUse }) => inUse);
    case 'mutable':
      return is(({ kind }) => kind === 'exec.cachemount');
    case 'immutable':
      return is(({ kind }) => kind !== 'exec.cachemount');
    case 'shared':
      return is(({ shared }) => shared);
    case 'private':
      return is(({ shared }) => !shared);
    default:
      throw new InvalidArgumentError(`invalid filter '${name}'`);
  }
}

function lastUse({ lastUsedAt, createdAt }: BuildCacheEntry): Timestamp {
  return lastUsedAt ?? createdAt;
}

function compare(a: Timestamp, b: Timestamp): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
