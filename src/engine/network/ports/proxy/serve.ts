/**
 * The proxy at work, in its own thread: takes callers of served sockets up and leads them to their containers.
 *
 * Everything here is driven by one {@link ReadySet}: listening sockets, UDP sockets, and the UDP sessions' own. TCP
 * connections are Node's streams, each with its own back-pressure: who does not read stops only who writes to him.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Clock } from '../../../../base/clock.ts';
import { messageOf } from '../../../../base/errors.ts';
import type { InternetCalls, ReadySet } from '../../../kernel/internet.ts';
import { DatagramRelay } from './datagram-relay.ts';
import type { ProxyOrder, ProxyReport, ServedPort } from './orders.ts';
import { StreamRelay } from './stream-relay.ts';

/** A share of the process's descriptors that callers may use up; two for each. */
const DESCRIPTOR_SHARE = 4;
/** At the most, however many descriptors there are: memory counts, too. */
const MAX_CALLERS = 16_384;
/** The thread ends when nothing has been under way for so long. */
const IDLE_MS = 60_000;

/** What the thread is given. */
export interface ProxyGround {
  readonly internet: InternetCalls;
  readonly clock: Clock;
}

/** Serves until it is told to stop. */
export function servePorts(orders: MessagePort, ground: ProxyGround): void {
  const loop = new ProxyLoop(ground, (report) => orders.postMessage(report));
  orders.on('message', (order: ProxyOrder) => {
    switch (order.kind) {
      case 'serve':
        for (const port of order.ports) loop.serve(port);
        return;
      case 'drop':
        for (const key of order.keys) loop.drop(key);
        orders.postMessage({ kind: 'dropped', ticket: order.ticket } satisfies ProxyReport);
        return;
      case 'stop':
        loop.stop();
        orders.close();
    }
  });
}

class ProxyLoop {
  readonly #clock: Clock;
  readonly #ready: ReadySet;
  readonly #report: (report: ProxyReport) => void;
  readonly #streams: StreamRelay;
  readonly #datagrams: DatagramRelay;
  readonly #ports = new Map<number, ServedPort>();
  #idleTimer: Disposable | null = null;

  constructor({ internet, clock }: ProxyGround, report: (report: ProxyReport) => void) {
    this.#clock = clock;
    this.#report = report;
    this.#ready = internet.openReadySet();
    const maxCallers = Math.min(MAX_CALLERS, Math.floor(internet.descriptorLimit() / DESCRIPTOR_SHARE / 2));
    const parts = { internet, clock, ready: this.#ready, maxCallers, settled: () => this.#settle() };
    this.#streams = new StreamRelay(parts);
    this.#datagrams = new DatagramRelay(parts);
    this.#ready.watch((keys) => this.#attend(keys));
    this.#settle();
  }

  serve(port: ServedPort): void {
    this.#ports.set(port.key, port);
    if (port.protocol === 'tcp') this.#streams.serve(port);
    else this.#datagrams.serve(port);
  }

  drop(key: number): void {
    const port = this.#ports.get(key);
    if (!this.#ports.delete(key) || port === undefined) return;
    if (port.protocol === 'tcp') this.#streams.drop(port);
    else this.#datagrams.drop(port);
  }

  stop(): void {
    this.#idleTimer?.[Symbol.dispose]();
    for (const key of [...this.#ports.keys()]) this.drop(key);
    this.#ready[Symbol.dispose]();
  }

  #attend(keys: readonly number[]): void {
    for (const key of keys) {
      const port = this.#ports.get(key);
      try {
        if (port?.protocol === 'tcp') this.#streams.accept(port);
        else if (port !== undefined) this.#datagrams.forward(port);
        else this.#datagrams.answer(key);
      } catch (error) {
        this.#report({ kind: 'warning', text: 'the proxy of published ports met an error', reason: messageOf(error) });
      }
    }
    this.#settle();
  }

  /** Starts the countdown when nothing is under way, ends it when something is. */
  #settle(): void {
    this.#idleTimer?.[Symbol.dispose]();
    this.#idleTimer = null;
    if (this.#streams.size > 0 || this.#datagrams.size > 0) return;
    this.#idleTimer = this.#clock.after(IDLE_MS, () => this.#report({ kind: 'idle' }));
  }
}
