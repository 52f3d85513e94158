/** Schedules by labels on containers. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { MissedRule, OverlapRule, ScheduleTiming } from './types.ts';

export const SCHEDULE_LABEL = 'moored.schedule';
/** Whatever carries it is kept by scheduled prunes. */
export const KEEP_LABEL = 'moored.keep';

const MISSED: readonly MissedRule[] = ['skip', 'run-once'];
const OVERLAP: readonly OverlapRule[] = ['skip', 'queue', 'replace'];
const UNIT_SECONDS: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1 };
const MAX_DELAY_SECONDS = 24 * 3600;

/** What labels ask for; null when they ask for nothing. A word that is none becomes the `problem`, the rest stays. */
export function timingOfLabels(
  labels: Readonly<Record<string, string>>,
): { readonly timing: ScheduleTiming; readonly problem: string | null } | null {
  const cron = labels[SCHEDULE_LABEL];
  if (cron === undefined) return null;
  const problems: string[] = [];
  const read = <T>(name: string, fallback: T, parse: (text: string) => T): T => {
    const text = labels[`${SCHEDULE_LABEL}.${name}`];
    if (text === undefined) return fallback;
    try {
      return parse(text);
    } catch (error) {
      problems.push(`label ${SCHEDULE_LABEL}.${name}: ${(error as Error).message}`);
      return fallback;
    }
  };
  const timing: ScheduleTiming = {
    cron,
    timeZone: read('timezone', '', (text) => text),
    missed: read('missed', 'skip', (text) => oneOf(MISSED, text)),
    overlap: read('overlap', 'skip', (text) => oneOf(OVERLAP, text)),
    randomDelaySeconds: read('random-delay', 0, parseDelay),
    enabled: true,
  };
  return { timing, problem: problems[0] ?? null };
}

/** `90`, `90s`, `5m`, `1h30m`, at most a day. InvalidArgumentError for anything else. */
export function parseDelay(text: string): number {
  const seconds = /^\d+$/.test(text)
    ? Number(text)
    : /^(?:\d+[hms])+$/.test(text)
      ? [...text.matchAll(/(\d+)([hms])/g)].reduce(
          (sum, [, n, unit = 's']) => sum + Number(n) * (UNIT_SECONDS[unit] ?? 1),
          0,
        )
      : Number.NaN;
  if (Number.isNaN(seconds)) throw new InvalidArgumentError(`"${text}" is no duration: use 90s, 5m or 1h30m`);
  if (seconds > MAX_DELAY_SECONDS) throw new InvalidArgumentError(`"${text}" is more than a day`);
  return seconds;
}

function oneOf<T extends string>(words: readonly T[], text: string): T {
  const word = words.find((one) => one === text);
  if (word === undefined) throw new InvalidArgumentError(`"${text}" is none of ${words.join(', ')}`);
  return word;
}
