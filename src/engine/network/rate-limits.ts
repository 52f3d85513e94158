/**
 * Bandwidth limits, which users write as labels of a container, in tc's words:
 *
 * ```
 * org.moored.network.rate.egress=10mbit         what the container sends, on each of its interfaces
 * org.moored.network.rate.ingress=2mbps         what it receives (bytes: 16mbit)
 * org.moored.network.rate.egress.burst=64kb     so much may go at once, after a pause
 * ```
 */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { RateLimit } from '../kernel/kernel.ts';

const PREFIX = 'org.moored.network.rate.';
const WORDS: ReadonlySet<string> = new Set(['egress', 'egress.burst', 'ingress', 'ingress.burst']);

/** Limits of one container, for each of its interfaces; null: none. */
export interface RateLimits {
  /** What it sends. */
  readonly egress: RateLimit | null;
  /** What it receives. */
  readonly ingress: RateLimit | null;
}

/** tc-tbf(8)'s own: bits of a second, unless bytes (`bps`) are said. */
const RATE = /^(\d+(?:\.\d+)?)((?:[kmgt]i?)?(?:bit|bps))?$/;
/** tc(8)'s sizes, where a thousand is 1024. */
const SIZE = /^(\d+(?:\.\d+)?)([kmg]?)(b|bit)?$/;
const POWERS = ['', 'k', 'm', 'g', 't'];

/** Below it a single frame would take longer than a minute. */
const BITS_PER_SECOND_MIN = 1000;
const BITS_PER_SECOND_MAX = 1e15;
/** A frame of Ethernet must fit, or nothing would ever go. */
const BURST_BYTES_MIN = 2048;
const BURST_BYTES_MAX = 0xffffffff;
/** What goes in a twentieth of a second: little enough to be no exception to the limit, and a busy host loses no tokens. */
const BURST_PART = 20;
const DEFAULT_BURST_MIN = 16 * 1024;
/** Larger ones gain nothing: the largest packet that the kernel hands on in one piece fits many times. */
const DEFAULT_BURST_MAX = 4 * 1024 * 1024;

/** What the labels say. InvalidArgumentError for words and values that mean nothing. */
export function rateLimitsOf(labels: Readonly<Record<string, string>>): RateLimits {
  for (const label of Object.keys(labels)) {
    if (label.startsWith(PREFIX) && !WORDS.has(label.slice(PREFIX.length))) {
      throw new InvalidArgumentError(`unknown label ${label}: use ${PREFIX}egress or ${PREFIX}ingress, with .burst`);
    }
  }
  return { egress: limitOf(labels, 'egress'), ingress: limitOf(labels, 'ingress') };
}

function limitOf(labels: Readonly<Record<string, string>>, direction: 'egress' | 'ingress'): RateLimit | null {
  const label = PREFIX + direction;
  const rate = labels[label];
  const burst = labels[`${label}.burst`];
  if (rate === undefined) {
    if (burst === undefined) return null;
    throw new InvalidArgumentError(`label ${label}.burst needs ${label}`);
  }
  const bitsPerSecond = bitsPerSecondOf(rate);
  if (bitsPerSecond === null || bitsPerSecond < BITS_PER_SECOND_MIN || bitsPerSecond > BITS_PER_SECOND_MAX) {
    throw new InvalidArgumentError(
      `invalid rate ${JSON.stringify(rate)} in label ${label}: use a number with bit, kbit, mbit, gbit (or kbps, mbps … for bytes), 1kbit at least`,
    );
  }
  const bytesPerSecond = Math.round(bitsPerSecond / 8);
  return { bytesPerSecond, burstBytes: burst === undefined ? defaultBurst(bytesPerSecond) : burstOf(label, burst) };
}

function defaultBurst(bytesPerSecond: number): number {
  return Math.min(Math.max(Math.round(bytesPerSecond / BURST_PART), DEFAULT_BURST_MIN), DEFAULT_BURST_MAX);
}

function bitsPerSecondOf(text: string): number | null {
  const [, number, unit = 'bit'] = RATE.exec(text.trim().toLowerCase()) ?? [];
  if (number === undefined) return null;
  const power = Math.max(POWERS.indexOf(unit.charAt(0)), 0);
  const isPlain = unit === 'bit' || unit === 'bps';
  const base = unit.charAt(1) === 'i' ? 1024 : 1000;
  return Number(number) * (isPlain ? 1 : base ** power) * (unit.endsWith('bps') ? 8 : 1);
}

function burstOf(label: string, text: string): number {
  const [, number, power = '', unit = 'b'] = SIZE.exec(text.trim().toLowerCase()) ?? [];
  const bytes = Math.round((Number(number) * 1024 ** POWERS.indexOf(power)) / (unit === 'bit' ? 8 : 1));
  if (number !== undefined && bytes >= BURST_BYTES_MIN && bytes <= BURST_BYTES_MAX) return bytes;
  throw new InvalidArgumentError(
    `invalid burst ${JSON.stringify(text)} in label ${label}.burst: use a size such as 64kb, 2kb at least`,
  );
}
