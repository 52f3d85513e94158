/**
 * What was agreed with the pool: the driver's side of the pool's transaction id.
 *
 * ```
 * offset 0     slot 0, 512 bytes    8 hex digits of CRC-32, a space, JSON of LedgerEntry, spaces, '\n'
 * offset 512   slot 1
 * ```
 *
 * The slots are written in turn, each write on the disk before anything else happens: one that was torn by a power cut
 * leaves the one before. The valid entry with the higher sequence counts.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { diskFault } from '../../../base/errno-text.ts';
import { DataLossError } from '../../../base/errors.ts';
import { syncDirectory } from '../directories.ts';

/** One state of the ledger. */
export interface LedgerEntry {
  /** What the pool's transaction id is, or, while a device is being made, will be when it is there. */
  readonly transactionId: bigint;
  /** A device that is being made; belongs to nobody while the pool's transaction id is still the one before. */
  readonly opening: number | null;
  readonly nextDeviceId: number;
  /** All ids have been given out once: from now on each may belong to somebody. */
  readonly isSecondRound: boolean;
}

const SLOT_BYTES = 512;
const FRESH: LedgerEntry = { transactionId: 0n, opening: null, nextDeviceId: 1, isSecondRound: false };

export class Ledger {
  readonly #path: string;
  #slot: Slot;

  private constructor(path: string, slot: Slot) {
    this.#path = path;
    this.#slot = slot;
  }

  /** Reads the file, or makes an empty one. DataLossError when neither slot can be read. */
  static async open(path: string): Promise<Ledger> {
    try {
      await using file = await open(path, constants.O_RDONLY | constants.O_CREAT, 0o600);
      const bytes = await file.readFile();
      if (bytes.length > 0) {
        const slots = [slotIn(bytes.subarray(0, SLOT_BYTES)), slotIn(bytes.subarray(SLOT_BYTES))];
        return new Ledger(path, newest(slots) ?? damaged(path));
      }
      await syncDirectory(dirname(path));
      return new Ledger(path, { entry: FRESH, sequence: 0 });
    } catch (error) {
      throw diskFault('open', path, error);
    }
  }

  get entry(): LedgerEntry {
    return this.#slot.entry;
  }

  /** Settles when the entry is on the disk. */
  async write(entry: LedgerEntry): Promise<void> {
    const slot = { entry, sequence: this.#slot.sequence + 1 };
    try {
      await using file = await open(this.#path, 'r+');
      await file.write(bytesOf(slot), 0, SLOT_BYTES, (slot.sequence % 2) * SLOT_BYTES);
      await file.datasync();
    } catch (error) {
      throw diskFault('write', this.#path, error);
    }
    this.#slot = slot;
  }
}

interface Slot {
  readonly entry: LedgerEntry;
  readonly sequence: number;
}

function bytesOf({ entry, sequence }: Slot): Buffer {
  const text = JSON.stringify({ ...entry, transactionId: String(entry.transactionId), sequence });
  const line = `${sumOf(text)} ${text}`;
  return Buffer.from(`${line.padEnd(SLOT_BYTES - 1)}\n`);
}

function slotIn(bytes: Buffer): Slot | null {
  const line = bytes.toString('latin1').trimEnd();
  const text = line.slice(9);
  if (text === '' || line.slice(0, 8) !== sumOf(text)) return null;
  const { sequence, transactionId, ...rest } = JSON.parse(text) as Omit<LedgerEntry, 'transactionId'> & {
    readonly transactionId: string;
    readonly sequence: number;
  };
  return { entry: { ...rest, transactionId: BigInt(transactionId) }, sequence };
}

function newest(slots: readonly (Slot | null)[]): Slot | null {
  return slots.reduce((best, slot) => ((slot?.sequence ?? -1) > (best?.sequence ?? -1) ? slot : best), null);
}

function sumOf(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

function damaged(path: string): never {
  throw new DataLossError(`${path} is damaged`);
}
