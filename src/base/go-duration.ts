/** Nanoseconds of Go's units. */
const UNIT_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Go's `time.ParseDuration`: `1m30s`, `1.5h`, `-5s`. Nanoseconds; null for what is none. */
export function parseGoDuration(text: string): number | null {
  const [, sign, body = ''] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  if (body === '0') return 0;
  const part = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;
  let ns = 0;
  let at = 0;
  for (let match = part.exec(body); match !== null; match = part.exec(body)) {
    ns += Number(match[1]) * (UNIT_NS[match[2] ?? ''] ?? 0);
    at = part.lastIndex;
  }
  if (body === '' || at !== body.length) return null;
  return Math.round(sign === '-' ? -ns : ns);
}

/** Go's `Duration.String()` of a positive time: `1m30s`, `1.5s`, `100ms`. */
export function formatGoDuration(ns: number): string {
  if (ns === 0) return '0s';
  if (ns < 1e3) return `${String(ns)}ns`;
  if (ns < 1e6) return `${String(ns / 1e3)}µs`;
  if (ns < 1e9) return `${String(ns / 1e6)}ms`;
  const hours = Math.floor(ns / 3600e9);
  const minutes = Math.floor(ns / 60e9) % 60;
  // In whole nanoseconds: a remainder of fractions would show as 29.999999.
  const seconds = `${String((ns % 60e9) / 1e9)}s`;
  if (hours > 0) return `${String(hours)}h${String(minutes)}m${seconds}`;
  return minutes > 0 ? `${String(minutes)}m${seconds}` : seconds;
}
