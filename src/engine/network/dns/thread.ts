import { Worker } from 'node:worker_threads';
import type { ServerOrder, ServerReport, ServerThreadData } from './messages.ts';

/** Views of thousands of containers fit; more is a leak. */
const MAX_HEAP_MB = 128;
const MAX_YOUNG_MB = 8;

/** The thread of the name service, from its start to its end. */
export class ServerThread {
  readonly #worker: Worker;
  readonly #exited: Promise<void>;

  constructor(
    url: URL,
    data: ServerThreadData,
    events: { readonly report: (report: ServerReport) => void; readonly gone: (reason: unknown) => void },
  ) {
    this.#worker = new Worker(url, {
      workerData: data,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB, maxYoungGenerationSizeMb: MAX_YOUNG_MB },
      // Its descriptors are made by the kernel's own calls: Node knows none of them.
      trackUnmanagedFds: false,
    });
    this.#worker.unref();
    this.#worker.on('message', events.report);
    let reason: unknown = null;
    this.#worker.on('error', (error) => {
      reason = error;
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        resolve();
        events.gone(reason ?? new Error(`it ended with ${String(code)}`));
      });
    });
  }

  give(order: ServerOrder): void {
    this.#worker.postMessage(order);
  }

  /** Settles when the thread is gone. */
  async stop(): Promise<void> {
    this.#worker.ref();
    this.give({ kind: 'end' });
    await this.#exited;
  }
}
