/**
 * The userland proxy: one thread for all ports, where dockerd starts a process for each.
 *
 * While nobody calls there is no thread: all its sockets are in one {@link ReadySet}, the alarm. The first caller rings it;
 * the thread starts, has the sockets in a set of its own, and takes the caller up. When nothing has been under way for a
 * while it ends, and the alarm is set again.
 *
 * The sockets are the publisher's. It closes none before `drop` has settled: the thread may be at one just now, and its
 * number would be another's.
 */
import { Worker } from 'node:worker_threads';
import type { Logger } from '../../../base/logger.ts';
import { messageOf } from '../../../base/errors.ts';
import type { InternetCalls, ReadySet } from '../../kernel/internet.ts';
import type { ProxyOrder, ProxyReport, ServedPort } from './proxy/orders.ts';
import { inTurns } from './turns.ts';

/** It streams: a heap beyond this is a leak. */
const MAX_HEAP_MB = 256;

/** Leads what comes to bound sockets to containers. */
export interface PortProxy {
  /** From now on it serves this socket, which listens already. */
  serve(port: ServedPort): void;
  /** Lets go of sockets and breaks off what came by them; unknown ones are no error. */
  drop(ports: readonly Pick<ServedPort, 'key'>[]): Promise<void>;
  /** Ends the thread, if there is one. Nothing is served any more. */
  stop(): Promise<void>;
}

/** What the proxy works with. */
export interface ProxyParts {
  readonly internet: InternetCalls;
  readonly logger: Logger;
  /** Entry of its thread. */
  readonly workerUrl: URL;
}

/** Makes the proxy; it costs nothing before its first socket, and no thread before its first caller. */
export function createPortProxy(parts: ProxyParts): PortProxy {
  return new ThreadProxy(parts);
}

class ThreadProxy implements PortProxy {
  readonly #parts: ProxyParts;
  readonly #served = new Map<number, ServedPort>();
  #alarm: ReadySet | null = null;
  #thread: ProxyThread | null = null;
  #stopped = false;

  constructor(parts: ProxyParts) {
    this.#parts = parts;
  }

  serve(port: ServedPort): void {
    this.#served.set(port.key, port);
    if (this.#thread === null) this.#arm(port);
    else this.#thread.serve([port]);
  }

  async drop(ports: readonly Pick<ServedPort, 'key'>[]): Promise<void> {
    const dropped = ports.map(({ key }) => this.#served.get(key)).filter((port) => port !== undefined);
    if (dropped.length === 0) return;
    for (const { key, fd } of dropped) {
      this.#served.delete(key);
      if (this.#thread === null) this.#alarm?.remove(fd);
    }
    if (this.#served.size === 0) this.#disarm();
    await this.#thread?.drop(dropped.map(({ key }) => key));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#served.clear();
    this.#disarm();
    await this.#thread?.end();
  }

  #arm({ fd, key }: ServedPort): void {
    const alarm = (this.#alarm ??= this.#parts.internet.openReadySet());
    alarm.add(fd, key);
    alarm.watch(() => this.#start());
  }

  #disarm(): void {
    this.#alarm?.[Symbol.dispose]();
    this.#alarm = null;
  }

  #start(): void {
    this.#disarm();
    if (this.#thread !== null || this.#stopped) return;
    const thread = new ProxyThread(this.#parts, () => void this.#ended());
    this.#thread = thread;
    thread.serve([...this.#served.values()]);
  }

  /** The thread is gone, by its own wish or not: who comes next starts another. */
  async #ended(): Promise<void> {
    this.#thread = null;
    await inTurns([...this.#served.values()], (port) => {
      // Meanwhile somebody may have called, and the port may have been dropped.
      if (this.#thread === null && this.#served.has(port.key)) this.#arm(port);
    });
  }
}

/** One run of the proxy's thread. */
class ProxyThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, () => void>();
  readonly #exited: Promise<void>;
  #lastTicket = 0;
  #over = false;

  constructor({ workerUrl, logger }: ProxyParts, onEnd: () => void) {
    this.#worker = new Worker(workerUrl, {
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
      // Its sockets are none that Node knows of.
      trackUnmanagedFds: false,
    });
    this.#worker.on('message', (report: ProxyReport) => this.#hear(report, logger));
    this.#worker.on('error', (error) => {
      logger.error('the proxy of published ports failed; its connections are lost', { reason: messageOf(error) });
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#over = true;
        for (const settle of this.#waiting.values()) settle();
        this.#waiting.clear();
        resolve();
        onEnd();
      });
    });
    // After the listeners: one for messages would keep the process alive again.
    this.#worker.unref();
  }

  serve(ports: readonly ServedPort[]): void {
    this.#tell({ kind: 'serve', ports });
  }

  async drop(keys: readonly number[]): Promise<void> {
    if (this.#over) return;
    this.#lastTicket += 1;
    const ticket = this.#lastTicket;
    const settled = new Promise<void>((resolve) => void this.#waiting.set(ticket, resolve));
    this.#tell({ kind: 'drop', ticket, keys });
    await settled;
  }

  async end(): Promise<void> {
    this.#tell({ kind: 'stop' });
    this.#worker.ref();
    await this.#exited;
  }

  #hear(report: ProxyReport, logger: Logger): void {
    switch (report.kind) {
      case 'dropped':
        this.#waiting.get(report.ticket)?.();
        this.#waiting.delete(report.ticket);
        return;
      case 'idle':
        this.#tell({ kind: 'stop' });
        return;
      case 'warning':
        logger.warn(report.text, { reason: report.reason });
    }
  }

  #tell(order: ProxyOrder): void {
    this.#worker.postMessage(order);
  }
}
