import { constants } from 'node:os';
import { InvalidArgumentError } from '../../base/errors.ts';

export const SIGKILL = constants.signals.SIGKILL;
export const SIGTERM = constants.signals.SIGTERM;

/** Real-time signals as glibc numbers them: the first two are its own. */
const RTMIN = 34;
const RTMAX = 64;

/** Number of a signal given as `SIGTERM`, `term`, `15`, `RTMIN+3`. InvalidArgumentError in Docker's words. */
export function parseSignal(text: string): number {
  const isNumber = /^\d+$/.test(text);
  if (isNumber && Number(text) > RTMAX) {
    throw new InvalidArgumentError(`the linux daemon does not support signal ${String(Number(text))}`);
  }
  const number = isNumber ? numberOf(Number(text)) : byName(text.toUpperCase().replace(/^SIG/, ''));
  if (number === null) throw new InvalidArgumentError(`invalid signal: ${text}`);
  return number;
}

function numberOf(number: number): number | null {
  return number >= 1 ? number : null;
}

function byName(name: string): number | null {
  const realTime = /^(RTMIN|RTMAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realTime !== null) {
    const [, base, sign, offset = '0'] = realTime;
    const number = (base === 'RTMIN' ? RTMIN : RTMAX) + (sign === '-' ? -1 : 1) * Number(offset);
    return number >= RTMIN && number <= RTMAX ? number : null;
  }
  const known: Readonly<Record<string, number>> = constants.signals;
  return known[`SIG${name}`] ?? null;
}
