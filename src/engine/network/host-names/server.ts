/** A name server for the host alone, by UDP and TCP. A container that gets there is not answered. */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { FrameReader, framed } from '../dns/framed.ts';
import type { Transport } from '../dns/answer.ts';

const PORT = 53;
/** By TCP one comes only for what does not fit into a datagram. */
const MAX_CONNECTIONS = 16;
const IDLE_LIMIT_MS = 5_000;

/** The answer to a packet; null: none. */
export type Answer = (bytes: Buffer, transport: Transport) => Buffer | null;

export class HostNameServer implements AsyncDisposable {
  readonly #datagrams: DatagramSocket;
  readonly #listener: Server;
  readonly #connections = new Set<Socket>();

  private constructor(address: string, answer: Answer) {
    this.#datagrams = createSocket('udp4').unref();
    this.#datagrams.on('message', (bytes, { address: from, port }) => {
      // The host asks its own address from that very address. Elsewhere nobody can have it: the kernel drops packets
      // that come in with an address of its own.
      const reply = from === address ? answer(bytes, 'udp') : null;
      if (reply !== null) this.#datagrams.send(reply, port, from, () => undefined);
    });
    this.#listener = createServer((socket) => {
      if (socket.remoteAddress === address) this.#serve(socket, answer);
      else socket.destroy();
    }).unref();
    this.#listener.maxConnections = MAX_CONNECTIONS;
  }

  /** EADDRINUSE and other words of the system when it cannot listen. */
  static async listen(address: string, answer: Answer): Promise<HostNameServer> {
    const server = new HostNameServer(address, answer);
    try {
      server.#datagrams.bind(PORT, address);
      await once(server.#datagrams, 'listening');
      server.#listener.listen(PORT, address);
      await once(server.#listener, 'listening');
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    // From here on a failure is one question's: its asker asks again.
    server.#datagrams.on('error', () => undefined);
    server.#listener.on('error', () => undefined);
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#connections) socket.destroy();
    const closed = this.#listener.listening ? once(this.#listener, 'close') : Promise.resolve();
    this.#listener.close();
    const ended = once(this.#datagrams, 'close');
    this.#datagrams.close();
    await Promise.all([closed, ended]);
  }

  #serve(socket: Socket, answer: Answer): void {
    const reader = new FrameReader();
    this.#connections.add(socket);
    socket.unref();
    socket.on('close', () => this.#connections.delete(socket));
    socket.on('error', () => undefined);
    socket.setTimeout(IDLE_LIMIT_MS, () => socket.destroy());
    socket.on('data', (chunk) => {
      for (const message of reader.take(chunk)) {
        const reply = answer(message, 'tcp');
        if (reply === null) socket.destroy();
        else socket.write(framed(reply));
      }
    });
  }
}
