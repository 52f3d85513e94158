/** How the layers become one value for each option, and how that is remembered. Pure. */
import type { Assignment } from './assignment.ts';
import type { OptionDefinition, OptionValue } from './options.ts';
import { BUILT_IN, type Origin } from './origin.ts';

/** What all layers together say of one option. */
export interface Setting {
  readonly option: OptionDefinition;
  readonly value: OptionValue;
  /** Where the value comes from: the last place that had a say. */
  readonly origin: Origin;
  /** Every place that had a say, weakest first: more than one for lists and maps that grew. */
  readonly origins: readonly Origin[];
  /** What was said in vain, weakest first. */
  readonly overridden: readonly Overridden[];
}

export interface Overridden {
  readonly value: OptionValue;
  readonly origin: Origin;
}

/** Assignments by layer, weakest first. Within one group lists and maps grow; a stronger group replaces a weaker one. */
export type Groups = readonly (readonly Assignment[])[];

/** One setting for each option, in the table's order. */
export function mergeLayers(options: readonly OptionDefinition[], groups: Groups): readonly Setting[] {
  const said = new Map<string, Assignment[][]>();
  for (const [index, group] of groups.entries()) {
    for (const assignment of group) {
      const { flag } = assignment.option;
      const own = said.get(flag) ?? groups.map(() => []);
      own[index]?.push(assignment);
      said.set(flag, own);
    }
  }
  return options.map((option) => settle(option, said.get(option.flag) ?? []));
}

function settle(option: OptionDefinition, groups: Groups): Setting {
  const spoken = groups.filter((group) => group.length > 0);
  // Containers may use any runtime that somebody registered: dockerd merges these from everywhere.
  const counting = option.flag === 'add-runtime' ? spoken.flat() : (spoken.at(-1) ?? []);
  const lost = option.flag === 'add-runtime' ? [] : spoken.slice(0, -1).flat();
  const last = counting.at(-1);
  if (last === undefined) {
    return { option, value: option.fallback, origin: BUILT_IN, origins: [BUILT_IN], overridden: [] };
  }
  if (option.type === 'list' || option.type === 'map') {
    const value = option.type === 'list' ? joined(counting) : united(counting);
    const origins = counting.map(({ origin }) => origin);
    return { option, value, origin: last.origin, origins, overridden: lost.map(overridden) };
  }
  return {
    option,
    value: last.value,
    origin: last.origin,
    origins: [last.origin],
    overridden: [...lost, ...counting.slice(0, -1)].map(overridden),
  };
}

function overridden({ value, origin }: Assignment): Overridden {
  return { value, origin };
}

/** In order, each entry once. */
function joined(assignments: readonly Assignment[]): readonly string[] {
  return [...new Set(assignments.flatMap(({ value }) => value as readonly string[]))];
}

function united(assignments: readonly Assignment[]): Readonly<Record<string, string>> {
  return Object.assign({}, ...assignments.map(({ value }) => value)) as Readonly<Record<string, string>>;
}
