import type { Clock } from '../../base/clock.ts';

/** Text of the `Date` field (RFC 9110 §5.6.7), made once a second. */
export function httpDate(clock: Clock): () => string {
  let second = -1n;
  let text = '';
  return () => {
    const now = clock.now() / 1_000_000_000n;
    if (now !== second) {
      second = now;
      text = new Date(Number(now) * 1000).toUTCString();
    }
    return text;
  };
}
