/** First and last address of a run without gaps. */
interface Run {
  readonly first: bigint;
  readonly last: bigint;
}

/**
 * A set of addresses as sorted runs without gaps: containers come and go at the low end of a block, so that thousands of
 * addresses are a few runs, and the lowest free one is found by bisection.
 */
export class AddressSet {
  #runs: Run[] = [];

  /** A set of these values; much faster than adding them one by one. */
  static of(values: Iterable<bigint>): AddressSet {
    const set = new AddressSet();
    const sorted = [...values].sort((a, b) => (a < b ? -1 : Number(a > b)));
    for (const value of sorted) {
      const top = set.#runs.at(-1);
      if (top === undefined || value > top.last + 1n) set.#runs.push({ first: value, last: value });
      else if (value > top.last) set.#runs[set.#runs.length - 1] = { first: top.first, last: value };
    }
    return set;
  }

  has(value: bigint): boolean {
    const run = this.#runs[this.#indexFrom(value)];
    return run !== undefined && run.first <= value;
  }

  /** False when it was there already. */
  add(value: bigint): boolean {
    const index = this.#indexFrom(value);
    const [below, above] = [this.#runs[index - 1], this.#runs[index]];
    if (above !== undefined && above.first <= value) return false;
    const first = below?.last === value - 1n ? below.first : value;
    const last = above?.first === value + 1n ? above.last : value;
    const from = first === value ? index : index - 1;
    const to = last === value ? index : index + 1;
    this.#runs.splice(from, to - from, { first, last });
    return true;
  }

  /** False when it was not there. */
  delete(value: bigint): boolean {
    const index = this.#indexFrom(value);
    const run = this.#runs[index];
    if (run === undefined || run.first > value) return false;
    const rest: Run[] = [];
    if (run.first < value) rest.push({ first: run.first, last: value - 1n });
    if (run.last > value) rest.push({ first: value + 1n, last: run.last });
    this.#runs.splice(index, 1, ...rest);
    return true;
  }

  /** The lowest value from `first` to `last` that is not in the set, or null. */
  lowestFree(first: bigint, last: bigint): bigint | null {
    const run = this.#runs[this.#indexFrom(first)];
    const free = run === undefined || run.first > first ? first : run.last + 1n;
    return free > last ? null : free;
  }

  /** The first run that ends at `value` or above: the one it is in, if it is in any. */
  #indexFrom(value: bigint): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#runs[middle]?.last ?? value) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
