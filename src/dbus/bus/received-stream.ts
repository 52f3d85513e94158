import type { Readable } from 'node:stream';
import type { Descriptors } from './descriptors.ts';

/** Takes over a descriptor that a client sent. When `begin` throws, nobody will read it, and it is closed at once. */
export function withReceived<T>(descriptors: Pick<Descriptors, 'read'>, fd: number, begin: (stream: Readable) => T): T {
  const stream = descriptors.read(fd);
  // Who reads it gets the error; a job that is canceled first must not end the daemon with one.
  stream.on('error', () => undefined);
  try {
    return begin(stream);
  } catch (error) {
    stream.destroy();
    throw error;
  }
}
