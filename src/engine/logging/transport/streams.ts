/** Connections to log receivers: TCP, TLS, unix. */
import { createConnection, type Socket } from 'node:net';
import { readFileSync } from 'node:fs';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { InternalError, messageOf } from '../../../base/errors.ts';
import { dialFailure, joinHostPort, type HostPort } from '../options/address.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** A receiver that vanished without a word is noticed. */
const KEEP_ALIVE_MS = 30_000;

/** Where a stream leads; plain data. */
export type StreamPlace =
  | ({ readonly kind: 'tcp' } & HostPort)
  | ({ readonly kind: 'tls'; readonly tls: TlsFiles } & HostPort)
  | { readonly kind: 'unix'; readonly path: string };

/** Paths; '' for none. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly skipVerify: boolean;
}

/** What a connection's user may want to know. */
export interface StreamEvents {
  /** What the receiver says. */
  readonly onData?: (bytes: Buffer) => void;
  readonly onClose?: () => void;
}

/** A connection that is made when it is needed, and anew after it broke. */
export class StreamTarget implements Disposable {
  readonly #place: StreamPlace;
  readonly #events: StreamEvents;
  #socket: Socket | null = null;

  constructor(place: StreamPlace, events: StreamEvents = {}) {
    this.#place = place;
    this.#events = events;
  }

  /** Rejects with Go's words. */
  async connect(): Promise<void> {
    if (this.#socket?.writable === true) return;
    this[Symbol.dispose]();
    const socket = await connected(this.#place);
    const forget = (): void => {
      if (this.#socket === socket) this.#socket = null;
      socket.destroy();
    };
    // A receiver that has closed its half is leaving: what is written now would be lost.
    socket.on('end', forget).on('close', forget).on('error', forget);
    socket.on('data', (bytes: Buffer) => this.#events.onData?.(bytes));
    socket.on('close', () => this.#events.onClose?.());
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.unref();
    this.#socket = socket;
  }

  /** Settles when the kernel has the bytes. */
  async send(bytes: Buffer): Promise<void> {
    if (this.#socket !== null) await heard();
    await this.connect();
    const socket = this.#socket;
    if (socket === null) throw new InternalError('the connection was closed');
    await new Promise<void>((resolve, reject) => {
      const onClose = (): void => reject(new InternalError('the connection was closed'));
      socket.once('close', onClose);
      socket.write(bytes, (error) => {
        socket.off('close', onClose);
        if (error === null || error === undefined) resolve();
        else reject(error);
      });
    });
  }

  [Symbol.dispose](): void {
    this.#socket?.destroy();
    this.#socket = null;
  }
}

/** A turn of the loop: a receiver's end that has come already is heard, before its kernel takes bytes for nobody. */
function heard(): Promise<void> {
  // eslint-disable-next-line no-restricted-globals -- the turn is what is waited for
  return new Promise((resolve) => setImmediate(resolve));
}

async function connected(place: StreamPlace): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = opened(place, resolve);
  socket.setTimeout(CONNECT_TIMEOUT_MS, () => reject(new Error('i/o timeout')));
  const onError = (error: Error): void => reject(error);
  socket.on('error', onError);
  try {
    await promise;
    socket.off('error', onError);
    socket.setTimeout(0);
    return socket;
  } catch (error) {
    socket.destroy();
    const address = place.kind === 'unix' ? place.path : joinHostPort(place);
    throw new InternalError(dialFailure(place.kind === 'unix' ? 'unix' : 'tcp', address, error), { cause: error });
  }
}

function opened(place: StreamPlace, onConnect: () => void): Socket {
  switch (place.kind) {
    case 'unix':
      return createConnection({ path: place.path }, onConnect);
    case 'tcp':
      return createConnection({ host: place.host === '' ? '127.0.0.1' : place.host, port: portOf(place) }, onConnect);
    case 'tls':
      return connectTls(
        { host: place.host, port: portOf(place), servername: place.host, ...tlsOptions(place.tls) },
        onConnect,
      );
  }
}

function portOf({ port }: HostPort): number {
  const number = Number(port);
  if (!Number.isInteger(number) || number < 0 || number > 65_535) {
    throw new InternalError(`dial tcp: address ${port}: invalid port`);
  }
  return number;
}

/** InternalError in the words of Docker's TLS library. */
export function tlsOptions({ ca, cert, key, skipVerify }: TlsFiles): ConnectionOptions {
  return {
    rejectUnauthorized: !skipVerify,
    ...(ca === '' || skipVerify ? {} : { ca: fileFor('could not read CA certificate', ca) }),
    ...(cert === '' && key === ''
      ? {}
      : {
          cert: fileFor('Could not load X509 key pair', cert),
          key: fileFor('Could not load X509 key pair', key),
        }),
  };
}

function fileFor(what: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new InternalError(`${what} ${JSON.stringify(path)}: ${messageOf(error)}`, { cause: error });
  }
}
