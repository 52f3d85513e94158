/**
 * Internet sockets by plain system calls: thousands in a breath, without an object of Node's for each.
 *
 * Story: `fd = bind({ protocol: 'tcp', address: '0.0.0.0', port: 80 })` takes the port from everybody else; `listen(fd, 0)`
 * makes it certain; a {@link ReadySet} tells when somebody calls; `accept(fd)` gives that connection as a descriptor.
 *
 * All descriptors are close-on-exec and never block. Every failing call throws KernelError.
 */
import type { Fd } from './fd.ts';

/** A local address to take hold of. */
export interface BindRequest {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** An address of either family; `0.0.0.0` and `::` are all addresses of one family. */
  readonly address: string;
  readonly port: number;
  /** With `::`: all addresses of IPv4 as well, on one socket. */
  readonly bothFamilies?: boolean;
  /** UDP: {@link InternetCalls.receiveFrom} tells where a datagram was sent to. */
  readonly destinations?: boolean;
}

/** One datagram. `bytes` are only good until the next call. */
export interface Datagram {
  readonly bytes: Buffer;
  /** The sender, as the kernel writes it. */
  readonly peer: Buffer;
  /** The address it was sent to, as {@link InternetCalls.sendTo} takes it for the sender of the answer; may be empty. */
  readonly destination: Buffer;
}

/** TCP, UDP and SCTP sockets. */
export interface InternetCalls {
  /**
   * A bound socket. A TCP one passes over what earlier connections left (TIME_WAIT), and is safe from others only once it
   * listens. EADDRINUSE, EADDRNOTAVAIL, EACCES; EPROTONOSUPPORT where the kernel lacks SCTP.
   */
  bind(request: BindRequest): Fd;
  listen(fd: Fd, backlog: number): void;
  /** The next connection that waits; null when none does. EMFILE, ENFILE: no descriptor is left. */
  accept(fd: Fd): Fd | null;
  /** A UDP socket that speaks with one peer only; an address may have a zone (`fe80::1%eth0`). */
  connectDatagrams(address: string, port: number): Fd;
  /** A TCP connection under way, for a `net.Socket`: what fails later comes as that one's `error`. */
  connectStream(address: string, port: number): Fd;
  /** The next datagram that waits, and whence; null when none does. */
  receiveFrom(fd: Fd): Datagram | null;
  /** Answers one: to its `peer`, from its `destination`. */
  sendTo(fd: Fd, bytes: Buffer, to: Pick<Datagram, 'peer' | 'destination'>): void;
  /** The next datagram from the peer of a connected socket; ECONNREFUSED when it has said that nobody listens. */
  receive(fd: Fd): Buffer | null;
  send(fd: Fd, bytes: Buffer): void;
  /** Closes descriptors of whatever kind; those that are closed already are no error. */
  close(fds: Iterable<Fd>): void;
  openReadySet(): ReadySet;
  /**
   * Tells that so many descriptors are about to be opened. The kernel doubles its table when it is full and waits for all
   * processors each time: 70 ms on the way to thousands, unless it grows at once. What cannot be had is no error.
   */
  expect(count: number): void;
  /** How many descriptors this process may have (Node raises it to the hard limit when it starts). */
  descriptorLimit(): number;
}

/** Many descriptors behind one (epoll): what is idle costs nothing. Dispose closes the set, none of its members. */
export interface ReadySet extends Disposable {
  /** Watches a descriptor for reading under a number of the caller's. */
  add(fd: Fd, key: number): void;
  /** Does not watch it for the time being, or watches it again. */
  pause(fd: Fd, key: number, paused: boolean): void;
  /** Before a member is closed. */
  remove(fd: Fd): void;
  /**
   * Calls with the keys of members that can be read, again and again while they can; the first call starts it. Does not
   * keep the process alive.
   */
  watch(onReady: (keys: readonly number[]) => void): void;
}
