/** Chunks of a stream to messages, each with its descriptors. */
import type { IncomingMessage } from './message.ts';
import { messageLength, readBody, readEnvelope } from './message.ts';

/** The specification's limit; the bus enforces 32 MiB. */
const MAX_MESSAGE_BYTES = 128 * 1024 * 1024;
const HEAD_BYTES = 16;

/** What could not be read: its body, or all of it. */
export interface UnreadableMessage {
  readonly serial: number;
  readonly sender: string;
  /** Null: one of a later protocol, to be ignored, says the specification. */
  readonly type: IncomingMessage['type'] | null;
  readonly flags: number;
  readonly replySerial: number | null;
  readonly reason: string;
  /** To be closed. */
  readonly fds: readonly number[];
}

export interface FramerEvents {
  message(message: IncomingMessage): void;
  unreadable(message: UnreadableMessage): void;
}

/**
 * Descriptors are matched by order and by the number in each header: the kernel may hand those of a message over with
 * the bytes of an earlier one.
 */
export class Framer {
  readonly #events: FramerEvents;
  #chunks: Buffer[] = [];
  #length = 0;
  #wanted = HEAD_BYTES;
  readonly #fds: number[] = [];

  constructor(events: FramerEvents) {
    this.#events = events;
  }

  /** Takes a chunk; throws RangeError when the stream is no D-Bus stream. */
  push(bytes: Buffer, fds: readonly number[]): void {
    this.#chunks.push(bytes);
    this.#length += bytes.length;
    this.#fds.push(...fds);
    while (this.#length >= this.#wanted) {
      const [first] = this.#chunks;
      const whole = first !== undefined && this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks);
      this.#chunks = [whole];
      const length = messageLength(whole);
      if (length > MAX_MESSAGE_BYTES) throw new RangeError(`a message of ${String(length)} bytes`);
      if (whole.length < length) {
        this.#wanted = length;
        return;
      }
      this.#chunks = whole.length === length ? [] : [whole.subarray(length)];
      this.#length = whole.length - length;
      this.#wanted = HEAD_BYTES;
      this.#deliver(whole.subarray(0, length));
    }
  }

  /** The descriptors of messages that never became whole. */
  takeLeftovers(): readonly number[] {
    return this.#fds.splice(0);
  }

  #deliver(bytes: Buffer): void {
    const envelope = readEnvelope(bytes);
    const fds = this.#fds.splice(0, envelope.fdCount);
    const { type, serial, sender, flags, signature, replySerial } = envelope;
    try {
      if (type === null) throw new RangeError('the type of the message is not known');
      const body = readBody(envelope, fds);
      const { fdCount: _fdCount, bodyAt: _bodyAt, bytes: _bytes, ...fields } = envelope;
      this.#events.message({ ...fields, type, flags, serial, sender, signature, body, fds });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#events.unreadable({ serial, sender, type, flags, replySerial: replySerial ?? null, reason, fds });
    }
  }
}
