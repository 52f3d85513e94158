/**
 * The stream below the bus: a unix socket whose bytes carry descriptors. The composition root hands in the kernel's.
 */

/** What a stream tells its owner, from the event loop. */
export interface BusReceiver {
  /** Bytes in order, with descriptors that may belong to later bytes of the same chunk: match them by order. */
  data(bytes: Buffer, fds: readonly number[]): void;
  /** The last call: closed by the peer (null), or broken. */
  end(error: Error | null): void;
}

/** A connected stream. Takes over the descriptors that it is given, hands over those that come. */
export interface BusStream extends Disposable {
  open(receiver: BusReceiver): void;
  send(bytes: Buffer, fds?: readonly number[]): void;
  readonly queuedBytes: number;
  /** Closes when all that is queued has left. */
  finish(): void;
}

/** Connects to a path, or to a NUL and an abstract name. Throws when nobody listens there. */
export type ConnectStream = (address: string) => BusStream;
