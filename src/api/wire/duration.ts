import type { Timestamp } from '../../base/clock.ts';

const NS_PER_SECOND = 1_000_000_000n;

/** How long ago `then` is, in Docker's words (`units.HumanDuration`): `5 seconds`, `About a minute`, `2 weeks`. */
export function humanSince(then: Timestamp, now: Timestamp): string {
  return humanDuration(Number((now - then) / (NS_PER_SECOND / 1000n)) / 1000);
}

/** Docker's `units.HumanDuration`, with its rounding. */
export function humanDuration(totalSeconds: number): string {
  const seconds = Math.trunc(totalSeconds);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${String(seconds)} seconds`;
  const minutes = Math.trunc(totalSeconds / 60);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${String(minutes)} minutes`;
  const hours = Math.trunc(totalSeconds / 3600 + 0.5);
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${String(hours)} hours`;
  if (hours < 24 * 7 * 2) return `${String(Math.trunc(hours / 24))} days`;
  if (hours < 24 * 30 * 2) return `${String(Math.trunc(hours / 24 / 7))} weeks`;
  if (hours < 24 * 365 * 2) return `${String(Math.trunc(hours / 24 / 30))} months`;
  return `${String(Math.trunc(totalSeconds / 3600 / 24 / 365))} years`;
}
