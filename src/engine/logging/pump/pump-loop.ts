/** The whole life of the pump's thread: carriers come and go with the daemon's orders. */
import type { MessagePort } from 'node:worker_threads';
import type { Clock } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import type { ContainerId } from '../../../base/ids.ts';
import type { LogSink, Shipment, SinkSpec } from '../sink.ts';
import { Carrier, type CarrierEnd } from './carrier.ts';
import type { PumpOrder, PumpReport } from './messages.ts';

/** How long everything is quiet before the thread's memory is worth more than its next start. */
const IDLE_MS = 10_000;
/** What a batch under way may take when the daemon ends. */
const STOP_GRACE_MS = 1000;
/** Pause after a carrier could not begin (a full disk). */
const RETRY_MS = 5000;

/** What the thread brings along. */
export interface PumpTools {
  readonly clock: Clock;
  readonly openSink: (spec: SinkSpec, mark: string) => LogSink;
}

/** Serves orders until `stop`, and then closes the port. */
export function servePump(port: MessagePort, tools: PumpTools): void {
  const loop = new PumpLoop((report) => port.postMessage(report), tools);
  port.on('message', (order: PumpOrder) => {
    if (order.kind === 'stop') void loop.stop().finally(() => port.close());
    else loop.take(order);
  });
}

class PumpLoop {
  readonly #report: (report: PumpReport) => void;
  readonly #tools: PumpTools;
  readonly #carriers = new Map<ContainerId, Carrier>();
  /** The last word on what is to be shipped: while a carrier ends, another may come, or none be wanted any more. */
  readonly #wanted = new Map<ContainerId, Shipment>();
  /** Shipments that wait for another attempt to begin. */
  readonly #waiting = new Map<ContainerId, Disposable>();
  readonly #ended = new Set<ContainerId>();
  #idleTimer: Disposable | null = null;

  constructor(report: (report: PumpReport) => void, tools: PumpTools) {
    this.#report = report;
    this.#tools = tools;
  }

  take(order: Exclude<PumpOrder, { readonly kind: 'stop' }>): void {
    switch (order.kind) {
      case 'ship':
        this.#ended.delete(order.shipment.containerId);
        void this.#ship(order.shipment);
        return;
      case 'rotated':
        this.#carriers.get(order.containerId)?.look();
        return;
      case 'end':
        this.#ended.add(order.containerId);
        this.#carriers.get(order.containerId)?.end();
        return;
      case 'forget':
        void this.#forget(order.containerId);
    }
  }

  async stop(): Promise<void> {
    for (const timer of this.#waiting.values()) timer[Symbol.dispose]();
    this.#idleTimer?.[Symbol.dispose]();
    await Promise.all([...this.#carriers.values()].map((carrier) => carrier.stop(STOP_GRACE_MS)));
  }

  async #ship(shipment: Shipment): Promise<void> {
    const { containerId } = shipment;
    this.#wanted.set(containerId, shipment);
    this.#waiting.get(containerId)?.[Symbol.dispose]();
    this.#waiting.delete(containerId);
    const present = this.#carriers.get(containerId);
    if (present !== undefined && JSON.stringify(present.shipment) === JSON.stringify(shipment)) {
      this.#wanted.set(containerId, present.shipment);
      present.goOn();
      return;
    }
    // Another name, and so perhaps another tag.
    await present?.stop(STOP_GRACE_MS);
    const wanted = this.#wanted.get(containerId);
    if (wanted !== undefined && !this.#carriers.has(containerId)) this.#begin(wanted);
  }

  #begin(shipment: Shipment): void {
    const { containerId, sink } = shipment;
    try {
      const carrier = new Carrier(shipment, {
        ...this.#tools,
        report: this.#report,
        onQuiet: () => this.#planIdle(),
      });
      this.#carriers.set(containerId, carrier);
      if (this.#ended.has(containerId)) carrier.end();
      void carrier.done.then((how) => this.#gone(carrier, how));
    } catch (error) {
      this.#report({ kind: 'away', containerId, sink: sink.kind, reason: messageOf(error) });
      this.#beginLater(shipment);
    }
  }

  #beginLater(shipment: Shipment): void {
    this.#waiting.set(
      shipment.containerId,
      this.#tools.clock.after(RETRY_MS, () => {
        this.#waiting.delete(shipment.containerId);
        this.#begin(shipment);
      }),
    );
  }

  #gone(carrier: Carrier, how: CarrierEnd): void {
    const { containerId } = carrier.shipment;
    if (this.#carriers.get(containerId) !== carrier) return;
    this.#carriers.delete(containerId);
    if (how === 'broken') this.#beginLater(carrier.shipment);
    else if (how === 'drained' && this.#ended.delete(containerId)) {
      this.#wanted.delete(containerId);
      this.#report({ kind: 'drained', containerId });
    }
    // Started anew in the moment of its end.
    else if (how === 'drained') this.#begin(this.#wanted.get(containerId) ?? carrier.shipment);
    this.#planIdle();
  }

  async #forget(containerId: ContainerId): Promise<void> {
    this.#waiting.get(containerId)?.[Symbol.dispose]();
    this.#waiting.delete(containerId);
    this.#ended.delete(containerId);
    this.#wanted.delete(containerId);
    const carrier = this.#carriers.get(containerId);
    this.#carriers.delete(containerId);
    await carrier?.stop(0);
    this.#report({ kind: 'forgotten', containerId });
    this.#planIdle();
  }

  /** Says once that there has been nothing to do for a while. */
  #planIdle(): void {
    this.#idleTimer?.[Symbol.dispose]();
    this.#idleTimer = this.#isIdle()
      ? this.#tools.clock.after(IDLE_MS, () => {
          if (this.#isIdle()) this.#report({ kind: 'idle' });
        })
      : null;
  }

  #isIdle(): boolean {
    return this.#waiting.size === 0 && [...this.#carriers.values()].every(({ isQuiet }) => isQuiet);
  }
}
