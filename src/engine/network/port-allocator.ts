import { allPortsAllocated, portAllocated } from './messages.ts';
import type { PortProtocol } from './types.ts';

/** Where published ports without a wish are taken from: Linux's own ephemeral range, as dockerd does. */
export const RANDOM_PORT_RANGE = { first: 32768, last: 60999 } as const;

/** What a published port needs of the host. */
export interface HostPortWish {
  readonly protocol: PortProtocol;
  readonly hostIp: string;
  /** 0 and 0: any. */
  readonly first: number;
  readonly last: number;
}

/**
 * Which host ports our containers have. Like dockerd's it keeps a book for each host address and protocol; that
 * `0.0.0.0:80` and `127.0.0.1:80` exclude one another is found out by the kernel, when the port is reserved.
 */
export class PortAllocator {
  readonly #books = new Map<string, Book>();

  /**
   * Takes a port, trying those in `refused` no more. InternalError in dockerd's words when a single port is taken or a
   * range is used up.
   */
  take(wish: HostPortWish, refused: ReadonlySet<number> = new Set()): number {
    const book = this.#book(wish.protocol, wish.hostIp);
    if (wish.first === 0) return book.takeRandom(refused);
    if (wish.first === wish.last) {
      if (book.taken.has(wish.first)) throw portAllocated(wish.hostIp, wish.first);
      book.taken.add(wish.first);
      return wish.first;
    }
    for (let port = wish.first; port <= wish.last; port += 1) {
      if (book.taken.has(port) || refused.has(port)) continue;
      book.taken.add(port);
      return port;
    }
    throw allPortsAllocated();
  }

  /** Gives a port back. Idempotent. */
  release(protocol: PortProtocol, hostIp: string, port: number): void {
    this.#book(protocol, hostIp).taken.delete(port);
  }

  #book(protocol: PortProtocol, hostIp: string): Book {
    const key = `${protocol} ${hostIp}`;
    let book = this.#books.get(key);
    if (book === undefined) {
      book = new Book();
      this.#books.set(key, book);
    }
    return book;
  }
}

class Book {
  readonly taken = new Set<number>();
  #last: number = RANDOM_PORT_RANGE.last;

  /** The next free port after the last one given, so that a port just freed is not at once another container's. */
  takeRandom(refused: ReadonlySet<number>): number {
    const count = RANDOM_PORT_RANGE.last - RANDOM_PORT_RANGE.first + 1;
    for (let step = 1; step <= count; step += 1) {
      const port = RANDOM_PORT_RANGE.first + ((this.#last - RANDOM_PORT_RANGE.first + step) % count);
      if (this.taken.has(port) || refused.has(port)) continue;
      this.#last = port;
      this.taken.add(port);
      return port;
    }
    throw allPortsAllocated();
  }
}
