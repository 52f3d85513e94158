import type { Config } from './config.ts';
import { nameOf, type OptionFlag, type OptionValue } from './options.ts';
import type { Origin } from './origin.ts';

/** One option that changed. */
export interface ConfigChange {
  readonly flag: OptionFlag;
  /** Its key in daemon.json, or its flag. */
  readonly key: string;
  readonly from: OptionValue;
  readonly to: OptionValue;
  /** A reload applies it; else it needs a restart. */
  readonly reloadable: boolean;
  /** Where the new value comes from; `default` when the key was removed everywhere. */
  readonly origin: Origin;
}

/**
 * What a reload finds changed. An option that nothing sets any more goes back to its default, whichever it is: dockerd
 * does that for some and keeps the old value of the others.
 */
export function diffConfig(running: Config, next: Config): readonly ConfigChange[] {
  const before = new Map(running.settings.map((setting) => [setting.option.flag, setting.value]));
  return Object.freeze(
    next.settings.flatMap(({ option, value, origin }) => {
      const from = before.get(option.flag) ?? option.fallback;
      if (sameValue(from, value)) return [];
      const reloadable = option.live === true;
      return [
        Object.freeze({ flag: option.flag as OptionFlag, key: nameOf(option), from, to: value, reloadable, origin }),
      ];
    }),
  );
}

/** Maps are equal in any order, lists only in the same one: of DNS servers the first is asked first. */
function sameValue(one: OptionValue, other: OptionValue): boolean {
  return canonical(one) === canonical(other);
}

function canonical(value: OptionValue): string {
  if (typeof value !== 'object' || Array.isArray(value)) return JSON.stringify(value);
  return JSON.stringify(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
