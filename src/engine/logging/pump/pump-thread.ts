import { Worker } from 'node:worker_threads';
import type { PumpOrder, PumpReport } from './messages.ts';

/** The pump streams: a heap beyond this is a leak. */
const MAX_HEAP_MB = 128;

/** The pump's thread, from its start to its end. */
export class PumpThread {
  readonly #worker: Worker;
  readonly #exited: Promise<void>;

  constructor(
    url: URL,
    events: { readonly report: (report: PumpReport) => void; readonly broken: (reason: unknown) => void },
  ) {
    this.#worker = new Worker(url, {
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
      // Sockets that the kernel's calls open are none that Node knows of.
      trackUnmanagedFds: false,
    });
    this.#worker.unref();
    this.#worker.on('message', events.report);
    this.#worker.on('error', events.broken);
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        events.broken(new Error(`it ended with ${String(code)}`));
        resolve();
      });
    });
  }

  give(order: PumpOrder): void {
    this.#worker.postMessage(order);
  }

  /** Lets batches under way end; settles when the thread is gone. */
  async stop(): Promise<void> {
    this.#worker.ref();
    this.give({ kind: 'stop' });
    await this.#exited;
  }
}
