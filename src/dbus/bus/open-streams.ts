/**
 * Streams handed out as descriptors. One lives as long as its descriptor is open anywhere: the client may leave the bus
 * and keep it, or give it to another process. It is a socket also where bytes go one way only, since a socket tells at
 * once that nobody holds its other end any more, and a silent log would else be followed for ever.
 */
import type { Duplex, Readable } from 'node:stream';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Descriptors } from './descriptors.ts';
import { BusError, standardErrorName } from './errors.ts';

/** How often it is looked whether somebody still holds the other end of a stream that the client has half-closed. */
const PROBE_INTERVAL_MS = 2000;
const NOTHING = Buffer.alloc(0);
/** Far more than people and their tools follow; a client in a loop must not take all descriptors of the daemon. */
const MAX_OPEN = 4096;

/** Our end of a stream. */
export interface ServedStream {
  /** What the client writes; its end is a half-close. Only of a stream that goes both ways. */
  readonly input: Readable;
  /** A promise asks to wait: the client reads more slowly than we write. */
  write(bytes: Uint8Array): void | Promise<void>;
  /** Aborted when nobody holds the client's end any more, or the daemon ends. */
  readonly signal: AbortSignal;
}

/** All streams that are open; disposing cuts them off. */
export class OpenStreams implements Disposable {
  readonly #descriptors: Pick<Descriptors, 'openSocketPair'>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #maxOpen: number;
  readonly #open = new Set<Duplex>();

  constructor(parts: {
    readonly descriptors: Pick<Descriptors, 'openSocketPair'>;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly maxOpen?: number;
  }) {
    const { descriptors, clock, logger, maxOpen = MAX_OPEN } = parts;
    this.#descriptors = descriptors;
    this.#clock = clock;
    this.#logger = logger;
    this.#maxOpen = maxOpen;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Bytes to the client alone: its closing of its half is its leave. Returns the descriptor to be sent. */
  send(serve: (stream: ServedStream) => Promise<void>): number {
    const { fd, stream, gone } = this.#pair();
    stream.once('end', () => gone.abort());
    stream.resume();
    void this.#serve(stream, gone, serve);
    return fd;
  }

  /** Bytes both ways: the client's closing of its half is the end of its input. Returns the descriptor to be sent. */
  converse(serve: (stream: ServedStream) => Promise<void>): number {
    const { fd, stream, gone } = this.#pair();
    stream.once('end', () => this.#probe(stream));
    void this.#serve(stream, gone, serve);
    return fd;
  }

  [Symbol.dispose](): void {
    for (const stream of [...this.#open]) stream.destroy();
  }

  /** LimitsExceeded when too many are open. */
  #pair(): { readonly fd: number; readonly stream: Duplex; readonly gone: AbortController } {
    if (this.#open.size >= this.#maxOpen) {
      throw new BusError(
        standardErrorName('LimitsExceeded'),
        `${String(this.#maxOpen)} streams are open: close some first`,
      );
    }
    const { fd, stream } = this.#descriptors.openSocketPair();
    const gone = new AbortController();
    this.#open.add(stream);
    // An error (a write to nobody) is followed by the close.
    stream.on('error', () => undefined);
    stream.once('close', () => {
      this.#open.delete(stream);
      gone.abort();
    });
    return { fd, stream, gone };
  }

  /**
   * Nothing is read any more, so nothing tells that the peer has gone: the kernel does when it is asked to send nothing,
   * which is an error (EPIPE) then and harmless else.
   */
  #probe(stream: Duplex): void {
    this.#clock.after(PROBE_INTERVAL_MS, () => {
      if (stream.destroyed || stream.writableEnded) return;
      stream.write(NOTHING);
      this.#probe(stream);
    });
  }

  async #serve(stream: Duplex, gone: AbortController, serve: (stream: ServedStream) => Promise<void>): Promise<void> {
    try {
      await serve({ input: stream, write: (bytes) => write(stream, bytes), signal: gone.signal });
    } catch (error) {
      if (!gone.signal.aborted) this.#logger.warn('a stream over the bus broke off', { reason: messageOf(error) });
    }
    // Unread input would turn our close into a reset, which takes the last output from the client.
    stream.resume();
    if (gone.signal.aborted) stream.destroy();
    else stream.end(() => stream.destroy());
  }
}

function write(stream: Duplex, bytes: Uint8Array): void | Promise<void> {
  if (stream.destroyed || stream.write(bytes)) return;
  return new Promise<void>((resolve) => {
    const go = (): void => {
      stream.removeListener('drain', go);
      stream.removeListener('close', go);
      resolve();
    };
    stream.on('drain', go);
    stream.on('close', go);
  });
}
