import { createServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import type { Socket } from 'node:net';

/** Who this server is on TLS, and whom it lets in. */
export interface TlsIdentity {
  /** PEM. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  /** Clients must have a certificate of one of these authorities (PEM); null: anybody may connect. */
  readonly clientAuthorities: string | null;
}

/** First byte of a TLS handshake record. */
const HANDSHAKE_RECORD = 0x16;

/** How long a client may take until its handshake is through. */
const HANDSHAKE_TIMEOUT_MS = 30_000;

/** Go's answer to a client that forgot TLS; docker prints the sentence. */
const PLAIN_ANSWER =
  'HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n';

/**
 * Puts TLS on accepted TCP connections. It stands behind the listeners, not in their place: what a listener is (an
 * inherited descriptor may be a unix socket or TCP) is known only once it listens, and one renewal reaches all.
 */
export class TlsFront {
  readonly #server: TlsServer;
  /** Connections whose handshake is not through, by their two ends: TLS makes another socket of each. */
  readonly #waiting = new Map<string, Socket>();

  constructor(identity: TlsIdentity, onConnection: (socket: TLSSocket) => void) {
    this.#server = createServer(
      { ...contextOf(identity), ...clientRules(identity), ...CONNECTION_OPTIONS },
      (socket) => {
        this.#waiting.delete(endsOf(socket));
        onConnection(socket);
      },
    );
    // A handshake that fails is the client's matter.
    this.#server.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  /** Takes over a fresh TCP connection. */
  accept(socket: Socket): void {
    const ends = endsOf(socket);
    this.#waiting.set(ends, socket);
    socket.on('close', () => {
      if (this.#waiting.get(ends) === socket) this.#waiting.delete(ends);
    });
    socket.on('error', () => socket.destroy());
    socket.setTimeout(HANDSHAKE_TIMEOUT_MS, () => socket.destroy());
    socket.once('readable', () => {
      const first = socket.read() as Buffer | null;
      if (first === null) {
        socket.destroy();
        return;
      }
      if (first[0] !== HANDSHAKE_RECORD) {
        socket.end(PLAIN_ANSWER);
        socket.resume();
        return;
      }
      socket.setTimeout(0);
      socket.unshift(first);
      this.#server.emit('connection', socket);
    });
  }

  /** Cuts what has not got through its handshake. */
  close(): void {
    for (const socket of this.#waiting.values()) socket.destroy();
  }

  /** Connections from now on see the new certificate; those that are open stay as they are. */
  renew(identity: TlsIdentity): void {
    this.#server.setSecureContext(contextOf(identity));
  }
}

function endsOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return [localAddress, localPort, remoteAddress, remotePort].join(' ');
}

const CONNECTION_OPTIONS = { allowHalfOpen: true, handshakeTimeout: HANDSHAKE_TIMEOUT_MS };

function contextOf({ certificate, key, clientAuthorities }: TlsIdentity) {
  return {
    cert: certificate,
    key,
    minVersion: 'TLSv1.2' as const,
    ...(clientAuthorities === null ? {} : { ca: clientAuthorities }),
  };
}

function clientRules({ clientAuthorities }: TlsIdentity) {
  const verifies = clientAuthorities !== null;
  return { requestCert: verifies, rejectUnauthorized: verifies };
}
