/**
 * The forward protocol (https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1), in MessagePack:
 *
 *     message   [tag, time, record, option]                 one a line, as dockerd sends them
 *     forward   [tag, [[time, record] …], {chunk: "…"}]     one a batch, where the receiver is to confirm: {ack: "…"}
 *
 * The time is whole seconds, or with `fluentd-sub-second-precision` the extension of type 0: seconds and nanoseconds, four
 * bytes each.
 */
import { randomBytes } from 'node:crypto';
import { decodeMulti, Encoder, ExtData } from '@msgpack/msgpack';
import type { Clock } from '../../../base/clock.ts';
import { InternalError } from '../../../base/errors.ts';
import type { LogEntry, LogSink, SinkSpec } from '../sink.ts';
import { StreamTarget, type StreamPlace } from '../transport/streams.ts';

const BATCH_BYTES = 64 * 1024;
const NS_PER_S = 1_000_000_000n;
const EVENT_TIME = 0;
/** Arrays of four, three and two; a map of none. */
const MESSAGE_HEAD = Buffer.from([0x94]);
const FORWARD_HEAD = Buffer.from([0x93]);
const PAIR_HEAD = Buffer.from([0x92]);
const EMPTY_MAP = Buffer.from([0x80]);
const LOG = Buffer.from('\xa3log', 'latin1');
/** How long a receiver may take to confirm. */
const ACK_TIMEOUT_MS = 10_000;

export interface FluentdSpec extends SinkSpec {
  readonly kind: 'fluentd';
  readonly place: StreamPlace;
  readonly tag: string;
  /** What is the same in all records. */
  readonly record: Readonly<Record<string, string>>;
  readonly subSecond: boolean;
  readonly requestAck: boolean;
  readonly retryMs: number;
  /** Null: without end. */
  readonly maxRetries: number | null;
}

export function openFluentdSink(spec: FluentdSpec, clock: Clock): LogSink {
  return new FluentdSink(spec, clock);
}

class FluentdSink implements LogSink {
  readonly batchBytes = BATCH_BYTES;
  readonly mark = '';
  readonly retry;
  readonly #spec: FluentdSpec;
  readonly #encoder = new Encoder();
  readonly #tag: Uint8Array;
  readonly #target: StreamTarget;
  readonly #answers: Answers;

  constructor(spec: FluentdSpec, clock: Clock) {
    this.#answers = new Answers(clock);
    this.#spec = spec;
    this.#tag = this.#encoder.encode(spec.tag);
    this.retry = { firstMs: spec.retryMs, attempts: spec.maxRetries };
    this.#target = new StreamTarget(spec.place, {
      onData: (bytes) => this.#answers.take(bytes),
      onClose: () => this.#answers.end(),
    });
  }

  async ship(entries: readonly LogEntry[]): Promise<number> {
    if (this.#spec.requestAck) await this.#confirmed(entries);
    else await this.#target.send(Buffer.concat(entries.flatMap((entry) => this.#message(entry))));
    return entries.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#target[Symbol.dispose]();
    this.#answers.end();
  }

  /** `[tag, time, record, {}]` */
  #message(entry: LogEntry): readonly Uint8Array[] {
    return [MESSAGE_HEAD, this.#tag, ...this.#event(entry), EMPTY_MAP];
  }

  /** A time and a record, one after the other. */
  #event(entry: LogEntry): readonly Uint8Array[] {
    const { part, stream, bytes, start, end } = entry;
    const own = {
      source: stream,
      ...(part === null
        ? {}
        : {
            partial_message: 'true',
            partial_id: part.id,
            partial_ordinal: String(part.ordinal),
            partial_last: String(part.isLast),
          }),
    };
    const { record } = this.#spec;
    const others = Object.entries({ ...record, ...own }).filter(([name]) => name !== 'log');
    const count = others.length + 1;
    return [
      this.#encoder.encode(this.#time(entry)),
      count < 16 ? Buffer.from([0x80 | count]) : Buffer.from([0xde, count >> 8, count & 0xff]),
      ...others.flatMap(([name, value]) => [this.#encoder.encode(name), this.#encoder.encode(value)]),
      // What a process writes need not be text: its bytes go as they are, which the library would not do.
      LOG,
      textHead(end - start),
      bytes.subarray(start, end),
    ];
  }

  async #confirmed(entries: readonly LogEntry[]): Promise<void> {
    const chunk = randomBytes(16).toString('base64');
    const count = Buffer.from([0xdd, 0, 0, 0, 0]);
    count.writeUInt32BE(entries.length, 1);
    const events = entries.flatMap((entry) => [PAIR_HEAD, ...this.#event(entry)]);
    const option = this.#encoder.encode({ chunk, size: entries.length });
    const answer = this.#answers.next(chunk);
    try {
      await this.#target.send(Buffer.concat([FORWARD_HEAD, this.#tag, count, ...events, option]));
      await answer;
    } catch (error) {
      // What comes late must not be taken for the answer to the next attempt.
      this.#target[Symbol.dispose]();
      throw error;
    }
  }

  #time({ time }: LogEntry): unknown {
    const seconds = Number(time / NS_PER_S);
    if (!this.#spec.subSecond) return seconds;
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32BE(seconds, 0);
    bytes.writeUInt32BE(Number(time % NS_PER_S), 4);
    return new ExtData(EVENT_TIME, bytes);
  }
}

/** MessagePack's head of a text of so many bytes. */
function textHead(length: number): Buffer {
  if (length < 32) return Buffer.from([0xa0 | length]);
  if (length < 256) return Buffer.from([0xd9, length]);
  return Buffer.from([0xda, length >> 8, length & 0xff]);
}

/** What a receiver says: `{ack: chunk}` for each batch. */
class Answers {
  readonly #clock: Clock;
  #wanted: string | null = null;
  #settle: ((error: Error | null) => void) | null = null;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Settles when `chunk` is confirmed; rejects when that takes too long. */
  async next(chunk: string): Promise<void> {
    this.#wanted = chunk;
    this.#bytes = Buffer.alloc(0);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = this.#clock.after(ACK_TIMEOUT_MS, () =>
      this.#settle?.(new InternalError('the receiver has not confirmed')),
    );
    this.#settle = (error) => {
      timer[Symbol.dispose]();
      this.#settle = null;
      if (error === null) resolve();
      else reject(error);
    };
    // Who sends in vain is not here to see it fail.
    promise.catch(() => undefined);
    return promise;
  }

  take(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    this.#read();
  }

  end(): void {
    this.#settle?.(new InternalError('the connection was closed'));
  }

  #read(): void {
    try {
      for (const answer of decodeMulti(this.#bytes)) {
        if ((answer as { readonly ack?: unknown }).ack === this.#wanted) this.#settle?.(null);
      }
    } catch {
      // Half an answer: the rest is to come.
    }
  }
}
