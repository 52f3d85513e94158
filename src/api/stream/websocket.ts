/**
 * Attach over a WebSocket (`/containers/{id}/attach/ws`), for browsers: messages from the client are input, each chunk of
 * output is a message, both streams in one and without frames of Docker's. As dockerd has it, messages are binary from
 * API 1.28 on and text before; pings are answered; a client that closes its half of the connection (no close message)
 * ends stdin and goes on hearing.
 */
import { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex, Readable } from 'node:stream';
import type { WebSocket, WebSocketServer } from 'ws';
import { InvalidArgumentError, messageOf } from '../../base/errors.ts';
import type { Attachment, OutputSink } from '../../engine/index.ts';
import type { Context } from '../context.ts';
import { logFailure } from '../errors.ts';
import type { TakenOver } from '../http/reply.ts';

/** The longest message: what Go's library takes. A longer one closes the connection with 1009. */
const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;
/** Input that waits for the process before we stop reading. */
const INPUT_BYTES = 256 * 1024;
const NORMAL_CLOSURE = 1000;

/** InvalidArgumentError when the request does not ask for a WebSocket that we speak: before anything is taken over. */
export function requireWebSocket({ fields }: Pick<Context, 'fields'>): void {
  const key = fields.get('sec-websocket-key') ?? '';
  if (fields.get('upgrade')?.toLowerCase() !== 'websocket') throw new InvalidArgumentError('not websocket protocol');
  if (!/^[A-Za-z0-9+/]{22}==$/.test(key)) throw new InvalidArgumentError('mismatch challenge/response');
  if (fields.get('sec-websocket-version') !== '13') throw new InvalidArgumentError('missing or bad WebSocket Version');
}

/** Shakes hands and copies until the attachment ends. Errors from now on are told on the stream. */
export async function runWebSocket(
  context: Context,
  attachment: Attachment,
  { stdin }: { readonly stdin: boolean },
): Promise<void> {
  const { version, signal, logger } = context;
  const { socket, wire } = await shakeHands(context);
  // A bad frame or too long a message: it has closed the connection by itself, and says so to the client.
  socket.on('error', () => undefined);
  const output = sinkOf(socket, { binary: version.atLeast('1.28') });
  const input = inputOf(socket);
  if (!stdin) input.resume();
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  try {
    await attachment.run({ stdin: stdin ? input : null, output, signal: AbortSignal.any([signal, gone.signal]) });
  } catch (error) {
    if (signal.aborted || gone.signal.aborted) return;
    logFailure(logger, 'an attach over a WebSocket', error);
    await output.write('stderr', Buffer.from(`${messageOf(error)}\n`));
  }
  if (socket.readyState === socket.OPEN) socket.close(NORMAL_CLOSURE);
  // Nobody will answer: the library would wait for half a minute, and the engine's end with it.
  if (wire.isHalfClosed) wire.end();
}

async function shakeHands({ fields, reply }: Context): Promise<{ readonly socket: WebSocket; readonly wire: Wire }> {
  const library = await serverOf();
  const wire = new Wire(reply.handOver());
  const request = new IncomingMessage(wire as unknown as Socket);
  request.method = 'GET';
  request.headers = Object.fromEntries(fields);
  return new Promise((resolve) => {
    library.handleUpgrade(request, wire, NOTHING, (socket) => resolve({ socket, wire }));
  });
}

const NOTHING = Buffer.alloc(0);
let server: Promise<WebSocketServer> | null = null;

/** Few ever attach this way: the library is loaded for the first who does. */
function serverOf(): Promise<WebSocketServer> {
  server ??= import('ws').then(
    (library) =>
      new library.WebSocketServer({
        noServer: true,
        clientTracking: false,
        perMessageDeflate: false,
        autoPong: false,
        maxPayload: MAX_MESSAGE_BYTES,
        // Text messages are bytes for a process's stdin; Go's library does not look into them either.
        skipUTF8Validation: true,
      }),
  );
  return server;
}

/**
 * A ping from the client with these words, which we put behind all else that came from it: so the end of its half passes
 * through the library in its order.
 */
const END_WORDS = Buffer.from('moored: end of input');
/** Final frame, ping; masked with zeros, since clients' frames are masked. */
const END_FRAME = Buffer.concat([Buffer.from([0x89, 0x80 | END_WORDS.length, 0, 0, 0, 0]), END_WORDS]);

/** Our connection as the library wants it. The end of the client's half is kept from it: it would answer by closing. */
class Wire extends Duplex {
  readonly #connection: TakenOver;
  #isHalfClosed = false;

  constructor(connection: TakenOver) {
    super({ allowHalfOpen: true, decodeStrings: true });
    this.#connection = connection;
    const { input } = connection;
    input.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) input.pause();
    });
    input.once('end', () => {
      this.#isHalfClosed = true;
      this.push(END_FRAME);
    });
    input.once('close', () => {
      if (!input.readableEnded) this.destroy();
    });
  }

  /** The client says nothing any more. */
  get isHalfClosed(): boolean {
    return this.#isHalfClosed;
  }

  override _read(): void {
    this.#connection.input.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const pending = this.#connection.write(chunk);
    if (pending === undefined) done();
    else pending.then(() => done(), done);
  }

  override _final(done: () => void): void {
    this.push(null);
    done();
  }
}

/** What the client types; ends with its half of the connection. */
function inputOf(socket: WebSocket): Readable {
  const input = new Readable({ highWaterMark: INPUT_BYTES, read: () => socket.resume() });
  input.on('error', () => undefined);
  socket.on('message', (message: Buffer) => {
    if (!input.destroyed && !input.push(message)) socket.pause();
  });
  socket.on('ping', (words: Buffer) => {
    if (words.equals(END_WORDS)) input.push(null);
    else socket.pong(words);
  });
  socket.once('close', () => input.destroy());
  return input;
}

function sinkOf(socket: WebSocket, { binary }: { readonly binary: boolean }): OutputSink {
  return {
    write: (_stream, chunk) => {
      if (chunk.length === 0) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      // A copy: the source uses its buffer again.
      socket.send(Buffer.from(chunk), { binary }, () => resolve());
      return socket.bufferedAmount > 0 ? promise : undefined;
    },
  };
}
