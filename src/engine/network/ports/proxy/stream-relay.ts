import { connect, Socket } from 'node:net';
import type { Clock } from '../../../../base/clock.ts';
import { errnoCodeOf } from '../../../../base/errors.ts';
import type { InternetCalls, ReadySet } from '../../../kernel/internet.ts';
import type { Fd } from '../../../kernel/kernel.ts';
import type { ServedPort } from './orders.ts';

/** Connections taken up from one port before the others have their turn. */
const ACCEPTS_A_TURN = 16;
/** One port may not use up what all have. */
const PORT_SHARE = 4;
/** As Go has it, whose sockets dockerd's proxy uses: finds callers that have gone without a word. */
const KEEP_ALIVE_MS = 15_000;
/** A container's address that does not answer: the kernel's own patience is two minutes. */
const CONNECT_TIMEOUT_MS = 30_000;
/** No descriptor is left: callers wait in the kernel's queue for so long before the next try. */
const SHORTAGE_MS = 100;

/** What both relays work with. */
export interface RelayParts {
  readonly internet: InternetCalls;
  readonly clock: Clock;
  readonly ready: ReadySet;
  /** Callers at the same time, all ports together. */
  readonly maxCallers: number;
  /** Called when a caller has gone. */
  readonly settled: () => void;
}

/** TCP: each caller of a port has a connection to its container, bytes and ends of stream go both ways. */
export class StreamRelay {
  readonly #parts: RelayParts;
  readonly #maxCallersAPort: number;
  readonly #callers = new Map<number, Set<Pair>>();
  readonly #paused = new Set<ServedPort>();
  #size = 0;

  constructor(parts: RelayParts) {
    this.#parts = parts;
    this.#maxCallersAPort = Math.max(1, Math.floor(parts.maxCallers / PORT_SHARE));
  }

  /** Connections under way. */
  get size(): number {
    return this.#size;
  }

  serve(port: ServedPort): void {
    this.#callers.set(port.key, new Set());
    this.#parts.ready.add(port.fd, port.key);
  }

  drop(port: ServedPort): void {
    this.#parts.ready.remove(port.fd);
    this.#paused.delete(port);
    for (const pair of this.#callers.get(port.key) ?? []) pair.breakOff();
    this.#callers.delete(port.key);
  }

  accept(port: ServedPort): void {
    for (let count = 0; count < ACCEPTS_A_TURN; count += 1) {
      if (this.#isFull(port)) {
        this.#pause(port);
        return;
      }
      const fd = this.#next(port);
      if (fd === null) return;
      this.#lead(port, fd);
    }
  }

  #next(port: ServedPort): Fd | null {
    try {
      return this.#parts.internet.accept(port.fd);
    } catch (error) {
      const code = errnoCodeOf(error);
      if (code !== 'EMFILE' && code !== 'ENFILE' && code !== 'ENOBUFS' && code !== 'ENOMEM') throw error;
      this.#pause(port);
      this.#parts.clock.after(SHORTAGE_MS, () => this.#resume(port));
      return null;
    }
  }

  #lead(port: ServedPort, fd: Fd): void {
    const pair = new Pair(new Socket({ fd, allowHalfOpen: true }), port, this.#parts.clock, () => {
      this.#callers.get(port.key)?.delete(pair);
      this.#size -= 1;
      for (const other of [...this.#paused]) this.#resume(other);
      this.#parts.settled();
    });
    this.#size += 1;
    this.#callers.get(port.key)?.add(pair);
  }

  #isFull(port: ServedPort): boolean {
    return this.#size >= this.#parts.maxCallers || (this.#callers.get(port.key)?.size ?? 0) >= this.#maxCallersAPort;
  }

  #pause(port: ServedPort): void {
    this.#paused.add(port);
    this.#parts.ready.pause(port.fd, port.key, true);
  }

  #resume(port: ServedPort): void {
    if (!this.#paused.has(port) || this.#isFull(port)) return;
    this.#paused.delete(port);
    this.#parts.ready.pause(port.fd, port.key, false);
  }
}

/** A caller and its connection into the container. */
class Pair {
  readonly #caller: Socket;
  readonly #container: Socket;
  readonly #onEnd: () => void;
  #open = 2;

  constructor(caller: Socket, { backendAddress, backendPort }: ServedPort, clock: Clock, onEnd: () => void) {
    this.#caller = caller;
    this.#onEnd = onEnd;
    this.#container = connect({ host: backendAddress, port: backendPort, allowHalfOpen: true });
    const patience = clock.after(CONNECT_TIMEOUT_MS, () => this.breakOff());
    this.#container.once('connect', () => patience[Symbol.dispose]());
    for (const socket of [this.#caller, this.#container]) {
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      // Nobody listens inside, or one side was torn off: the other is told by the same means.
      socket.on('error', () => this.breakOff());
      socket.on('close', () => this.#closed(patience));
    }
    this.#caller.pipe(this.#container);
    this.#container.pipe(this.#caller);
  }

  /** Resets both sides at once. */
  breakOff(): void {
    for (const socket of [this.#caller, this.#container]) if (!socket.destroyed) socket.resetAndDestroy();
  }

  #closed(patience: Disposable): void {
    this.#open -= 1;
    if (this.#open > 0) return;
    patience[Symbol.dispose]();
    this.#onEnd();
  }
}
