/** Handing out disjoint runs of ids. Pure: what is taken is given. */
import type { IdMapping } from '../../oci/id-mapping.ts';
import type { IdRun } from './subordinate.ts';

/** `size` ids of the pool that nobody has, as low as there are; null when no gap is as large. */
export function freeRun(pool: readonly IdRun[], taken: readonly IdRun[], size: number): IdRun | null {
  const gap = without(pool, taken).find(({ count }) => count >= size);
  return gap === undefined ? null : { first: gap.first, count: size };
}

/** What is left of `runs` without `others`, lowest first. */
export function without(runs: readonly IdRun[], others: readonly IdRun[]): readonly IdRun[] {
  const left: IdRun[] = [];
  const barriers = [...others].sort((a, b) => a.first - b.first);
  for (const run of [...runs].sort((a, b) => a.first - b.first)) {
    let from = run.first;
    const end = run.first + run.count;
    for (const barrier of barriers) {
      const barrierEnd = barrier.first + barrier.count;
      if (barrierEnd <= from || barrier.first >= end) continue;
      if (barrier.first > from) left.push({ first: from, count: barrier.first - from });
      from = Math.max(from, barrierEnd);
    }
    if (from < end) left.push({ first: from, count: end - from });
  }
  return left;
}

/** What is in both. */
export function common(runs: readonly IdRun[], others: readonly IdRun[]): readonly IdRun[] {
  return without(runs, without(runs, others));
}

/** The ids of a user namespace that has one run, from 0 on. */
export function mappingOfRun({ first, count }: IdRun): IdMapping {
  const runs = [{ containerID: 0, hostID: first, size: count }];
  return { uids: runs, gids: runs };
}
