/** Times and spans as the bus has them: whole microseconds, since 1970 where it is a time. */
import { parseTimestamp, type Timestamp } from '../../base/clock.ts';

const NS_PER_USEC = 1000n;
const USEC_PER_SECOND = 1_000_000n;
/** systemd's word for a span without end: the largest `t`. */
const USEC_INFINITY = 2n ** 64n - 1n;

export function usecOf(time: Timestamp): bigint {
  return time / NS_PER_USEC;
}

/** Of RFC 3339's text; 0 where there is none, or a time before 1970. */
export function usecOfText(text: string | undefined): bigint {
  const time = parseTimestamp(text ?? '');
  return time === null || time < 0n ? 0n : usecOf(time);
}

export function timestampOf(usec: bigint): Timestamp {
  return (usec * NS_PER_USEC) as Timestamp;
}

/** A span as milliseconds; Infinity for systemd's. */
export function millisecondsOf(usec: bigint): number {
  return usec === USEC_INFINITY ? Infinity : Number(usec) / 1000;
}

/** A span in whole seconds: a part of one is a whole one. */
export function secondsOf(usec: bigint): bigint {
  return (usec + USEC_PER_SECOND - 1n) / USEC_PER_SECOND;
}

export function usecOfSeconds(seconds: number): bigint {
  return BigInt(seconds) * USEC_PER_SECOND;
}
