/**
 * The daemon's side of the pump: which containers' logs are shipped. The thread is there only while there is something to
 * ship: a log that grows starts it, a time without any ends it. Until then, logs are watched from here (inotify), and
 * nothing wakes.
 */
import { stat, readFile } from 'node:fs/promises';
import { statSync, watch, type FSWatcher } from 'node:fs';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { Logger } from '../../base/logger.ts';
import type { PumpReport } from './pump/messages.ts';
import { decodePosition } from './pump/position.ts';
import { PumpThread } from './pump/pump-thread.ts';
import type { Shipment } from './sink.ts';

/** How long the first lines wait for a thread to be started. */
const START_DELAY_MS = 300;
/** Pause before a thread that broke is started again. */
const RESTART_MS = 5000;

export interface LogShippingOptions {
  /** The script the thread runs; it calls `servePump`. */
  readonly url: URL;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Entry {
  readonly shipment: Shipment;
  /** The container runs no more. */
  isEnded: boolean;
  /** Known to the thread; otherwise its log is watched here. */
  isHandedOver: boolean;
  watcher: FSWatcher | null;
  /** Its receiver is away: nobody waits for it. */
  isAway: boolean;
  lostLines: number;
  /** Settled when all was shipped, when it cannot be now, or when it is forgotten. */
  readonly settled: PromiseWithResolvers<void>;
}

/** See the head of this file. */
export class LogShipping implements AsyncDisposable {
  readonly #options: LogShippingOptions;
  readonly #entries = new Map<ContainerId, Entry>();
  /** What the thread still has in its hands, although nobody wants it to. */
  readonly #forgetting = new Map<ContainerId, PromiseWithResolvers<void>>();
  #thread: PumpThread | null = null;
  /** The end of the thread before, which may still write; there is no next one until then. */
  #stopping: Promise<void> | null = null;
  #isClosed = false;

  constructor(options: LogShippingOptions) {
    this.#options = options;
  }

  /** Whether there is a thread now. */
  get isPumping(): boolean {
    return this.#thread !== null;
  }

  /** From now on the container's log goes to its sink, from where it was left. */
  ship(shipment: Shipment): void {
    if (this.#isClosed) return;
    const before = this.#entries.get(shipment.containerId);
    this.#close(before);
    const entry = freshEntry(shipment, false);
    this.#entries.set(shipment.containerId, entry);
    if (before?.isHandedOver === true) this.#handOver(entry);
    else this.#rest(entry);
  }

  /** The log has a new file. */
  rotated(containerId: ContainerId): void {
    const entry = this.#entries.get(containerId);
    if (entry === undefined) return;
    if (entry.isHandedOver) this.#thread?.give({ kind: 'rotated', containerId });
    // It has grown past its bounds while we looked: there is something to ship.
    else this.#handOver(entry);
  }

  /** Ends what {@link ship} began, when the rest is shipped; also for a container that ended while no daemon ran. */
  end(shipment: Shipment): void {
    if (this.#isClosed) return;
    const entry = this.#entries.get(shipment.containerId) ?? freshEntry(shipment, true);
    this.#entries.set(shipment.containerId, entry);
    entry.isEnded = true;
    this.#close(entry);
    if (entry.isHandedOver) {
      this.#thread?.give({ kind: 'end', containerId: shipment.containerId });
    } else {
      void this.#settleOrHandOver(entry);
    }
  }

  /** Waits until an ended container's log is shipped, or its receiver is away, or time is up. */
  async settled(containerId: ContainerId, limitMs: number): Promise<void> {
    const entry = this.#entries.get(containerId);
    if (entry === undefined || entry.isAway) return;
    const late = Promise.withResolvers<void>();
    using _timer = this.#options.clock.after(limitMs, () => late.resolve());
    await Promise.race([entry.settled.promise, late.promise]);
  }

  /** Lets go of a container's files; settles when nothing is open or written any more, also for who asks once more. */
  async forget(containerId: ContainerId): Promise<void> {
    const entry = this.#entries.get(containerId);
    if (entry !== undefined) {
      this.#entries.delete(containerId);
      this.#close(entry);
      entry.settled.resolve();
      if (entry.isHandedOver && this.#thread !== null) {
        if (!this.#forgetting.has(containerId)) this.#forgetting.set(containerId, Promise.withResolvers());
        this.#thread.give({ kind: 'forget', containerId });
      }
    }
    await this.#stopping;
    await this.#forgetting.get(containerId)?.promise;
  }

  /** What is not shipped waits for the next daemon. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const entry of this.#entries.values()) {
      this.#close(entry);
      entry.settled.resolve();
    }
    this.#entries.clear();
    const thread = this.#thread;
    this.#thread = null;
    await this.#stopping;
    await thread?.stop();
    this.#forgotten();
  }

  /** Watches a log until it has something to ship. */
  #rest(entry: Entry): void {
    this.#close(entry);
    const { shipment } = entry;
    const handOver = (): void => {
      if (this.#entries.get(shipment.containerId) === entry && !entry.isHandedOver) this.#handOver(entry);
    };
    const onChange = (): void => {
      this.#close(entry);
      // Many containers say a word or two and are gone: a thread is not worth that.
      if (this.#thread === null) this.#options.clock.after(START_DELAY_MS, handOver);
      else handOver();
    };
    try {
      entry.watcher = watch(shipment.logPath, { persistent: false }, onChange).on('error', onChange);
    } catch {
      // No file to watch: the thread waits for it.
      onChange();
      return;
    }
    void this.#settleOrHandOver(entry);
  }

  /** Hands over what has lines to ship; an ended container without any is done. */
  async #settleOrHandOver(entry: Entry): Promise<void> {
    const { shipment } = entry;
    const isShipped = sizeOf(shipment.logPath) === 0 || (await isCaughtUp(shipment));
    if (this.#entries.get(shipment.containerId) !== entry || entry.isHandedOver) return;
    if (!isShipped) this.#handOver(entry);
    else if (entry.isEnded) this.#settle(entry);
  }

  #handOver(entry: Entry): void {
    // What comes while a thread ends is seen to when it has.
    if (this.#isClosed || this.#stopping !== null) return;
    this.#close(entry);
    entry.isHandedOver = true;
    this.#thread ??= this.#start();
    const { shipment } = entry;
    this.#thread.give({ kind: 'ship', shipment });
    if (entry.isEnded) this.#thread.give({ kind: 'end', containerId: shipment.containerId });
  }

  #start(): PumpThread {
    const { url } = this.#options;
    const thread = new PumpThread(url, {
      report: (report) => this.#take(report),
      broken: (reason) => this.#broken(thread, reason),
    });
    return thread;
  }

  #take(report: PumpReport): void {
    if (report.kind === 'idle') {
      void this.#stopIdle();
      return;
    }
    const { containerId } = report;
    const entry = this.#entries.get(containerId);
    switch (report.kind) {
      case 'forgotten':
        this.#forgetting.get(containerId)?.resolve();
        this.#forgetting.delete(containerId);
        return;
      case 'drained':
        if (entry?.isEnded === true) this.#settle(entry);
        return;
      case 'away':
        this.#away(entry, report);
        return;
      case 'lost':
        this.#lost(entry, report);
        return;
      case 'back':
        this.#back(entry, report);
    }
  }

  #away(entry: Entry | undefined, report: Extract<PumpReport, { readonly kind: 'away' }>): void {
    if (entry === undefined) return;
    entry.isAway = true;
    entry.settled.resolve();
    this.#options.logger.warn('a container’s log cannot be shipped now; its lines wait in the bounded log', {
      container: report.containerId,
      driver: report.sink,
      reason: report.reason,
    });
  }

  #lost(entry: Entry | undefined, { containerId, sink, lines }: Extract<PumpReport, { readonly kind: 'lost' }>): void {
    if (entry === undefined) return;
    if (lines === null) {
      this.#options.logger.warn('lines of a container’s log were dropped before they could be shipped', {
        container: containerId,
        driver: sink,
      });
      return;
    }
    // Said once for each time of need: when the receiver is back, or now where it is only slow.
    const isFirst = entry.lostLines === 0;
    entry.lostLines += lines;
    if (isFirst) {
      this.#options.logger.warn('a container’s log outgrows its bounds before it can be shipped; lines are dropped', {
        container: containerId,
        driver: sink,
      });
    }
  }

  #back(entry: Entry | undefined, { containerId, sink }: Extract<PumpReport, { readonly kind: 'back' }>): void {
    if (entry === undefined) return;
    entry.isAway = false;
    this.#options.logger.info('a container’s log is shipped again', {
      container: containerId,
      driver: sink,
      droppedLines: entry.lostLines,
    });
    entry.lostLines = 0;
  }

  #settle(entry: Entry): void {
    if (entry.lostLines > 0) {
      this.#options.logger.warn('lines of a container’s log were dropped before they could be shipped', {
        container: entry.shipment.containerId,
        droppedLines: entry.lostLines,
      });
    }
    this.#entries.delete(entry.shipment.containerId);
    this.#close(entry);
    entry.settled.resolve();
  }

  /** Lets the thread go, and watches from here what it was given. */
  async #stopIdle(): Promise<void> {
    const thread = this.#thread;
    if (thread === null) return;
    this.#thread = null;
    for (const entry of this.#entries.values()) entry.isHandedOver = false;
    this.#stopping = thread.stop();
    await this.#stopping;
    this.#stopping = null;
    this.#forgotten();
    this.#resume();
  }

  #resume(): void {
    if (this.#isClosed) return;
    for (const entry of this.#entries.values()) {
      if (entry.isHandedOver) continue;
      if (entry.isEnded) void this.#settleOrHandOver(entry);
      else this.#rest(entry);
    }
  }

  /** Nothing is in a thread's hands any more. */
  #forgotten(): void {
    for (const { resolve } of this.#forgetting.values()) resolve();
    this.#forgetting.clear();
  }

  #broken(thread: PumpThread, reason: unknown): void {
    if (this.#thread !== thread) return;
    this.#thread = null;
    this.#options.logger.error('the thread that ships container logs broke', { reason: messageOf(reason) });
    for (const entry of this.#entries.values()) entry.isHandedOver = false;
    this.#forgotten();
    this.#options.clock.after(RESTART_MS, () => this.#resume());
  }

  #close(entry: Entry | undefined): void {
    entry?.watcher?.close();
    if (entry !== undefined) entry.watcher = null;
  }
}

function freshEntry(shipment: Shipment, isEnded: boolean): Entry {
  return {
    shipment,
    isEnded,
    isHandedOver: false,
    watcher: null,
    isAway: false,
    lostLines: 0,
    settled: Promise.withResolvers(),
  };
}

/** 0 also where there is no log. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

async function isCaughtUp({ logPath, positionPath }: Shipment): Promise<boolean> {
  try {
    const [log, text] = await Promise.all([stat(logPath), readFile(positionPath, 'utf8')]);
    const position = decodePosition(text);
    if (position === null || Object.keys(position.open).length > 0) return false;
    return position.inode === log.ino && position.offset === log.size;
  } catch {
    return false;
  }
}
