import { Readable } from 'node:stream';
import { ProtocolError, type BodyFraming } from './head.ts';

/** A chunk-size line with extensions is not longer than this in any honest request. */
const MAX_CHUNK_LINE = 4096;

/** What waits for a slow consumer: several reads of the socket, so that not each of them stops and restarts it. */
const BUFFERED_BYTES = 512 * 1024;

type ChunkPhase = 'size' | 'data' | 'data-end' | 'trailer';

/** What a body asks of the connection that feeds it. */
export interface BodySource {
  /** The consumer wants (more) data. */
  onWanted(): void;
}

/**
 * A request's body as a stream. The connection feeds it raw bytes; it takes its own framing off and tells how many
 * bytes were its own, so that what follows (the next request, or the first stdin bytes of a hijack) is never lost.
 *
 * Chunked coding (RFC 9112 §7.1):  size-hex [;ext] CRLF  data CRLF … 0 CRLF [trailer CRLF …] CRLF
 */
export class RequestBody extends Readable {
  readonly #source: BodySource;
  readonly #chunked: boolean;
  #remaining: number;
  #phase: ChunkPhase = 'size';
  #line = '';
  #complete: boolean;
  #wantsMore = true;

  constructor(framing: BodyFraming, source: BodySource) {
    super({ highWaterMark: BUFFERED_BYTES });
    this.#source = source;
    this.#chunked = framing.kind === 'chunked';
    this.#remaining = framing.kind === 'length' ? framing.length : 0;
    this.#complete = framing.kind === 'none';
    if (this.#complete) this.push(null);
    // Nobody may be listening when the client goes; that is no fault of the daemon.
    this.on('error', () => undefined);
  }

  /** All of it has arrived. */
  get isComplete(): boolean {
    return this.#complete;
  }

  /** The consumer keeps up. */
  get wantsMore(): boolean {
    return this.#wantsMore;
  }

  /** Takes the body's part of `bytes`; returns how many bytes that was. Throws ProtocolError for bad chunks. */
  feed(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length && !this.#complete) {
      at += this.#chunked && this.#phase !== 'data' ? this.#feedChunkLine(bytes, at) : this.#feedData(bytes, at);
    }
    return at;
  }

  override _read(): void {
    this.#wantsMore = true;
    this.#source.onWanted();
  }

  #feedData(bytes: Buffer, at: number): number {
    const size = Math.min(this.#remaining, bytes.length - at);
    this.#remaining -= size;
    if (!this.destroyed && !this.push(bytes.subarray(at, at + size))) this.#wantsMore = false;
    if (this.#remaining === 0) {
      if (this.#chunked) this.#phase = 'data-end';
      else this.#finish();
    }
    return size;
  }

  #feedChunkLine(bytes: Buffer, at: number): number {
    const newline = bytes.indexOf(0x0a, at);
    const end = newline < 0 ? bytes.length : newline + 1;
    this.#line += bytes.toString('latin1', at, end);
    if (this.#line.length > MAX_CHUNK_LINE) throw new ProtocolError(400, 'Bad Request: chunk line too long');
    if (newline >= 0) {
      const line = this.#line;
      this.#line = '';
      if (!line.endsWith('\r\n')) throw new ProtocolError(400, 'Bad Request: malformed chunk');
      this.#takeLine(line.slice(0, -2));
    }
    return end - at;
  }

  #takeLine(line: string): void {
    if (this.#phase === 'data-end') {
      if (line !== '') throw new ProtocolError(400, 'Bad Request: malformed chunk');
      this.#phase = 'size';
    } else if (this.#phase === 'trailer') {
      if (line === '') this.#finish();
    } else {
      const size = /^([0-9a-fA-F]{1,12})[ \t]*(?:;.*)?$/.exec(line)?.[1];
      if (size === undefined) throw new ProtocolError(400, 'Bad Request: malformed chunk size');
      this.#remaining = Number.parseInt(size, 16);
      this.#phase = this.#remaining === 0 ? 'trailer' : 'data';
    }
  }

  #finish(): void {
    this.#complete = true;
    if (!this.destroyed) this.push(null);
  }
}
