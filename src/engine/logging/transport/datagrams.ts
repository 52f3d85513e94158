/** Datagrams to a unix socket (journald, syslog) and to a UDP port. */
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import type { Clock } from '../../../base/clock.ts';
import { KernelError, type DatagramSocket, type Kernel } from '../../kernel/kernel.ts';
import type { HostPort } from '../options/address.ts';

/** How long a full receiver is waited for before the rest counts as not taken. */
const FULL_PAUSE_MS = 5;
const FULL_ATTEMPTS = 200;

/** Somebody who takes datagrams. */
export interface PacketTarget extends Disposable {
  /** How many were taken, in order: all, or fewer when the receiver's queue stays full. Rejects when nobody is there. */
  sendAll(packets: readonly Buffer[]): Promise<number>;
}

/** What datagrams are sent with. */
export interface DatagramGround {
  readonly kernel: Pick<Kernel, 'sockets'>;
  readonly clock: Clock;
}

/** A unix socket for datagrams, by its path. */
export class DatagramTarget implements PacketTarget {
  readonly #socket: DatagramSocket;
  readonly #path: string;
  readonly #clock: Clock;

  constructor({ kernel, clock }: DatagramGround, path: string) {
    this.#clock = clock;
    this.#socket = kernel.sockets.openDatagrams();
    this.#path = path;
  }

  async sendAll(packets: readonly Buffer[]): Promise<number> {
    let sent = 0;
    for (let attempts = 0; sent < packets.length; attempts += 1) {
      const packet = packets[sent];
      if (packet === undefined) break;
      if (this.#isSent(packet)) {
        sent += 1;
        attempts = 0;
      } else if (attempts >= FULL_ATTEMPTS) {
        break;
      } else {
        await this.#clock.sleep(FULL_PAUSE_MS);
      }
    }
    if (sent === 0 && packets.length > 0) throw new Error(`${this.#path} takes no messages`);
    return sent;
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  /** False when the receiver's queue is full. */
  #isSent(packet: Buffer): boolean {
    try {
      this.#socket.send(this.#path, packet);
      return true;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      switch (error.code) {
        case 'EAGAIN':
          return false;
        case 'EMSGSIZE':
        case 'ENOBUFS':
          this.#socket.sendAsFile(this.#path, packet);
          return true;
        default:
          throw error;
      }
    }
  }
}

/** A UDP port. That nobody listens is only known from the answer to an earlier packet. */
export class UdpTarget implements PacketTarget {
  readonly #place: HostPort;
  readonly #clock: Clock;
  #socket: Socket | null = null;
  #failure: Error | null = null;

  constructor(place: HostPort, clock: Clock) {
    this.#place = place;
    this.#clock = clock;
  }

  async sendAll(packets: readonly Buffer[]): Promise<number> {
    const socket = this.#socket ?? (await this.#open());
    this.#throwFailure();
    // One at a time: libuv would queue without end what the network does not take.
    for (const packet of packets) await send(socket, packet);
    // Time for the answer of a host where nobody listens.
    await this.#clock.sleep(0);
    this.#throwFailure();
    return packets.length;
  }

  [Symbol.dispose](): void {
    this.#close();
  }

  async #open(): Promise<Socket> {
    const { address, family } = await lookup(this.#place.host === '' ? '127.0.0.1' : this.#place.host);
    const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
    socket.on('error', (error) => {
      this.#failure = error;
      this.#close();
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(Number(this.#place.port), address, () => {
        socket.off('error', reject);
        resolve();
      });
    });
    socket.unref();
    this.#socket = socket;
    return socket;
  }

  #throwFailure(): void {
    const failure = this.#failure;
    this.#failure = null;
    if (failure !== null) {
      this.#close();
      throw failure;
    }
  }

  #close(): void {
    this.#socket?.close();
    this.#socket = null;
  }
}

async function send(socket: Socket, packet: Buffer): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.send(packet, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
