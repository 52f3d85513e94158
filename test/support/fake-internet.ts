/** Internet sockets in memory: who has which port, by the kernel's rules of what excludes what. */
import { KernelError } from '../../src/engine/kernel/kernel.ts';
import type { Fd } from '../../src/engine/kernel/kernel.ts';
import type { BindRequest, InternetCalls, ReadySet } from '../../src/engine/kernel/internet.ts';

/** Numbers no real descriptor of a test process has. */
const FIRST_FD = 1_000_000;

export class FakeInternet implements InternetCalls {
  /** What is bound, by descriptor. */
  readonly bound = new Map<Fd, BindRequest>();
  readonly listening = new Set<Fd>();
  /** Ports of other processes, as `tcp 0.0.0.0 80`. */
  readonly occupied = new Set<string>();
  /** Addresses of this host; everything else cannot be assigned. */
  readonly addresses = new Set(['0.0.0.0', '::', '127.0.0.1', '::1']);
  /** False: as a kernel without SCTP. */
  hasSctp = true;
  readonly readySets: FakeReadySet[] = [];
  #next = FIRST_FD;

  bind(request: BindRequest): Fd {
    const { protocol, address, port } = request;
    const at = `${address}:${String(port)}`;
    if (protocol === 'sctp' && !this.hasSctp) throw new KernelError('socket', 'EPROTONOSUPPORT', protocol);
    if (!this.addresses.has(address)) throw new KernelError('bind', 'EADDRNOTAVAIL', at);
    const others = [...this.bound.values()].flatMap(slotsOf);
    for (const slot of slotsOf(request)) {
      if ([...this.occupied, ...others].some((other) => excludes(slot, other))) {
        throw new KernelError('bind', 'EADDRINUSE', at);
      }
    }
    const fd = this.#next++ as Fd;
    this.bound.set(fd, request);
    return fd;
  }

  listen(fd: Fd): void {
    this.listening.add(fd);
  }

  accept(): null {
    return null;
  }

  connectStream(): Fd {
    return this.#next++ as Fd;
  }

  connectDatagrams(): Fd {
    return this.#next++ as Fd;
  }

  receiveFrom(): null {
    return null;
  }

  sendTo(): void {}

  receive(): null {
    return null;
  }

  send(): void {}

  close(fds: Iterable<Fd>): void {
    for (const fd of fds) {
      this.bound.delete(fd);
      this.listening.delete(fd);
    }
  }

  openReadySet(): ReadySet {
    const set = new FakeReadySet();
    this.readySets.push(set);
    return set;
  }

  expect(): void {}

  descriptorLimit(): number {
    return 1_048_576;
  }

  /** What is bound, readable in a test's output. */
  held(): readonly string[] {
    return [...this.bound.values()].flatMap(slotsOf);
  }
}

/** Tells of a member when a test says so. */
export class FakeReadySet implements ReadySet {
  readonly members = new Map<Fd, number>();
  readonly paused = new Set<Fd>();
  disposed = false;
  #onReady: ((keys: readonly number[]) => void) | null = null;

  add(fd: Fd, key: number): void {
    this.members.set(fd, key);
  }

  pause(fd: Fd, _key: number, paused: boolean): void {
    if (paused) this.paused.add(fd);
    else this.paused.delete(fd);
  }

  remove(fd: Fd): void {
    this.members.delete(fd);
  }

  watch(onReady: (keys: readonly number[]) => void): void {
    this.#onReady ??= onReady;
  }

  tell(...keys: readonly number[]): void {
    this.#onReady?.(keys);
  }

  [Symbol.dispose](): void {
    this.disposed = true;
    this.#onReady = null;
  }
}

function slotsOf({ protocol, address, port, bothFamilies = false }: BindRequest): readonly string[] {
  const own = `${protocol} ${address} ${String(port)}`;
  return bothFamilies ? [own, `${protocol} 0.0.0.0 ${String(port)}`] : [own];
}

function excludes(a: string, b: string): boolean {
  const [protocol, address = '', port] = a.split(' ');
  const [otherProtocol, other = '', otherPort] = b.split(' ');
  if (protocol !== otherProtocol || port !== otherPort) return false;
  if (address.includes(':') !== other.includes(':')) return false;
  return address === other || isAny(address) || isAny(other);
}

function isAny(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}
