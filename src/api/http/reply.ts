import type { Readable } from 'node:stream';

/** Where a reply's bytes go: the connection. */
export interface ReplyChannel {
  readonly minorVersion: 0 | 1;
  readonly isHead: boolean;
  /** The connection will be closed after this exchange. */
  readonly closes: boolean;
  /** Sends bytes in order; a promise asks the caller to wait (back-pressure). Drops them when the client has gone. */
  write(bytes: Buffer | string): void | Promise<void>;
  /** All that was written has gone to the kernel. */
  readonly isFlushed: boolean;
  /** The connection must be closed after this exchange, since nothing else marks the end of the body. */
  closeAfterwards(): void;
  /** Hands the connection over; from now on no HTTP is spoken on it. */
  takeOver(): Readable;
}

/** A body that is being sent record by record. */
export interface ReplyStream {
  /** Sends one record now, as one chunk. */
  write(bytes: Uint8Array): void | Promise<void>;
  end(): void;
}

/** A connection that was taken over: raw bytes both ways. */
export interface TakenOver {
  /** What the client sends; ends at its half-close. */
  readonly input: Readable;
  write(bytes: Uint8Array): void | Promise<void>;
  /** All that was written has gone to the kernel: its buffers may be used again. */
  readonly isFlushed: boolean;
}

const REASONS: Readonly<Record<number, string>> = {
  101: 'UPGRADED',
  200: 'OK',
  201: 'Created',
  204: 'No Content',
  304: 'Not Modified',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  413: 'Request Entity Too Large',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  503: 'Service Unavailable',
  505: 'HTTP Version Not Supported',
};

/** The answer to one request. Exactly one of `send`, `stream`, `takeOver`, `handOver` may be called, once. */
export class Reply {
  /** Fields that every kind of answer carries; set before it starts. Names as they go out. */
  readonly fields = new Map<string, string>();
  readonly #channel: ReplyChannel;
  readonly #date: () => string;
  #started = false;
  #ended = false;

  constructor(channel: ReplyChannel, date: () => string) {
    this.#channel = channel;
    this.#date = date;
  }

  /** Status and header fields have gone out: an error can only be told in-band from now on. */
  get isStarted(): boolean {
    return this.#started;
  }

  /** The whole answer has been given to the connection. */
  get isEnded(): boolean {
    return this.#ended;
  }

  /** A whole answer at once. `body` null: no body and no type. */
  send(status: number, body: string | Buffer | null = null, contentType = 'application/json'): void {
    this.#start();
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    if (bytes !== null) this.fields.set('Content-Type', contentType);
    const hasLength = status !== 204 && status !== 304;
    const head = this.#head(status, hasLength ? [['Content-Length', String(bytes?.length ?? 0)]] : []);
    this.#ended = true;
    if (bytes === null || this.#channel.isHead || !hasLength) void this.#channel.write(head);
    else void this.#channel.write(Buffer.concat([Buffer.from(head, 'latin1'), bytes]));
  }

  /** One JSON value in Go's way: no HTML escapes, a newline at the end. */
  json(status: number, value: unknown): void {
    this.send(status, `${JSON.stringify(value)}\n`);
  }

  /** Sends status and fields at once; records follow. HTTP/1.0 clients get the body ended by the connection's end. */
  stream(status: number, contentType: string | null): ReplyStream {
    this.#start();
    const isChunked = this.#channel.minorVersion === 1;
    if (contentType !== null) this.fields.set('Content-Type', contentType);
    if (!isChunked) this.#channel.closeAfterwards();
    void this.#channel.write(this.#head(status, isChunked ? [['Transfer-Encoding', 'chunked']] : []));
    return {
      write: (bytes) => (bytes.length === 0 || this.#channel.isHead ? undefined : this.#writeRecord(bytes, isChunked)),
      end: () => {
        if (this.#ended) return;
        this.#ended = true;
        if (isChunked && !this.#channel.isHead) void this.#channel.write('0\r\n\r\n');
      },
    };
  }

  /**
   * Takes the connection over as dockerd does: with `upgrade` a 101, without it a 200 that has neither length nor
   * chunks. Field order and texts are dockerd's own: clients compare them.
   */
  takeOver(options: { readonly upgrade: boolean; readonly contentType: string; readonly bare: boolean }): TakenOver {
    const connection = this.handOver();
    const first = options.upgrade
      ? `HTTP/1.1 101 UPGRADED\r\nContent-Type: ${options.contentType}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n`
      : `HTTP/1.1 200 OK\r\nContent-Type: ${options.contentType}\r\n`;
    void connection.write(Buffer.from(`${first}${options.bare ? '' : fieldLines(this.fields)}\r\n`, 'latin1'));
    return connection;
  }

  /** Takes the connection over without a word: whoever gets it says its own. */
  handOver(): TakenOver {
    this.#start();
    this.#ended = true;
    const channel = this.#channel;
    return {
      input: channel.takeOver(),
      write: (bytes) => channel.write(bytes as Buffer),
      get isFlushed() {
        return channel.isFlushed;
      },
    };
  }

  #writeRecord(bytes: Uint8Array, isChunked: boolean): void | Promise<void> {
    if (!isChunked) return this.#channel.write(bytes as Buffer);
    if (bytes.length >= COPIED_RECORD_BYTES) {
      void this.#channel.write(`${bytes.length.toString(16)}\r\n`);
      void this.#channel.write(bytes as Buffer);
      return this.#channel.write(CRLF);
    }
    return this.#channel.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`, 'latin1'), bytes, CRLF]));
  }

  #start(): void {
    if (this.#started) throw new Error('the reply has already been started');
    this.#started = true;
  }

  #head(status: number, framing: readonly (readonly [string, string])[]): string {
    const fields = new Map(this.fields);
    fields.set('Date', this.#date());
    for (const [name, value] of framing) fields.set(name, value);
    if (this.#channel.closes) fields.set('Connection', 'close');
    return `HTTP/1.1 ${String(status)} ${REASONS[status] ?? 'Unknown'}\r\n${fieldLines(fields)}\r\n`;
  }
}

/** Smaller records are copied into one write; of larger ones (archives) the copy costs more than two more writes. */
const COPIED_RECORD_BYTES = 32 * 1024;
const CRLF = Buffer.from('\r\n');

function fieldLines(fields: ReadonlyMap<string, string>): string {
  let lines = '';
  for (const [name, value] of fields) lines += `${name}: ${value}\r\n`;
  return lines;
}
