import { connect } from 'node:net';
import type { BusStream } from './transport.ts';

/** A connection by Node's own socket, for a client to which no descriptors are sent: none would arrive. */
export function plainStream(address: string): BusStream {
  const socket = connect({ path: address });
  // An idle connection is no reason for a process to live on.
  socket.unref();
  // Before somebody listens, and after: an error is told once, by `end`.
  socket.on('error', () => undefined);
  return {
    open(receiver) {
      let reason: Error | null = null;
      socket.on('error', (error) => {
        reason = error;
      });
      socket.on('data', (bytes: Buffer) => receiver.data(bytes, []));
      socket.on('close', () => {
        receiver.end(reason);
      });
    },
    send(bytes) {
      socket.write(bytes);
    },
    get queuedBytes() {
      return socket.writableLength;
    },
    finish() {
      socket.end();
    },
    [Symbol.dispose]() {
      socket.removeAllListeners('close');
      socket.destroy();
    },
  };
}
