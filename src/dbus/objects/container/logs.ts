/** A container's log: by the page for clients that poll, as a stream for those that take descriptors. */
import type { Timestamp } from '../../../base/clock.ts';
import { InvalidArgumentError } from '../../../base/errors.ts';
import { STREAM_NUMBER } from '../../../base/stdio-frame.ts';
import type { LogRecord, LogsOptions } from '../../../engine/index.ts';
import { decodeDictionary, type Dictionary, type Given } from '../../bus/dictionary.ts';
import type { Call, MethodHandler } from '../../bus/exported.ts';
import { timestampOf, usecOf } from '../../bus/times.ts';
import { afterCursor, CursorMaker, recordsAfter } from './log-cursor.ts';
import { logEncoder } from './log-formats.ts';
import type { Subject } from './parts.ts';

/** The most lines of one page. */
const MAX_LINES = 1000;
/** The most bytes of one page: far from what a bus takes in one message (32 MiB), also with long lines. */
const MAX_PAGE_BYTES = 4 * 1024 * 1024;

const PAGE_KEYS = { Tail: 'u', Since: 't', Until: 't', Cursor: 's', Streams: 'y' } as const;
const STREAM_KEYS = { ...PAGE_KEYS, Follow: 'b', Format: 's' } as const;

export function logMethods(subject: Subject): Readonly<Record<string, MethodHandler>> {
  return {
    GetLogs: async (call, options: Dictionary) => getLogs(subject, call, options),
    OpenLogs: (_call, options: Dictionary) => openLogs(subject, options),
  };
}

/**
 * With `Cursor`: the lines after it; with `Since` and no `Tail`: the first lines from there; else the last `Tail` lines
 * (1000 when not given). `more`: there are lines after these.
 */
async function getLogs({ parts, id }: Subject, call: Call, options: Dictionary): Promise<readonly unknown[]> {
  const given = decodeDictionary(PAGE_KEYS, options);
  const limit = given.Tail ?? MAX_LINES;
  if (limit > MAX_LINES) throw new InvalidArgumentError(`key "Tail": at most ${String(MAX_LINES)} lines`);
  const goesForwards = given.Cursor !== undefined || (given.Since !== undefined && given.Tail === undefined);
  using leave = new Leave(call.signal);
  const wanted = selectionOf(given, { tail: goesForwards ? null : limit, signal: leave.signal });
  const page = new Page(given.Cursor ?? '', limit);
  const isNew = recordsAfter(given.Cursor);
  for await (const batch of parts.engine.containers.logs(id, { ...wanted, follow: false }).batches) {
    if (!batch.filter(isNew).every((record) => page.add(record))) break;
  }
  return [page.lines, page.cursor, page.more];
}

function openLogs(subject: Subject, options: Dictionary): readonly unknown[] {
  const { parts, id } = subject;
  const given = decodeDictionary(STREAM_KEYS, options);
  const encode = logEncoder(given.Format ?? 'raw', subject.view());
  const shape = { tail: given.Cursor === undefined ? (given.Tail ?? null) : null };
  // Asked for once before there is a stream, so that a bad cursor or an unreadable log is an error of the call.
  parts.engine.containers.logs(id, {
    ...selectionOf(given, { ...shape, signal: AbortSignal.abort() }),
    follow: false,
  });
  const fd = parts.streams.send(async (stream) => {
    const wanted = selectionOf(given, { ...shape, signal: stream.signal });
    const { batches } = parts.engine.containers.logs(id, { ...wanted, follow: given.Follow ?? false });
    const isNew = recordsAfter(given.Cursor);
    for await (const batch of batches) {
      for (const bytes of encode(batch.filter(isNew))) await stream.write(bytes);
    }
  });
  return [fd];
}

function selectionOf(
  given: Given<typeof PAGE_KEYS>,
  { tail, signal }: { readonly tail: number | null; readonly signal: AbortSignal },
): Omit<LogsOptions, 'follow'> {
  const streams = given.Streams ?? STREAM_NUMBER.stdout + STREAM_NUMBER.stderr;
  if (streams < 1 || streams > 3) {
    throw new InvalidArgumentError('key "Streams": 1 for stdout, 2 for stderr, 3 for both');
  }
  return {
    stdout: (streams & STREAM_NUMBER.stdout) !== 0,
    stderr: (streams & STREAM_NUMBER.stderr) !== 0,
    tail,
    since: timeOf(given.Since),
    until: timeOf(given.Until),
    ...afterCursor(given.Cursor),
    signal,
  };
}

function timeOf(usec: bigint | undefined): Timestamp | null {
  return usec === undefined ? null : timestampOf(usec);
}

/** Lines up to a bound. */
class Page {
  readonly lines: (readonly [bigint, number, Uint8Array])[] = [];
  more = false;
  readonly #limit: number;
  readonly #cursor: CursorMaker;
  #wholeLines = 0;
  #bytes = 0;

  constructor(cursor: string, limit: number) {
    this.#cursor = new CursorMaker(cursor);
    this.#limit = limit;
  }

  /** The cursor of the last line; the one that was given as long as there is none. */
  get cursor(): string {
    return this.#cursor.text;
  }

  /** False when the record has no place any more. */
  add(record: LogRecord): boolean {
    if (this.#wholeLines >= this.#limit || this.#bytes >= MAX_PAGE_BYTES) {
      this.more = true;
      return false;
    }
    this.lines.push([usecOf(record.time), STREAM_NUMBER[record.stream], record.data]);
    this.#cursor.pass(record);
    this.#bytes += record.data.length;
    if (!record.partial) this.#wholeLines += 1;
    return true;
  }
}

/** A signal of its own that also follows the caller's: aborted at the end of the block, which lets go of the log. */
class Leave implements Disposable {
  readonly #own = new AbortController();
  readonly signal: AbortSignal;

  constructor(caller: AbortSignal) {
    this.signal = AbortSignal.any([caller, this.#own.signal]);
  }

  [Symbol.dispose](): void {
    this.#own.abort();
  }
}
