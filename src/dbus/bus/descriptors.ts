import type { Duplex, Readable, Writable } from 'node:stream';

/** File descriptors for streams over the bus; the composition root hands in the kernel's. */
export interface Descriptors {
  /** A pipe: `fd` (its reading end) is to be sent, what is written to `output` comes out there. */
  openPipe(): { readonly fd: number; readonly output: Writable };
  /** A pair of stream sockets: `fd` is to be sent, `stream` is our end, whose halves close one by one. */
  openSocketPair(): { readonly fd: number; readonly stream: Duplex };
  /** Takes over a descriptor that a client sent, for reading: pipe, socket or regular file. Closed at its end. */
  read(fd: number): Readable;
  /** The same for writing. */
  write(fd: number): Writable;
  close(fd: number): void;
}
