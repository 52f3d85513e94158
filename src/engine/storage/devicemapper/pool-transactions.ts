/**
 * Devices come into being so that whoever is killed, by a signal or by a power cut, leaves none without an owner:
 *
 * 1. The caller's `note` and the ledger have the device's id on the disk: `opening`, with the transaction id to come.
 * 2. The pool makes the device.
 * 3. The pool's transaction id becomes the ledger's. Each message to the pool is on its disk when it is answered.
 *
 * At start-up the pool's transaction id is the ledger's, and the device is its owner's; or it is the one before: what was
 * opening is deleted. Any other is not the pool, or not the state of it, that this ledger goes with.
 */
import { errnoCodeOf, UnavailableError } from '../../../base/errors.ts';
import { KeyedLock } from '../../../base/keyed-lock.ts';
import type { Logger } from '../../../base/logger.ts';
import type { Ledger, LedgerEntry } from './ledger.ts';
import type { ThinPool } from './thin-pool.ts';

/** The kernel has 24 bits for them. */
const HIGHEST_DEVICE_ID = 2 ** 24 - 1;
/** Ids that are taken by nobody we know are one too many already; this many are somebody else's pool. */
const MOST_FOREIGN = 16;

/** Options of {@link PoolTransactions}. */
export interface PoolTransactionsOptions {
  readonly pool: ThinPool;
  readonly ledger: Ledger;
  /** Ids of all devices that somebody owns; asked when the numbers begin anew. */
  readonly owned: () => Promise<ReadonlySet<number>>;
  readonly logger: Logger;
  /** {@link HIGHEST_DEVICE_ID} unless given. */
  readonly highestDeviceId?: number;
}

/** How a device is made. */
export interface Making {
  /** Writes down whose device it will be; on the disk when it settles. */
  readonly note: (deviceId: number) => Promise<void>;
  /** Takes the note back: the device is somebody else's. Another is noted next. */
  readonly retract: () => Promise<void>;
  /** Asks the pool for it. */
  readonly ask: (deviceId: number) => Promise<void>;
}

export class PoolTransactions {
  readonly #options: PoolTransactionsOptions;
  readonly #turn = new KeyedLock<null>();
  #transactionId: bigint;
  /** A device that was made and could neither be kept nor deleted. */
  #unsettled: number | null = null;
  /** Null until the numbers have begun anew. */
  #owned: Set<number> | null = null;

  private constructor(options: PoolTransactionsOptions, transactionId: bigint) {
    this.#options = options;
    this.#transactionId = transactionId;
  }

  /** Undoes what a killed daemon began. UnavailableError for a pool that does not go with the ledger. */
  static async open(options: PoolTransactionsOptions): Promise<PoolTransactions> {
    const { pool, ledger, logger } = options;
    const { transactionId } = await pool.status();
    const { entry } = ledger;
    if (transactionId !== entry.transactionId) {
      if (entry.opening === null || transactionId !== entry.transactionId - 1n)
        throw foreign(pool, transactionId, entry);
      logger.info('device that was being made is deleted', { pool: pool.name, deviceId: entry.opening });
      await pool.delete(entry.opening);
      await ledger.write({ ...entry, transactionId, opening: null });
    }
    return new PoolTransactions(options, transactionId);
  }

  /** Makes a device; its id. */
  async make({ note, ask, retract }: Making): Promise<number> {
    return this.#turn.hold(null, async () => {
      await this.#settle();
      for (let tries = 0; tries <= MOST_FOREIGN; tries += 1) {
        const deviceId = await this.#announce(note);
        if (await this.#isMade(deviceId, ask)) {
          await this.#close(deviceId);
          this.#owned?.add(deviceId);
          return deviceId;
        }
        await retract();
      }
      const { name } = this.#options.pool;
      throw new UnavailableError(
        `devmapper: thin pool ${name} has devices that are not Docker's: it must be used for Docker alone`,
      );
    });
  }

  /** A device is gone, and its id may be used again. */
  forget(deviceId: number): void {
    this.#owned?.delete(deviceId);
  }

  /** On the disk, at the same time: the ledger's entry and the owner's note. */
  async #announce(note: Making['note']): Promise<number> {
    const { ledger, highestDeviceId = HIGHEST_DEVICE_ID } = this.#options;
    const deviceId = await this.#freeId();
    const isLast = deviceId === highestDeviceId;
    const written = await Promise.allSettled([
      ledger.write({
        transactionId: this.#transactionId + 1n,
        opening: deviceId,
        nextDeviceId: isLast ? 1 : deviceId + 1,
        isSecondRound: ledger.entry.isSecondRound || isLast,
      }),
      note(deviceId),
    ]);
    for (const one of written) if (one.status === 'rejected') throw one.reason;
    return deviceId;
  }

  /** False when the id is taken. */
  async #isMade(deviceId: number, ask: Making['ask']): Promise<boolean> {
    try {
      await ask(deviceId);
      return true;
    } catch (error) {
      if (errnoCodeOf(error) !== 'EEXIST') throw await this.#undone(deviceId, error);
      this.#options.logger.warn('device id is in use that ought to be free', { deviceId });
      return false;
    }
  }

  async #close(deviceId: number): Promise<void> {
    const { pool } = this.#options;
    const next = this.#transactionId + 1n;
    try {
      await pool.setTransactionId(this.#transactionId, next);
    } catch (error) {
      const now = await pool.status().catch(() => null);
      if (now?.transactionId !== next) throw await this.#undone(deviceId, error);
    }
    this.#transactionId = next;
  }

  /** Takes back what may have been made, now or before anything else is. */
  async #undone(deviceId: number, error: unknown): Promise<unknown> {
    this.#unsettled = deviceId;
    await this.#settle().catch(() => undefined);
    return error;
  }

  /** No other device is announced while one is nobody's. */
  async #settle(): Promise<void> {
    if (this.#unsettled === null) return;
    await this.#options.pool.delete(this.#unsettled);
    this.#unsettled = null;
  }

  async #freeId(): Promise<number> {
    const { ledger, owned, highestDeviceId = HIGHEST_DEVICE_ID } = this.#options;
    const { nextDeviceId, isSecondRound } = ledger.entry;
    if (!isSecondRound) return nextDeviceId;
    this.#owned ??= new Set(await owned());
    for (let step = 0; step < highestDeviceId; step += 1) {
      const deviceId = ((nextDeviceId + step - 1) % highestDeviceId) + 1;
      if (!this.#owned.has(deviceId)) return deviceId;
    }
    throw new UnavailableError('devmapper: Unable to find a free device ID');
  }
}

function foreign(pool: ThinPool, transactionId: bigint, { transactionId: ours }: LedgerEntry): UnavailableError {
  const story =
    transactionId > ours
      ? 'somebody else has used it, or the data root was put back from an older copy'
      : 'it was put back from an older copy, or is another pool';
  return new UnavailableError(
    `devmapper: thin pool ${pool.name} is at transaction ${String(transactionId)}, not at ${String(ours)}: ${story}`,
  );
}
