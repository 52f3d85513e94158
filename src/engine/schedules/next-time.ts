/** Which moment comes next; pure. Times are milliseconds since 1970. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { CronPattern } from './cron.ts';

/** The clock on the wall at a moment. */
interface WallTime {
  readonly year: number;
  /** 1–12 */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const HOURS_OF_DAY = 24;
/** February 29 comes back after eight years at the latest; what has not come by then never comes. */
const HORIZON_DAYS = 366 * 9;

/** A time zone by its IANA name; '' is the host's. */
export class TimeZone {
  readonly #format: Intl.DateTimeFormat;

  /** InvalidArgumentError when nobody knows it. */
  constructor(name: string) {
    const options = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric' } as const;
    try {
      this.#format = new Intl.DateTimeFormat('en-US', {
        ...options,
        minute: 'numeric',
        second: 'numeric',
        hourCycle: 'h23',
        calendar: 'gregory',
        numberingSystem: 'latn',
        ...(name === '' ? {} : { timeZone: name }),
      });
    } catch (error) {
      throw new InvalidArgumentError(`unknown time zone "${name}"`, { cause: error });
    }
  }

  wallTimeAt(atMs: number): WallTime {
    const parts = Object.fromEntries(this.#format.formatToParts(atMs).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = parts;
    return { year, month, day, hour, minute, second };
  }

  /** The first moment at which the clock on the wall shows this time or, where it skips it, a later one. */
  momentOf(wall: WallTime): number {
    const asUtc = utcOf(wall);
    // Zones are at most 14 hours off, and change by at most a day's part: look at the offsets around.
    const offsets = [-1, 0, 1].map((days) => this.#offsetAt(asUtc + days * HOURS_OF_DAY * HOUR_MS));
    const candidates = [...new Set(offsets)].map((offset) => asUtc - offset);
    const exact = candidates.filter((at) => utcOf(this.wallTimeAt(at)) === asUtc);
    return exact.length > 0 ? Math.min(...exact) : this.#endOfGap(asUtc, candidates);
  }

  /** The clock jumps from before `asUtc` to after it at this moment. */
  #endOfGap(asUtc: number, candidates: readonly number[]): number {
    let before = Math.min(...candidates) - HOUR_MS;
    let after = Math.max(...candidates) + HOUR_MS;
    while (after - before > SECOND_MS) {
      const middle = before + Math.floor((after - before) / (2 * SECOND_MS)) * SECOND_MS;
      if (utcOf(this.wallTimeAt(middle)) < asUtc) before = middle;
      else after = middle;
    }
    return after;
  }

  #offsetAt(atMs: number): number {
    return utcOf(this.wallTimeAt(atMs)) - Math.floor(atMs / SECOND_MS) * SECOND_MS;
  }
}

/** The first time of `pattern` after a moment; null when it never comes (31 February). */
export function nextTime(pattern: CronPattern, zone: TimeZone, afterMs: number): number | null {
  const start = zone.wallTimeAt(afterMs);
  let day = { year: start.year, month: start.month, day: start.day };
  for (let count = 0; count < HORIZON_DAYS; count += 1, day = dayAfter(day)) {
    if (!pattern.months.includes(day.month) || !pattern.isDay(day)) continue;
    const found = nextOnDay(pattern, zone, day, afterMs);
    if (found !== null) return found;
  }
  return null;
}

type Day = Pick<WallTime, 'year' | 'month' | 'day'>;

function nextOnDay(pattern: CronPattern, zone: TimeZone, day: Day, afterMs: number): number | null {
  return pattern.hours.length === HOURS_OF_DAY
    ? nextByElapsedTime(pattern, zone, day, afterMs)
    : nextByWallTime(pattern, zone, day, afterMs);
}

/** At fixed hours: once each, whatever the clock on the wall does. */
function nextByWallTime(pattern: CronPattern, zone: TimeZone, day: Day, afterMs: number): number | null {
  const isOver = (hour: number, minute: number): boolean =>
    zone.momentOf({ ...day, hour, minute, second: 59 }) + SECOND_MS <= afterMs;
  for (const hour of from(pattern.hours, (one) => isOver(one, 59))) {
    for (const minute of from(pattern.minutes, (one) => isOver(hour, one))) {
      for (const second of pattern.seconds) {
        const at = zone.momentOf({ ...day, hour, minute, second });
        if (at > afterMs) return at;
      }
    }
  }
  return null;
}

/**
 * The values from the first on that is not over. Found by halves: a moment costs some 20 µs, and an hour has 3,600. Moments
 * come in the order of the times on the wall, for of those that come twice the first counts.
 */
function from(ascending: readonly number[], isOver: (value: number) => boolean): readonly number[] {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isOver(ascending[middle] ?? 0)) low = middle + 1;
    else high = middle;
  }
  return ascending.slice(low);
}

/** In every hour: hours that come twice have their times twice, hours that are skipped have none. */
function nextByElapsedTime(pattern: CronPattern, zone: TimeZone, day: Day, afterMs: number): number | null {
  const endMs = zone.momentOf({ ...dayAfter(day), hour: 0, minute: 0, second: 0 });
  let minuteMs = Math.max(
    zone.momentOf({ ...day, hour: 0, minute: 0, second: 0 }),
    Math.floor(afterMs / MINUTE_MS) * MINUTE_MS,
  );
  for (; minuteMs < endMs; minuteMs += MINUTE_MS) {
    if (!pattern.minutes.includes(zone.wallTimeAt(minuteMs).minute)) continue;
    const second = pattern.seconds.find((one) => minuteMs + one * SECOND_MS > afterMs);
    if (second !== undefined) return minuteMs + second * SECOND_MS;
  }
  return null;
}

function utcOf({ year, month, day, hour, minute, second }: WallTime): number {
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

function dayAfter({ year, month, day }: Day): Day {
  const next = new Date(Date.UTC(year, month - 1, day + 1));
  return { year: next.getUTCFullYear(), month: next.getUTCMonth() + 1, day: next.getUTCDate() };
}
