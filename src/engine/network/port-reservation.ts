/**
 * A reserved host port: a socket of the daemon that is bound and never served, so that no other process can take the
 * port while a container has it, and so that a port which another process has is refused with the kernel's own word.
 * Packets never get here: the packet filter has sent them to the container before a socket is looked for.
 *
 * The sockets go with the daemon; the next run binds them again. In between the packet filter goes on working.
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { PortProtocol } from './types.ts';

/** Only there to be refused: see above. */
const BACKLOG = 1;

/** A held port; `release` frees it. */
export interface PortReservation {
  release(): Promise<void>;
}

/** Takes hold of host ports. */
export type ReservePort = (protocol: PortProtocol, hostIp: string, hostPort: number) => Promise<PortReservation>;

/** Binds the port; Node's system error when the kernel refuses. SCTP ports are kept in our own book only. */
export const reservePort: ReservePort = async (protocol, hostIp, hostPort) => {
  switch (protocol) {
    case 'tcp':
      return await listen(hostIp, hostPort);
    case 'udp':
      return await bind(hostIp, hostPort);
    case 'sctp':
      return { release: () => Promise.resolve() };
  }
};

async function listen(host: string, port: number): Promise<PortReservation> {
  const server = createServer((socket) => socket.destroy());
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host, port, backlog: BACKLOG, exclusive: true }, resolve);
  await promise;
  server.off('error', reject);
  server.on('error', ignore);
  server.unref();
  return {
    release: () => {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      return closed.promise;
    },
  };
}

async function bind(address: string, port: number): Promise<PortReservation> {
  const socket = createSocket({ type: 'udp4', reuseAddr: false });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once('error', reject);
  try {
    socket.bind({ address, port, exclusive: true }, resolve);
    await promise;
  } catch (error) {
    socket.close();
    throw error;
  }
  socket.off('error', reject);
  socket.on('error', ignore);
  socket.unref();
  return {
    release: () => {
      const closed = Promise.withResolvers<void>();
      socket.close(() => closed.resolve());
      return closed.promise;
    },
  };
}

function ignore(): void {}
