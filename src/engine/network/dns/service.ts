import { closeSync } from 'node:fs';
import type { Clock } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import type { ContainerId } from '../../../base/ids.ts';
import type { Logger } from '../../../base/logger.ts';
import type { InternetCalls } from '../../kernel/internet.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { NameService, NameServiceSandbox, NameView } from '../name-service.ts';
import { listenInside } from './listening.ts';
import type { KeptSockets } from '../kept-sockets.ts';
import type { ServerReport, ServerSockets } from './messages.ts';
import { SharedLists, withoutLists } from './shared-lists.ts';
import { ServerThread } from './thread.ts';

/** What the service is given to work with. */
export interface NameServiceParts {
  readonly kernel: Pick<Kernel, 'namespaces' | 'nft'>;
  readonly internet: InternetCalls;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The thread's entry (service/dns-worker.ts). */
  readonly workerUrl: URL;
  /** The host's resolver configuration. */
  readonly resolvConfPath: string;
  /** Where the host itself finds containers by name; nobody inside one is told what lies there. */
  readonly hostDomain?: string;
  /** Null: nobody keeps sockets while the engine is away. */
  readonly kept: KeptSockets | null;
}

/** One sandbox's server, as the engine knows it. */
interface Served {
  readonly serial: number;
  readonly containerId: ContainerId;
  readonly sockets: ServerSockets;
  /** Its name with whoever keeps sockets. */
  readonly keptName: string;
  view: NameView;
  /** What the thread knows; null: nothing. */
  told: NameView | null;
}

/** A thread without servers ends after so long: its memory is another's. */
const IDLE_MS = 30_000;
/** A thread that breaks is started again after so long. */
const RESTART_MS = 1000;

/**
 * Sockets are made here, within one call, and served in one thread for all sandboxes, which starts with the first of
 * them: what is asked before waits in the sockets, also while a thread that broke is started again.
 */
export class ThreadedNameService implements NameService {
  readonly #parts: NameServiceParts;
  readonly #byContainer = new Map<ContainerId, Served>();
  /** Of servers that the thread has not let go of yet. */
  readonly #ending = new Map<number, ServerSockets>();
  #changed = new Set<Served>();
  /** Those of the thread there is. */
  #lists = new SharedLists();
  #thread: ServerThread | null = null;
  #timer: Disposable | null = null;
  #lastSerial = 0;
  #isClosed = false;

  constructor(parts: NameServiceParts) {
    this.#parts = parts;
  }

  // A promise by the seam: nothing is waited for.
  async start(sandbox: NameServiceSandbox, view: NameView): Promise<void> {
    const { containerId } = sandbox;
    this.stop(containerId);
    const { sockets, keptName } = listenInside(this.#parts, sandbox);
    this.#lastSerial += 1;
    const served: Served = { serial: this.#lastSerial, containerId, sockets, keptName, view, told: null };
    this.#byContainer.set(containerId, served);
    this.#cancelTimer();
    if (this.#thread === null) this.#startThread();
    else this.#serve(this.#thread, served);
  }

  update(containerId: ContainerId, view: NameView): void {
    const served = this.#byContainer.get(containerId);
    if (served === undefined) return;
    served.view = view;
    // One message for all that change together: what their views share is copied once.
    if (this.#changed.size === 0) queueMicrotask(() => this.#tellChanges());
    this.#changed.add(served);
  }

  stop(containerId: ContainerId): void {
    const served = this.#byContainer.get(containerId);
    if (served === undefined) return;
    this.#parts.kept?.forget(served.keptName);
    this.#end(served);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTimer();
    // What containers that go on ask from here on waits for the next run.
    for (const served of [...this.#byContainer.values()]) this.#end(served);
    await this.#thread?.stop();
  }

  #end(served: Served): void {
    const { serial, containerId, sockets, told } = served;
    this.#byContainer.delete(containerId);
    this.#changed.delete(served);
    if (this.#thread === null) {
      closeAll(sockets);
      return;
    }
    this.#ending.set(serial, sockets);
    this.#thread.give({ kind: 'stop', serial, lists: this.#lists.change(told, null) });
  }

  #startThread(): void {
    const { workerUrl, resolvConfPath, hostDomain } = this.#parts;
    const thread = new ServerThread(
      workerUrl,
      { resolvConfPath, ...(hostDomain === undefined ? {} : { hostDomain }) },
      { report: (report) => this.#hear(report), gone: (reason) => this.#threadGone(reason) },
    );
    this.#thread = thread;
    this.#lists = new SharedLists();
    for (const served of this.#byContainer.values()) this.#serve(thread, served);
  }

  /** Of a server that the thread does not know. */
  #serve(thread: ServerThread, served: Served): void {
    const { serial, containerId, sockets, view } = served;
    const lists = this.#lists.change(null, view);
    served.told = view;
    thread.give({ kind: 'serve', serial, containerId, sockets, view: withoutLists(view), lists });
  }

  #tellChanges(): void {
    const changed = this.#changed;
    this.#changed = new Set();
    // Without a thread they are told with all else when the next one starts.
    if (changed.size === 0 || this.#thread === null) return;
    const lists = [...changed].flatMap((served) => {
      const changes = this.#lists.change(served.told, served.view);
      served.told = served.view;
      return changes;
    });
    const views = [...changed].map(({ serial, view }) => [serial, withoutLists(view)] as const);
    this.#thread.give({ kind: 'views', views, lists });
  }

  #hear(report: ServerReport): void {
    if (report.kind === 'warning') {
      this.#parts.logger.warn(report.text);
      return;
    }
    const sockets = this.#ending.get(report.serial);
    this.#ending.delete(report.serial);
    if (sockets !== undefined) closeAll(sockets);
    if (this.#byContainer.size === 0 && this.#ending.size === 0 && !this.#isClosed) this.#endWhenIdle();
  }

  #endWhenIdle(): void {
    this.#cancelTimer();
    this.#timer = this.#parts.clock.after(IDLE_MS, () => this.#thread?.give({ kind: 'end' }));
  }

  /** Whatever ended it: its descriptors are nobody's but ours now. */
  #threadGone(reason: unknown): void {
    this.#thread = null;
    for (const sockets of this.#ending.values()) closeAll(sockets);
    this.#ending.clear();
    if (this.#isClosed || this.#byContainer.size === 0) return;
    this.#parts.logger.error('the name service of the containers broke; it is started again', {
      error: messageOf(reason),
    });
    this.#cancelTimer();
    this.#timer = this.#parts.clock.after(RESTART_MS, () => {
      if (this.#thread === null && this.#byContainer.size > 0) this.#startThread();
    });
  }

  #cancelTimer(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }
}

function closeAll({ udp, tcp, netns }: ServerSockets): void {
  for (const fd of [udp, tcp, netns]) closeSync(fd);
}
