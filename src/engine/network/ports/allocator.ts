import type { Sysctls } from '../sysctl.ts';
import type { PortProtocol } from '../types.ts';
import { allPortsAllocated, portAllocated } from './messages.ts';

/** What a group of rows needs of the host. */
export interface HostPortWish {
  readonly protocol: PortProtocol;
  /** The same port on all of them. */
  readonly hostIps: readonly string[];
  /** 0 and 0: any. */
  readonly first: number;
  readonly last: number;
}

/** Where ports without a wish are taken from. */
export interface RandomPorts {
  readonly first: number;
  readonly last: number;
  /** Not to be chosen by chance (`ip_local_reserved_ports`). */
  readonly reserved: ReadonlySet<number>;
}

/** libnetwork's, where the kernel does not say. */
const FALLBACK = { first: 49_153, last: 65_535 } as const;

/**
 * Which host ports our containers have. Like dockerd's it keeps a book for each host address and protocol; that
 * `0.0.0.0:80` and `127.0.0.1:80` exclude one another is found out by the kernel, when the port is reserved.
 */
export class PortAllocator {
  readonly #books = new Map<string, Book>();
  readonly #random: RandomPorts;

  constructor(random: RandomPorts) {
    this.#random = random;
  }

  /**
   * Takes one port on all addresses. Where it may choose it goes on behind the port chosen last, so that one just given back
   * is not at once another container's. InternalError in Docker's words when a single port is taken or a range is used up.
   */
  take({ protocol, hostIps, first, last }: HostPortWish): number {
    const books = hostIps.map((hostIp) => this.#book(protocol, hostIp));
    const port = first !== 0 && first === last ? first : this.#choose(books, first, last);
    const taken = books.findIndex((book) => book.taken.has(port));
    if (taken !== -1) throw portAllocated(hostIps[taken] ?? '', port);
    for (const book of books) book.taken.add(port);
    return port;
  }

  /** Gives a port back. Idempotent. */
  release(protocol: PortProtocol, hostIps: readonly string[], port: number): void {
    for (const hostIp of hostIps) this.#book(protocol, hostIp).taken.delete(port);
  }

  #choose(books: readonly Book[], first: number, last: number): number {
    const isRandom = first === 0;
    const [begin, end] = isRandom ? [this.#random.first, this.#random.last] : [first, last];
    const range = `${String(begin)}-${String(end)}`;
    let port = books[0]?.last.get(range) ?? end;
    for (let count = end - begin + 1; count > 0; count -= 1) {
      port = port >= end ? begin : port + 1;
      if (isRandom && this.#random.reserved.has(port)) continue;
      if (books.some((book) => book.taken.has(port))) continue;
      for (const book of books) book.last.set(range, port);
      return port;
    }
    throw allPortsAllocated();
  }

  #book(protocol: PortProtocol, hostIp: string): Book {
    const key = `${protocol} ${hostIp}`;
    let book = this.#books.get(key);
    if (book === undefined) this.#books.set(key, (book = { taken: new Set(), last: new Map() }));
    return book;
  }
}

interface Book {
  readonly taken: Set<number>;
  /** The port chosen last, for each range asked for. */
  readonly last: Map<string, number>;
}

/** The kernel's own range for sockets without a wish, less what the administrator keeps from being chosen. */
export function randomPorts(sysctls: Sysctls): RandomPorts {
  const [first = Number.NaN, last = Number.NaN] = (sysctls.read('net/ipv4/ip_local_port_range') ?? '')
    .split(/\s+/)
    .map(Number);
  const reserved = reservedPorts(sysctls.read('net/ipv4/ip_local_reserved_ports') ?? '');
  return first >= 1 && last >= first ? { first, last, reserved } : { ...FALLBACK, reserved };
}

/** `8080,30000-32767`. */
function reservedPorts(text: string): ReadonlySet<number> {
  const ports = new Set<number>();
  for (const entry of text.split(',').filter((part) => part !== '')) {
    const [first = 0, last = first] = entry.split('-').map(Number);
    for (let port = first; port <= last; port += 1) ports.add(port);
  }
  return ports;
}
