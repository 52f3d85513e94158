import { InvalidArgumentError } from '../../../base/errors.ts';
import { withSuggestion } from '../text/suggestion.ts';

/** `truth`: `--link`, `--link=false`; `text`: one value; `list`: may be given again and again. */
type FlagKind = 'truth' | 'text' | 'list';

/** Flags of one instruction, read by the rules that it has for them. */
export interface Flags {
  text(name: string): string | null;
  list(name: string): readonly string[];
  /** Null: not given. */
  truth(name: string): boolean | null;
}

/** InvalidArgumentError in Docker's words. */
export function readFlags(flags: readonly string[], kinds: Readonly<Record<string, FlagKind>>): Flags {
  const values = new Map<string, readonly string[]>();
  for (const flag of flags) {
    const equals = flag.indexOf('=');
    const written = equals < 0 ? flag : flag.slice(0, equals);
    const name = written.slice(2);
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    if (kind === undefined) {
      throw new InvalidArgumentError(withSuggestion(`unknown flag: ${written}`, name, Object.keys(kinds)));
    }
    const before = values.get(name) ?? [];
    if (kind !== 'list' && before.length > 0) throw new InvalidArgumentError(`duplicate flag specified: ${written}`);
    const value = equals < 0 ? null : flag.slice(equals + 1);
    values.set(name, [...before, checkedValue(kind, written, value)]);
  }
  return {
    text: (name) => values.get(name)?.[0] ?? null,
    list: (name) => values.get(name) ?? [],
    truth: (name) => {
      const value = values.get(name)?.[0];
      return value === undefined ? null : value === 'true';
    },
  };
}

function checkedValue(kind: FlagKind, written: string, value: string | null): string {
  if (kind === 'truth') {
    if (value === '') throw new InvalidArgumentError(`missing a value on flag: ${written}`);
    const truth = (value ?? 'true').toLowerCase();
    if (truth === 'true' || truth === 'false') return truth;
    throw new InvalidArgumentError(`expecting boolean value for flag ${written}, not: ${value ?? ''}`);
  }
  if (value === null) throw new InvalidArgumentError(`missing a value on flag: ${written}`);
  return value;
}
