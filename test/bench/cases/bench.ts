import type { Contender } from '../peers.ts';
import { interleave, type Cost } from '../side-by-side.ts';

/** One run of the bench: who competes, and what is asked for. */
export interface Bench {
  readonly sides: readonly Contender[];
  readonly runs: number;
  /** True when a case of this group was asked for: its preparations are worth making. */
  wants(group: string): boolean;
  /** Prints medians and the ratio to the best peer. */
  compare(title: string, step: (side: Contender) => Promise<Cost>, options?: { readonly runs: number }): Promise<void>;
}

export function makeBench(sides: readonly Contender[], runs: number, only: readonly string[]): Bench {
  return {
    sides,
    runs,
    wants: (group) => only.length === 0 || only.includes(group),
    compare: (title, step, options) => interleave(title, sides, step, { runs, ...options }),
  };
}
