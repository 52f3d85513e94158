/** Network options as dockerd reads them: Go's words for what is a boolean or a number, and its texts for what is not. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { NetworkRecord } from './types.ts';

type Options = NetworkRecord['options'];

const TRUE = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False']);

/** Go's ParseBool. */
export function booleanOption(options: Options, key: string, fallback: boolean): boolean {
  const text = options[key];
  if (text === undefined) return fallback;
  if (TRUE.has(text)) return true;
  if (FALSE.has(text)) return false;
  throw unreadable(key, text, `strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}

/** Go's Atoi, less what no number of ours is as large as. */
export function integerOption(options: Options, key: string, fallback: number): number {
  const text = options[key];
  if (text === undefined) return fallback;
  if (!/^[+-]?\d+$/.test(text)) {
    throw unreadable(key, text, `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  const value = Number(text);
  if (Number.isSafeInteger(value)) return value;
  throw unreadable(key, text, `strconv.Atoi: parsing ${JSON.stringify(text)}: value out of range`);
}

/** `failed to parse com.docker… value: x (why)` */
export function unreadable(key: string, text: string, why: string): InvalidArgumentError {
  return new InvalidArgumentError(`failed to parse ${key} value: ${text} (${why})`);
}
