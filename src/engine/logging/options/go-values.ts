/** Values of log options as Go's library reads them. InvalidArgumentError in its words. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import { parseGoDuration } from '../../../base/go-duration.ts';

const TRUE = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False']);
const SIZE = /^(\d+(?:\.\d+)*) ?([kmgtp]?)i?b?$/i;
const NS_PER_MS = 1e6;
const POWERS = ['', 'k', 'm', 'g', 't', 'p'];
/** strconv.Atoi */
export function atoi(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw syntaxError('Atoi', text);
  return Number(text);
}

/** strconv.ParseUint in base 10 */
export function parseUint(text: string): number {
  if (!/^\d+$/.test(text)) throw syntaxError('ParseUint', text);
  return Number(text);
}

/** strconv.ParseBool */
export function parseBool(text: string): boolean {
  if (TRUE.has(text)) return true;
  if (FALSE.has(text)) return false;
  throw syntaxError('ParseBool', text);
}

/** units.RAMInBytes: `1k` is 1024. */
export function ramInBytes(text: string): number {
  return sized(text, 1024);
}

/** units.FromHumanSize: `1k` is 1000. */
export function humanSize(text: string): number {
  return sized(text, 1000);
}

/** time.ParseDuration, in milliseconds. */
export function durationMs(text: string): number {
  const ns = parseGoDuration(text);
  if (ns !== null) return ns / NS_PER_MS;
  const why = /^[+-]?[\d.]+$/.test(text) && /\d/.test(text) ? 'missing unit in duration' : 'invalid duration';
  throw new InvalidArgumentError(`time: ${why} ${JSON.stringify(text)}`);
}

function sized(text: string, base: number): number {
  const [, number, unit = ''] = SIZE.exec(text) ?? [];
  const value = Number(number);
  if (number === undefined || Number.isNaN(value)) throw new InvalidArgumentError(`invalid size: '${text}'`);
  return Math.floor(value * base ** POWERS.indexOf(unit.toLowerCase()));
}

function syntaxError(call: string, text: string): InvalidArgumentError {
  return new InvalidArgumentError(`strconv.${call}: parsing ${JSON.stringify(text)}: invalid syntax`);
}
