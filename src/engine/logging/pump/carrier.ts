/** One container's way from the monitor's log to its sink, in the pump's thread. */
import { watch, type FSWatcher } from 'node:fs';
import type { Clock } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import { NEWLINE } from '../monitor-log/line.ts';
import type { LogEntry, LogSink, Shipment } from '../sink.ts';
import { LineJoiner, type OpenLines } from './line-joiner.ts';
import type { PumpReport } from './messages.ts';
import { PositionFile, readPosition } from './position.ts';
import { Spool } from './spool.ts';

/** While lines come, they are gathered for so long: large batches, few wakes. */
const GATHER_MS = 50;
/** Looks without a new line before the file is watched in place of being looked at. */
const QUIET_LOOKS = 4;
const MAX_RETRY_MS = 30_000;

/** What a carrier stands on. */
export interface CarrierParts {
  readonly clock: Clock;
  readonly openSink: (spec: Shipment['sink'], mark: string) => LogSink;
  readonly report: (report: PumpReport) => void;
  /** Told when it has nothing to ship. */
  readonly onQuiet: () => void;
}

/** Why a carrier is no more: all was shipped, it was told to, or something broke. */
export type CarrierEnd = 'drained' | 'stopped' | 'broken';

/** What has happened while the carrier slept. */
type Wake = 'time' | 'change';

export class Carrier {
  readonly shipment: Shipment;
  readonly #parts: CarrierParts;
  readonly #spool: Spool;
  readonly #joiner: LineJoiner;
  readonly #position: PositionFile;
  readonly #sink: LogSink;
  readonly #done = Promise.withResolvers<CarrierEnd>();
  #wake: ((wake: Wake) => void) | null = null;
  #isEnded = false;
  #isStopped = false;
  #failures = 0;
  /** Nothing is to be shipped now. */
  isQuiet = false;

  constructor(shipment: Shipment, parts: CarrierParts) {
    this.shipment = shipment;
    this.#parts = parts;
    const kept = readPosition(shipment.positionPath);
    this.#spool = new Spool(shipment.logPath, kept);
    if (kept !== null && !this.#spool.isResumed && kept.inode !== 0) this.#reportLost(null);
    this.#joiner = new LineJoiner(kept?.open ?? {});
    this.#position = new PositionFile(shipment.positionPath);
    this.#sink = parts.openSink(shipment.sink, kept?.mark ?? '');
    void this.#run();
  }

  /** Settles when it has let go of everything. */
  get done(): Promise<CarrierEnd> {
    return this.#done.promise;
  }

  /** The container was started anew before its last lines were shipped. */
  goOn(): void {
    this.#isEnded = false;
  }

  /** Nothing more will be written: the carrier ends when all is shipped. */
  end(): void {
    this.#isEnded = true;
    this.#wake?.('change');
  }

  /** The log was rotated. */
  look(): void {
    if (this.#isStopped) return;
    this.#spool.look();
    this.#tellLost();
    this.#wake?.('change');
  }

  /** Ends as soon as the batch under way is through, or at once where the receiver hangs. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopped = true;
    this.#wake?.('change');
    using _timer = this.#parts.clock.after(graceMs, () => void this.#sink[Symbol.asyncDispose]());
    await this.done;
  }

  async #run(): Promise<void> {
    let how: CarrierEnd = 'stopped';
    try {
      for (let quietLooks = 0; !this.#isStopped;) {
        // Asked before the log is read: what was written until then is found.
        const isEnded = this.#isEnded;
        const shipped = await this.#shipSome();
        if (shipped > 0) {
          quietLooks = 0;
          // A batch that is not full has caught up with the writer; the others have their turn after a full one.
          if (isEnded || shipped > this.#sink.batchBytes / 2) await this.#parts.clock.sleep(0);
          else await this.#sleep(GATHER_MS);
        } else if (this.#failures > 0) {
          await this.#sleep(this.#retryMs());
        } else if (isEnded) {
          if (await this.#shipRest()) {
            how = 'drained';
            break;
          }
        } else {
          quietLooks += 1;
          if (quietLooks < QUIET_LOOKS) await this.#sleep(GATHER_MS);
          else await this.#watch();
        }
      }
    } catch (error) {
      how = 'broken';
      this.#parts.report({ kind: 'away', ...this.#name(), reason: messageOf(error) });
    } finally {
      await this.#sink[Symbol.asyncDispose]();
      this.#position[Symbol.dispose]();
      this.#spool[Symbol.dispose]();
      this.#done.resolve(how);
    }
  }

  /** Ships one chunk, and returns its length; 0 when there was none, or it could not be shipped. */
  async #shipSome(): Promise<number> {
    const chunk = this.#spool.peek(this.#sink.batchBytes);
    this.#tellLost();
    if (chunk === null) return 0;
    const before = this.#joiner.open;
    const entries = this.#joiner.join(chunk);
    const taken = await this.#offer(entries);
    if (taken === null) {
      this.#joiner.open = before;
      return 0;
    }
    if (taken === entries.length) {
      this.#advance(chunk.length);
    } else {
      this.#advancePart(chunk, taken, before);
    }
    return chunk.length;
  }

  /** What the last lines of a process lack their newline for. */
  async #shipRest(): Promise<boolean> {
    const before = this.#joiner.open;
    const rest = this.#joiner.flush();
    if (rest.length > 0 && (await this.#offer(rest)) === null) {
      this.#joiner.open = before;
      return false;
    }
    this.#advance(0);
    return true;
  }

  /** How many entries are with the receiver; null when it is away. */
  async #offer(entries: readonly LogEntry[]): Promise<number | null> {
    try {
      let taken = entries.length === 0 ? 0 : await this.#sink.ship(entries);
      while (taken > 0 && taken < entries.length && entries[taken - 1]?.endsRecord !== true) taken -= 1;
      if (taken === 0 && entries.length > 0) throw new Error('the receiver takes nothing');
      if (this.#failures > 0) this.#parts.report({ kind: 'back', ...this.#name() });
      this.#failures = 0;
      return taken;
    } catch (error) {
      if (this.#isStopped) return null;
      this.#failures += 1;
      if (this.#failures === 1) this.#parts.report({ kind: 'away', ...this.#name(), reason: messageOf(error) });
      const { attempts } = this.#sink.retry;
      if (attempts === null || this.#failures <= attempts) return null;
      this.#failures = 1;
      this.#reportLost(entries.length);
      return entries.length;
    }
  }

  #advance(length: number): void {
    this.#spool.skip(length);
    try {
      this.#position.write({ ...this.#spool.place, mark: this.#sink.mark, open: this.#joiner.open });
    } catch {
      // A full disk: the next batch writes it, and only a kill before that repeats this one.
    }
  }

  /** Only the first entries were taken: the position is after the record of the last of them. */
  #advancePart(chunk: Buffer, taken: number, before: OpenLines): void {
    this.#joiner.open = before;
    let end = 0;
    for (let joined = 0; joined < taken;) {
      const start = end;
      end = chunk.indexOf(NEWLINE, start) + 1;
      joined += this.#joiner.join(chunk.subarray(start, end)).length;
    }
    this.#advance(end);
  }

  /** Sleeps until the file changes. */
  async #watch(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<Wake>();
    this.#wake = resolve;
    const watcher = this.#watcher(() => resolve('change'));
    try {
      if (this.#spool.peek(this.#sink.batchBytes) !== null || this.#isEnded || this.#isStopped) return;
      if (watcher === null) {
        await this.#sleep(GATHER_MS);
        return;
      }
      this.isQuiet = true;
      this.#parts.onQuiet();
      await promise;
    } finally {
      this.isQuiet = false;
      this.#wake = null;
      watcher?.close();
    }
  }

  /** Null while the monitor has not made the file. */
  #watcher(onChange: () => void): FSWatcher | null {
    try {
      return watch(this.shipment.logPath, onChange).on('error', onChange);
    } catch {
      return null;
    }
  }

  async #sleep(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<Wake>();
    this.#wake = this.#failures > 0 ? (wake) => this.#isStopped && resolve(wake) : resolve;
    using _timer = this.#parts.clock.after(delayMs, () => resolve('time'));
    if (!this.#isStopped) await promise;
    this.#wake = null;
  }

  #retryMs(): number {
    return Math.min(MAX_RETRY_MS, this.#sink.retry.firstMs * 2 ** Math.min(this.#failures - 1, 10));
  }

  #tellLost(): void {
    const lost = this.#spool.takeLost();
    if (lost > 0) this.#reportLost(lost);
    if (this.#spool.takeGap()) this.#reportLost(null);
  }

  #reportLost(lines: number | null): void {
    this.#parts.report({ kind: 'lost', ...this.#name(), lines });
  }

  #name(): Pick<Extract<PumpReport, { readonly kind: 'away' }>, 'containerId' | 'sink'> {
    return { containerId: this.shipment.containerId, sink: this.shipment.sink.kind };
  }
}
