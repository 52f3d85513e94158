/**
 * Descriptors that leave and enter this process: a unix stream whose bytes carry them, and pipes and sockets to be
 * handed out. Apart from {@link Kernel}, since only the D-Bus front needs it.
 *
 * Whoever receives a descriptor owns it; whoever gives one to {@link DescriptorStream.send} owns it no more.
 */
import type { Duplex, Readable, Writable } from 'node:stream';

/** What a stream tells its owner; called from the event loop, never from within a call of the owner. */
export interface DescriptorReceiver {
  /**
   * Bytes in order, and the descriptors that came with them. A descriptor never comes later than the byte it was sent
   * with, yet may come with earlier ones: match them by order and number, not by chunk. `bytes` are the receiver's.
   */
  data(bytes: Buffer, fds: readonly number[]): void;
  /** The last call: the peer has closed (null), or the stream broke. */
  end(error: Error | null): void;
}

/** A connected unix stream socket that carries descriptors (SCM_RIGHTS). */
export interface DescriptorStream extends Disposable {
  /** Starts reading. */
  open(receiver: DescriptorReceiver): void;
  /**
   * Queues bytes, sent in order as the peer takes them; takes over `fds` (at most 253), which go with the first byte
   * and are closed here when they have left or when the stream has ended. After the end nothing is sent.
   */
  send(bytes: Buffer, fds?: readonly number[]): void;
  /** Bytes that the peer has not taken yet. */
  readonly queuedBytes: number;
  /** Closes when the queue is empty; nothing is received any more. */
  finish(): void;
  /** Closes at once; `end` is not called. Idempotent. */
  [Symbol.dispose](): void;
}

/** Everything about descriptors that Node has no words for. */
export interface DescriptorCalls {
  /** Connects to a listening unix stream socket: a path, or a NUL and an abstract name. Throws KernelError. */
  connect(address: string): DescriptorStream;
  /** A pipe: `fd` is its reading end, and what is written to `output` comes out there. */
  openPipe(): { readonly fd: number; readonly output: Writable };
  /** A pair of stream sockets: `fd`, and our end, whose halves close one by one. */
  openSocketPair(): { readonly fd: number; readonly stream: Duplex };
  /** Takes over a descriptor for reading: pipe, socket, terminal or regular file. Closed at its end. */
  read(fd: number): Readable;
  /** The same for writing. */
  write(fd: number): Writable;
  /** Closes a descriptor; one that is closed already is no error. */
  close(fd: number): void;
}
