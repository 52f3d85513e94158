import { parseTimestamp, type Timestamp } from './clock.ts';
import { InvalidArgumentError } from './errors.ts';

const NS_PER_SECOND = 1_000_000_000;
/** Go's units of a duration, in nanoseconds. */
const UNITS: Readonly<Record<string, number>> = {
  h: 3600 * NS_PER_SECOND,
  m: 60 * NS_PER_SECOND,
  s: NS_PER_SECOND,
  ms: 1_000_000,
  us: 1000,
  µs: 1000,
  ns: 1,
};
const AGE = /^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:h|ms|m|s|us|µs|ns))+$/;
const AGE_PARTS = /(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|µs|ns)/g;
const UNIX_TIME = /^(\d{1,12})(?:\.(\d{1,9}))?$/;
/** `2006-01-02`, `2006-01-02T15:04`, `2006-01-02T15:04:05`, each with an optional fraction of seconds and zone. */
const PARTIAL_TIME = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(:\d\d(?:\.\d{1,9})?)?)?(Z|[+-]\d\d:\d\d)?$/;

/** When `text` means, as dockerd reads its filter `until`. InvalidArgumentError for what is no time and no age. */
export function parseUntil(text: string, now: Timestamp): Timestamp {
  const time = parseAge(text, now) ?? parseUnixTime(text) ?? parseCalendarTime(text);
  if (time === null) {
    throw new InvalidArgumentError(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
  }
  return time;
}

function parseAge(text: string, now: Timestamp): Timestamp | null {
  if (!AGE.test(text)) return null;
  const age = [...text.matchAll(AGE_PARTS)].reduce(
    (sum, [, count, unit = 's']) => sum + Number(count) * (UNITS[unit] ?? 0),
    0,
  );
  return (now - BigInt(Math.round(age))) as Timestamp;
}

function parseUnixTime(text: string): Timestamp | null {
  const [, seconds, fraction = ''] = UNIX_TIME.exec(text) ?? [];
  if (seconds === undefined) return null;
  return (BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'))) as Timestamp;
}

/** Without a zone it is UTC, as on a server. */
function parseCalendarTime(text: string): Timestamp | null {
  const [, date, time = '00:00', seconds = ':00', zone = 'Z'] = PARTIAL_TIME.exec(text) ?? [];
  return date === undefined ? null : parseTimestamp(`${date}T${time}${seconds}${zone}`);
}
