import { InvalidArgumentError } from '../../base/errors.ts';
import { compileGoRegexp } from '../../base/go-regexp.ts';
import { hasLabel } from '../../base/labels.ts';
import type { Query } from '../query.ts';

/**
 * Docker's `filters` parameter: `{"label":{"a=b":true}}` (Go clients) or `{"label":["a=b"]}` (docker-py and others).
 * Empty means none.
 */
export class Filters {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  private constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values;
  }

  /** Reads and checks the parameter; InvalidArgumentError for bad JSON and for names not in `accepted`. */
  static from(query: Query, accepted: readonly string[] | null): Filters {
    const text = query.text('filters');
    return new Filters(checked(text.trim() === '' ? new Map() : parse(text), accepted));
  }

  /** Filters that come in other ways than a query. */
  static of(words: Readonly<Record<string, readonly string[]>>, accepted: readonly string[]): Filters {
    return new Filters(checked(new Map(Object.entries(words)), accepted));
  }

  get(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  has(name: string): boolean {
    return this.get(name).length > 0;
  }

  /** True when there is no such filter, or one of its values satisfies the test. */
  any(name: string, test: (value: string) => boolean): boolean {
    const values = this.get(name);
    return values.length === 0 || values.some(test);
  }

  /** `true`/`1`/`false`/`0` as Docker reads them; null when absent. */
  boolean(name: string): boolean | null {
    const values = this.#values.get(name);
    if (values === undefined) return null;
    if (values.length === 0) throw new InvalidArgumentError(`invalid filter '${name}'`);
    const isTrue = values.some((value) => value === '1' || value === 'true');
    const isFalse = values.some((value) => value === '0' || value === 'false');
    if (isTrue === isFalse) {
      throw new InvalidArgumentError(`invalid filter '${name}=[${values.join(' ')}]'`);
    }
    return isTrue;
  }

  /** Docker's label rule: every `key` or `key=value` must hold. */
  matchLabels(labels: Readonly<Record<string, string>>): boolean {
    return (
      this.get('label').every((wish) => hasLabel(labels, wish)) &&
      !this.get('label!').some((wish) => hasLabel(labels, wish))
    );
  }
}

/** Docker takes a wish for a regular expression, found anywhere; one that is none matches itself only. */
export function patternMatcher(wish: string): (name: string) => boolean {
  const isFound = compileGoRegexp(wish);
  return (name) => name === wish || isFound?.(name) === true;
}

function checked(
  values: ReadonlyMap<string, readonly string[]>,
  accepted: readonly string[] | null,
): ReadonlyMap<string, readonly string[]> {
  const unknown = [...values.keys()].find((name) => accepted?.includes(name) === false);
  if (unknown !== undefined) throw new InvalidArgumentError(`invalid filter '${unknown}'`);
  return values;
}

function parse(text: string): Map<string, readonly string[]> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new InvalidArgumentError('invalid filter');
  }
  const values = new Map<string, readonly string[]>();
  if (json === null) return values;
  if (typeof json !== 'object' || Array.isArray(json)) throw new InvalidArgumentError('invalid filter');
  for (const [name, given] of Object.entries(json as Record<string, unknown>)) values.set(name, valuesOf(given));
  return values;
}

function valuesOf(given: unknown): readonly string[] {
  if (given === null) return [];
  if (Array.isArray(given)) {
    if (given.every((value) => typeof value === 'string')) return given;
  } else if (typeof given === 'object') {
    const entries = Object.entries(given as Record<string, unknown>);
    // Docker's clients write `false` for nothing; the presence of the key is what counts.
    if (entries.every(([, value]) => typeof value === 'boolean')) return entries.map(([value]) => value);
  }
  throw new InvalidArgumentError('invalid filter');
}
