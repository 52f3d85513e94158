import type { Timestamp } from '../../base/clock.ts';

/** Go's time.RFC3339Nano in UTC: the fraction loses its zeros at the end. */
export function timeText(time: Timestamp): string {
  const seconds = time / 1_000_000_000n;
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  const fraction = (time % 1_000_000_000n).toString().padStart(9, '0').replace(/0+$/, '');
  return `${whole}${fraction === '' ? '' : `.${fraction}`}Z`;
}
