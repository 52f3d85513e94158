/**
 * Lists whose entries count upwards, written short: `[80, 81, 82]` is three times `80`, each one more. What is published by
 * the thousand is stored so.
 */

/** Entries that follow one another `times` over, each time one further; see {@link packRuns}. */
export interface Run<T> {
  readonly run: readonly T[];
  readonly times: number;
}

/** Entries side by side that count upwards together: the two families of one port, say. */
const WIDTHS = [1, 2];
/** A shorter run is not worth its own words. */
const LEAST_TIMES = 4;

/** Writes runs short; `shift` gives an entry that is so many further, `equal` compares two. */
export function packRuns<T>(
  items: readonly T[],
  shift: (item: T, by: number) => T,
  equal: (a: T, b: T) => boolean,
): readonly (T | Run<T>)[] {
  const packed: (T | Run<T>)[] = [];
  for (let at = 0; at < items.length;) {
    const { width, times } = longestRun(items, at, (a, b) => equal(shift(a, 1), b));
    if (times >= LEAST_TIMES) {
      packed.push({ run: items.slice(at, at + width), times });
      at += width * times;
    } else {
      packed.push(...items.slice(at, at + 1));
      at += 1;
    }
  }
  return packed;
}

/** The list that {@link packRuns} was given. */
export function unpackRuns<T extends object>(
  packed: readonly (T | Run<T>)[],
  shift: (item: T, by: number) => T,
): readonly T[] {
  return packed.flatMap((entry) => {
    if (!isRun(entry)) return [entry];
    const { run, times } = entry;
    return Array.from({ length: times }, (_, by) => run.map((item) => shift(item, by))).flat();
  });
}

function isRun<T extends object>(entry: T | Run<T>): entry is Run<T> {
  return 'run' in entry && 'times' in entry;
}

function longestRun<T>(
  items: readonly T[],
  start: number,
  follows: (a: T, b: T) => boolean,
): { readonly width: number; readonly times: number } {
  let best = { width: 1, times: 1 };
  for (const width of WIDTHS) {
    let end = start + width;
    for (;;) {
      const [item, before] = [items[end], items[end - width]];
      if (item === undefined || before === undefined || !follows(before, item)) break;
      end += 1;
    }
    const times = Math.floor((end - start) / width);
    if (width * times > best.width * best.times) best = { width, times };
    if (times >= LEAST_TIMES) break;
  }
  return best;
}
