/** A REST front over the fake engine on a socket of its own, with a client that sees every byte. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApiServer, type ApiServer } from '../../src/api/server.ts';
import { SystemClock } from '../../src/base/clock.ts';
import { silentLogger, type LogFields } from '../../src/base/logger.ts';
import { FakeEngine } from './fake-engine.ts';

export interface Answer {
  readonly status: number;
  /** By lower-case name. */
  readonly fields: ReadonlyMap<string, string>;
  readonly body: string;
  readonly json: any; // eslint-disable-line @typescript-eslint/no-explicit-any -- answers are what is tested
}

export interface CallOptions {
  readonly body?: unknown;
  /** Body as it is, instead of `body`. */
  readonly text?: string;
  readonly fields?: Readonly<Record<string, string>>;
}

export class TestApi implements AsyncDisposable {
  readonly engine: FakeEngine;
  readonly socketPath: string;
  readonly logged: { readonly message: string; readonly fields: LogFields | undefined }[] = [];
  readonly #directory: string;
  readonly #server: ApiServer;

  private constructor() {
    const clock = new SystemClock();
    this.engine = new FakeEngine(clock);
    this.#directory = mkdtempSync(join(tmpdir(), 'api-'));
    this.socketPath = join(this.#directory, 'd.sock');
    const note = (message: string, fields?: LogFields): void => void this.logged.push({ message, fields });
    this.#server = createApiServer({
      engine: this.engine,
      clock,
      logger: { ...silentLogger, warn: note, error: note },
      build: { version: '0.1.0', gitCommit: '', buildTime: '' },
    });
  }

  static async start(): Promise<TestApi> {
    const api = new TestApi();
    await api.server.listen({ kind: 'unix', path: api.socketPath, gid: null });
    return api;
  }

  get server(): ApiServer {
    return this.#server;
  }

  /** One request on a connection of its own. */
  async call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const peer = await this.open();
    const text = options.text ?? (options.body === undefined ? '' : JSON.stringify(options.body));
    const fields = {
      Host: 'docker',
      Connection: 'close',
      ...(text === '' ? {} : { 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(text)) }),
      ...options.fields,
    };
    peer.send(`${method} ${path} HTTP/1.1\r\n${fieldLines(fields)}\r\n${text}`);
    return parseAnswer(await peer.ended());
  }

  /** A raw connection. */
  async open(): Promise<Peer> {
    const socket = connect({ path: this.socketPath, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new Peer(socket);
  }

  /** A container that runs these words; returns its id. */
  async create(command: readonly string[], more: object = {}, name = ''): Promise<string> {
    const query = name === '' ? '' : `?name=${name}`;
    const { json } = await this.call('POST', `/containers/create${query}`, {
      body: { Image: 'busybox', Cmd: command, ...more },
    });
    return json.Id as string;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** A client's end of a connection; keeps everything it received. */
export class Peer {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  readonly #ended: Promise<void>;
  readonly #watchers = new Set<() => void>();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      for (const watch of this.#watchers) watch();
    });
    this.#ended = new Promise((resolve) => {
      socket.once('end', resolve);
      socket.once('close', () => resolve());
    });
  }

  send(text: string | Buffer): void {
    this.socket.write(text);
  }

  get text(): string {
    return this.#received.toString('latin1');
  }

  get bytes(): Buffer {
    return this.#received;
  }

  /** Settles when what was received satisfies the test. */
  async until(test: (text: string) => boolean): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watch = (): void => {
      if (test(this.text)) resolve();
    };
    this.#watchers.add(watch);
    watch();
    await Promise.race([promise, this.#ended]);
    this.#watchers.delete(watch);
    if (!test(this.text)) throw new Error(`the connection ended with: ${this.text}`);
    return this.text;
  }

  /** Everything, once the server has closed its half. */
  async ended(): Promise<Buffer> {
    await this.#ended;
    this.socket.destroy();
    return this.#received;
  }
}

export function parseAnswer(bytes: Buffer): Answer {
  const split = bytes.indexOf('\r\n\r\n');
  const [first = '', ...lines] = bytes.toString('latin1', 0, split).split('\r\n');
  const fields = new Map(
    lines.map((line) => [line.split(':', 1)[0]!.toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  );
  const raw = bytes.subarray(split + 4);
  const body = (fields.get('transfer-encoding') === 'chunked' ? dechunk(raw) : raw).toString();
  let json: unknown = null;
  try {
    json = JSON.parse(body);
  } catch {
    // Not every answer is JSON.
  }
  return { status: Number(first.split(' ')[1]), fields, body, json };
}

/** Data of each chunk, joined; throws when the end is missing. */
export function dechunk(raw: Buffer): Buffer {
  return Buffer.concat(chunksOf(raw));
}

export function chunksOf(raw: Buffer): readonly Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; ;) {
    const end = raw.indexOf('\r\n', at);
    const size = Number.parseInt(raw.toString('latin1', at, end), 16);
    if (end < 0 || Number.isNaN(size)) throw new Error('the last chunk is missing');
    if (size === 0) return chunks;
    chunks.push(raw.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}

/** Frames of a multiplexed stream. */
export function framesOf(bytes: Buffer): readonly { readonly stream: number; readonly text: string }[] {
  const frames: { stream: number; text: string }[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32BE(at + 4);
    frames.push({ stream: bytes[at]!, text: bytes.toString('utf8', at + 8, at + 8 + length) });
    at += 8 + length;
  }
  return frames;
}

function fieldLines(fields: Readonly<Record<string, string>>): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
}
