/**
 * Notices when another program has changed tables of the host's iptables. Only iptables-nft's changes can be heard; legacy's
 * cannot, and are found with the next change of our own.
 */
import type { Clock } from '../../../../base/clock.ts';
import type { NftCalls, NftNotice } from '../../../kernel/kernel.ts';
import { TABLES } from './chains.ts';

const WATCHED = new Set(TABLES.flatMap((table) => [`ip ${table}`, `ip6 ${table}`]));
/** What comes in one breath is looked at once. */
const SETTLE_MS = 50;
/** Looking takes three processes: a host whose rules change all the time is looked at this often. */
const INTERVAL_MS = 2_000;
/** The kernel's word about our own program comes within this time of its end. */
const ECHO_MS = 200;
/** As the kernel cuts names of programs. */
const OWN_PROGRAMS = /^ip6?tables-re/;

export interface WatchParts {
  readonly nft: Pick<NftCalls, 'watch'>;
  readonly clock: Clock;
  /** Looks, and mends what is wrong; settles when it is done and never rejects. */
  readonly look: () => Promise<void>;
}

export class IptablesWatch implements Disposable {
  readonly #parts: WatchParts;
  readonly #listening: Disposable;
  #waiting: Disposable | null = null;
  #lastLookMs = -Infinity;
  #ownUntilMs = -Infinity;
  #running = 0;

  constructor(parts: WatchParts) {
    this.#parts = parts;
    this.#listening = parts.nft.watch((notice) => this.#hear(notice));
  }

  /** Runs one of our own programs, whose changes are no news. */
  async during<T>(job: () => Promise<T>): Promise<T> {
    this.#running += 1;
    try {
      return await job();
    } finally {
      this.#running -= 1;
      this.#ownUntilMs = this.#parts.clock.monotonicMs() + ECHO_MS;
    }
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
    this.#waiting?.[Symbol.dispose]();
    this.#waiting = null;
  }

  #hear(notice: NftNotice | null): void {
    if (this.#waiting !== null || (notice !== null && !this.#isNews(notice))) return;
    const { clock } = this.#parts;
    const sinceMs = clock.monotonicMs() - this.#lastLookMs;
    this.#waiting = clock.after(Math.max(SETTLE_MS, INTERVAL_MS - sinceMs), () => {
      this.#lastLookMs = clock.monotonicMs();
      this.#waiting = null;
      void this.#parts.look();
    });
  }

  #isNews({ tables, process }: NftNotice): boolean {
    if (![...tables].some((table) => WATCHED.has(table))) return false;
    const isOwn = this.#running > 0 || this.#parts.clock.monotonicMs() < this.#ownUntilMs;
    return !(isOwn && process !== null && OWN_PROGRAMS.test(process.name));
  }
}
