/**
 * Where lines are shipped to.
 *
 * Vocabulary: an *entry* is one line as Docker's loggers see it: without its newline, put together from what the monitor
 * wrote in pieces, cut at 16 KiB into *parts*. A *sink* takes entries in order. The *pump* (pump/) follows the monitor's
 * logs in a thread of its own and hands them on; how far it got is written down after each batch.
 *
 * Story 1: `taken = await sink.ship(entries)`: so many are with the receiver, as far as its protocol can tell. Fewer than
 * all means that the sink wants the position written down now (json-file, before its file is rotated).
 *
 * Story 2, the receiver is away: `ship` rejects, and the pump comes back with the same entries after a pause, also from
 * another process: what a sink must know to repeat nothing then is its `mark`.
 */
import { isUtf8 } from 'node:buffer';
import type { Timestamp } from '../../base/clock.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { OutputStream } from '../oci/streams.ts';

/** What to open a sink with: plain data, which crosses to the pump's thread. */
export interface SinkSpec {
  /** The driver's name. */
  readonly kind: string;
}

/** One container's log and where it goes; plain data. */
export interface Shipment {
  readonly containerId: ContainerId;
  /** The monitor's log. */
  readonly logPath: string;
  /** Where it is written down how far the sink has it. */
  readonly positionPath: string;
  readonly sink: SinkSpec;
}

/** One of the parts of a line that is too long for one entry, in Docker's words. */
export interface LinePart {
  readonly id: string;
  /** From 1. */
  readonly ordinal: number;
  readonly isLast: boolean;
}

export interface LogEntry {
  readonly stream: OutputStream;
  /** Of the first part, for all parts of a line. */
  readonly time: Timestamp;
  /** The text is `bytes[start, end)`. */
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  readonly part: LinePart | null;
  /** False when the next entry is of the same record: the two are taken together. */
  readonly endsRecord: boolean;
}

export interface LogSink extends AsyncDisposable {
  /** Disposing twice is harmless; a `ship` under way rejects then, or settles soon. */
  [Symbol.asyncDispose](): Promise<void>;
  /** How much of a log is read for one call of `ship`: what may come twice after a kill. */
  readonly batchBytes: number;
  /** Pauses between attempts while the receiver is away, and after how many a batch is dropped (null: never). */
  readonly retry: { readonly firstMs: number; readonly attempts: number | null };
  /** Goes with the position; '' when there is nothing to know. */
  readonly mark: string;
  /** Takes entries, in order; how many, at least one record. Rejects when the receiver is away: none of them counts then. */
  ship(entries: readonly LogEntry[]): Promise<number>;
}

/** The text of an entry, as Go reads it: each byte that is no UTF-8 is a U+FFFD of its own. */
export function textOf({ bytes, start, end }: LogEntry): string {
  const text = bytes.subarray(start, end);
  if (isUtf8(text)) return text.toString('utf8');
  let read = '';
  for (let at = 0; at < text.length;) {
    const length = characterLength(text, at, text.length);
    read += length === 0 ? '\ufffd' : text.toString('utf8', at, at + length);
    at += Math.max(1, length);
  }
  return read;
}

/** How many bytes the UTF-8 character at `at` has; 0 when there is none that is right (Go's utf8.DecodeRune). */
export function characterLength(bytes: Buffer, at: number, end: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const more =
    first >= 0xc2 && first <= 0xdf ? 1 : first >= 0xe0 && first <= 0xef ? 2 : first >= 0xf0 && first <= 0xf4 ? 3 : 0;
  if (more === 0 || at + more >= end) return 0;
  const second = bytes[at + 1] ?? 0;
  const [low, high] = boundsOfSecond(first);
  if (second < low || second > high) return 0;
  for (let i = 2; i <= more; i += 1) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  return more + 1;
}

/** Overlong forms, surrogates and what lies beyond Unicode begin with another second byte. */
function boundsOfSecond(first: number): readonly [number, number] {
  switch (first) {
    case 0xe0:
      return [0xa0, 0xbf];
    case 0xed:
      return [0x80, 0x9f];
    case 0xf0:
      return [0x90, 0xbf];
    case 0xf4:
      return [0x80, 0x8f];
    default:
      return [0x80, 0xbf];
  }
}

/** Go's json.Marshal of a text. */
export function goJson(text: string): string {
  return JSON.stringify(text).replace(/[<>&\u2028\u2029]|\\./g, (found) => {
    if (found.length === 2 && found !== '\\b' && found !== '\\f') return found;
    const code = found === '\\b' ? 8 : found === '\\f' ? 12 : found.charCodeAt(0);
    return `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** Go's json.Marshal of a map of texts: its keys in order of their bytes. */
export function goJsonMap(map: Readonly<Record<string, string>>): string {
  const keys = Object.keys(map).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return `{${keys.map((key) => `${goJson(key)}:${goJson(map[key] ?? '')}`).join(',')}}`;
}
