/**
 * Puts the tables right again when another program has changed or removed them (`nft flush ruleset`, the reload of a
 * firewall script), as soon as the kernel tells.
 */
import type { Clock } from '../../../../base/clock.ts';
import { messageOf } from '../../../../base/errors.ts';
import type { Logger } from '../../../../base/logger.ts';
import type { NftCalls, NftNotice } from '../../../kernel/kernel.ts';

/** Two in so short a time are a fight with a program that wants otherwise: it is not to be fought at full speed. */
const FIGHT_MS = 1000;
const FIRST_DELAY_MS = 50;
const LONGEST_DELAY_MS = 30_000;

export interface KeeperParts {
  readonly nft: Pick<NftCalls, 'watch'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Watches over tables; `restore` puts them in place as they ought to be. */
export class Keeper implements Disposable {
  readonly #parts: KeeperParts;
  readonly #tables: readonly string[];
  readonly #restore: () => void;
  readonly #watch: Disposable;
  #lastMs = -Infinity;
  #delayMs = 0;
  #waiting: Disposable | null = null;

  /** `tables` as {@link NftNotice.tables} names them. */
  constructor(parts: KeeperParts, tables: readonly string[], restore: () => void) {
    this.#parts = parts;
    this.#tables = tables;
    this.#restore = restore;
    this.#watch = parts.nft.watch((notice) => this.#hear(notice));
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    this.#waiting?.[Symbol.dispose]();
    this.#waiting = null;
  }

  #hear(notice: NftNotice | null): void {
    if (notice !== null && !this.#tables.some((table) => notice.tables.has(table))) return;
    if (this.#waiting !== null) return;
    const { clock } = this.#parts;
    const fighting = clock.monotonicMs() - this.#lastMs < Math.max(FIGHT_MS, 2 * this.#delayMs);
    this.#delayMs = fighting ? Math.min(LONGEST_DELAY_MS, Math.max(FIRST_DELAY_MS, 2 * this.#delayMs)) : 0;
    if (this.#delayMs === 0) this.#putRight(notice);
    else {
      this.#waiting = clock.after(this.#delayMs, () => {
        this.#waiting = null;
        this.#putRight(notice);
      });
    }
  }

  #putRight(notice: NftNotice | null): void {
    const { clock, logger } = this.#parts;
    try {
      this.#restore();
      const who = notice?.process ?? null;
      logger.warn(
        notice === null
          ? 'changes of nftables may have been missed: the engine has put its packet filter rules in place anew'
          : 'another program changed the packet filter rules of the engine: they are in place again',
        who === null ? {} : { program: who.name, pid: who.pid },
      );
    } catch (error) {
      logger.error('another program changed the packet filter rules of the engine, and they cannot be put back', {
        reason: messageOf(error),
      });
    }
    this.#lastMs = clock.monotonicMs();
  }
}
