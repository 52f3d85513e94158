import { parseTimestamp, type Timestamp } from '../base/clock.ts';
import { InvalidArgumentError } from '../base/errors.ts';

/** What Docker takes for false, in any case and with spaces around; everything else is true. */
const FALSE: ReadonlySet<string> = new Set(['', '0', 'no', 'false', 'none']);
const NS = 1_000_000_000n;

/** The query of a request with Docker's rules for reading values. */
export class Query {
  readonly #params: URLSearchParams;

  constructor(text: string) {
    // Go refuses `;` as separator; URLSearchParams takes it for part of the value, which is what dockerd's clients mean.
    this.#params = new URLSearchParams(text);
  }

  has(name: string): boolean {
    return this.#params.has(name);
  }

  /** '' when absent. */
  text(name: string): string {
    return this.#params.get(name) ?? '';
  }

  /** Null when absent or empty. */
  textOrNull(name: string): string | null {
    const value = this.text(name);
    return value === '' ? null : value;
  }

  all(name: string): readonly string[] {
    return this.#params.getAll(name);
  }

  boolean(name: string, whenAbsent = false): boolean {
    const value = this.#params.get(name);
    return value === null ? whenAbsent : !FALSE.has(value.trim().toLowerCase());
  }

  /** Null when absent or empty; InvalidArgumentError with Go's text otherwise. */
  integer(name: string): number | null {
    const value = this.textOrNull(name);
    return value === null ? null : parseGoInteger(value);
  }

  /**
   * Docker's times: `1700000000`, `1700000000.000000001` (what the CLI makes of everything), and for other clients
   * RFC 3339. Null when absent or empty; zero is a time like any other (`events --since 0`: all there are).
   */
  time(name: string): Timestamp | null {
    const value = this.textOrNull(name);
    if (value === null) return null;
    const time = parseUnixTime(value) ?? parseTimestamp(value);
    if (time === null) throw new InvalidArgumentError(`strconv.ParseInt: parsing "${value}": invalid syntax`);
    return time;
  }
}

/** Go's `strconv.Atoi`. */
export function parseGoInteger(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw new InvalidArgumentError(`strconv.Atoi: parsing "${text}": invalid syntax`);
  const value = Number(text);
  if (!Number.isSafeInteger(value)) {
    throw new InvalidArgumentError(`strconv.Atoi: parsing "${text}": value out of range`);
  }
  return value;
}

function parseUnixTime(text: string): Timestamp | null {
  const [, sign, seconds, fraction = ''] = /^(-?)(\d{1,12})(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  if (seconds === undefined) return null;
  const value = BigInt(seconds) * NS + BigInt(fraction.padEnd(9, '0'));
  return (sign === '-' ? -value : value) as Timestamp;
}
