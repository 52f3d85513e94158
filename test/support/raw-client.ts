import { connect, type Socket } from 'node:net';

/** A client that sees every byte of one connection, after the head too. */
export class RawClient {
  readonly socket: Socket;
  readonly #chunks: Buffer[] = [];
  readonly #ended = Promise.withResolvers<void>();
  #isOver = false;
  #wake: (() => void) | null = null;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#wake?.();
    });
    socket.on('error', () => undefined);
    for (const event of ['end', 'close']) {
      socket.on(event, () => {
        this.#isOver = true;
        this.#ended.resolve();
        this.#wake?.();
      });
    }
  }

  static async open(socketPath: string): Promise<RawClient> {
    const socket = connect({ path: socketPath, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new RawClient(socket);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Asks for a take-over (POST with `Upgrade`), with a JSON body unless null, and with `early` bytes behind it. */
  start(path: string, body: object | null, early = '', fields = 'Connection: Upgrade\r\nUpgrade: tcp\r\n'): void {
    const text = body === null ? '' : JSON.stringify(body);
    const typed =
      body === null ? '' : `Content-Type: application/json\r\nContent-Length: ${String(Buffer.byteLength(text))}\r\n`;
    this.socket.write(`POST ${path} HTTP/1.1\r\nHost: docker\r\n${fields}${typed}\r\n${text}${early}`);
  }

  /** Waits until what has come satisfies `enough`, or nothing comes any more. */
  async until(enough: (bytes: Buffer) => boolean): Promise<Buffer> {
    while (!this.#isOver && !enough(this.bytes)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.bytes;
  }

  /** Head fields, when they have come. */
  async head(): Promise<string> {
    return split(await this.until((bytes) => bytes.includes('\r\n\r\n'))).head;
  }

  /** All that came, when the other side has ended. */
  async ended(): Promise<{ readonly head: string; readonly body: Buffer }> {
    await this.#ended.promise;
    this.socket.destroy();
    return split(this.bytes);
  }
}

/** Docker's multiplexed frames; runs of one stream are joined. */
export function framesOf(bytes: Buffer): readonly { readonly stream: number; readonly text: string }[] {
  const frames: { stream: number; text: string }[] = [];
  for (let at = 0; at + 8 <= bytes.length;) {
    const length = bytes.readUInt32BE(at + 4);
    const stream = bytes[at] ?? -1;
    const text = bytes.toString('latin1', at + 8, at + 8 + length);
    const last = frames.at(-1);
    if (last?.stream === stream) last.text += text;
    else frames.push({ stream, text });
    at += 8 + length;
  }
  return frames;
}

function split(bytes: Buffer): { readonly head: string; readonly body: Buffer } {
  const end = bytes.indexOf('\r\n\r\n');
  return end < 0
    ? { head: bytes.toString('latin1'), body: Buffer.alloc(0) }
    : { head: bytes.toString('latin1', 0, end), body: bytes.subarray(end + 4) };
}
