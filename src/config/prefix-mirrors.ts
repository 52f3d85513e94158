/**
 * Mirrors by prefix, in their three forms. In daemon.json, as SUSE's docker had it (small letters are taken too):
 *
 *     "registries": [{ "Prefix": "registry.example/team", "Mirrors": [{ "URL": "https://m.example" }] }]
 *
 * as a flag: `--registry prefix=registry.example/team,mirror=https://m.example`, and read, as {@link PrefixMirrors}.
 */
import { InvalidArgumentError } from '../base/errors.ts';
import { withoutPassword } from './masked.ts';

export interface PrefixMirrors {
  /** `[http[s]://]host[:port][/path]` */
  readonly prefix: string;
  /** URLs in the order of trial. */
  readonly mirrors: readonly string[];
}

/** Reads the flag's form. InvalidArgumentError when it is none. */
export function parsePrefixMirrors(text: string): PrefixMirrors {
  let prefix = '';
  const mirrors: string[] = [];
  for (const field of text.split(',')) {
    const cut = field.indexOf('=');
    const [key, value] = cut < 0 ? ['', ''] : [field.slice(0, cut).trim(), field.slice(cut + 1).trim()];
    if (key === 'prefix' && prefix === '') prefix = value;
    else if (key === 'mirror') mirrors.push(value);
    else
      throw new InvalidArgumentError(`invalid registry field '${withoutPassword(field)}': use prefix=NAME,mirror=URL`);
  }
  if (prefix === '') throw new InvalidArgumentError('invalid registry: it has no prefix');
  return { prefix, mirrors };
}

/** The key's form as the flag's. InvalidArgumentError when it is none. */
export function flagFormOf(value: unknown): readonly string[] {
  if (!Array.isArray(value)) throw new InvalidArgumentError('registries must be a list of {"Prefix", "Mirrors"}');
  return value.map((entry: unknown) => {
    const { prefix, mirrors } = fieldsOf(entry, ['prefix', 'mirrors'], 'an entry of registries');
    if (typeof prefix !== 'string' || prefix === '') {
      throw new InvalidArgumentError('an entry of registries has no "Prefix"');
    }
    if (mirrors !== undefined && !Array.isArray(mirrors)) throw new InvalidArgumentError('"Mirrors" must be a list');
    const urls = (mirrors ?? []).map((mirror: unknown) => urlOf(mirror));
    return [prefix, ...urls].map((text, index) => `${index === 0 ? 'prefix' : 'mirror'}=${whole(text)}`).join(',');
  });
}

function urlOf(mirror: unknown): string {
  const url = typeof mirror === 'string' ? mirror : fieldsOf(mirror, ['url'], 'a mirror')['url'];
  if (typeof url !== 'string' || url === '') throw new InvalidArgumentError('a mirror of registries has no "URL"');
  return url;
}

function whole(text: string): string {
  if (text.includes(',')) throw new InvalidArgumentError(`a comma cannot be part of "${withoutPassword(text)}"`);
  return text;
}

function fieldsOf(entry: unknown, known: readonly string[], what: string): Readonly<Record<string, unknown>> {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    throw new InvalidArgumentError(`${what} must be an object`);
  }
  const odd = Object.keys(entry).find((key) => !known.includes(key.toLowerCase()));
  if (odd !== undefined) throw new InvalidArgumentError(`${what} has an unknown key "${odd}"`);
  return Object.fromEntries(Object.entries(entry).map(([key, value]) => [key.toLowerCase(), value] as const));
}
