import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { diskFault, cameOfFullDisk, errnoText, pathErrorText } from '../../base/errno-text.ts';
import { DataLossError, messageOf, UnavailableError } from '../../base/errors.ts';
import { MIGRATIONS } from './schema.ts';

/** A row as SQLite gives it; INTEGER columns are bigint. */
export type Row = Readonly<Record<string, unknown>>;

/** Gives a part of an open file its place on the disk; its size stays. Throws where there is none. */
export type Allocate = (fd: number, offset: number, length: number) => void;

/** How much may pile up in the write-ahead log before it is folded back, in pages of 4 KiB. */
const WAL_CHECKPOINT_PAGES = 1000;

/** The log up to where it is folded back: a page with its header each, and some for a large change at the end. */
const LOG_BYTES = (WAL_CHECKPOINT_PAGES + 64) * (4096 + 24);
/** By what the file may grow then. */
const GROWTH_BYTES = 512 * 1024;
/** Of what a disk has free, neither takes more than this part. */
const MOST_TAKEN_PART = 64;

/** More than the log of one removal, and what its pages need when they are folded back. */
const RESERVE_BYTES = 256 * 1024;
/** SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL; extended codes have them in their lowest byte. */
const DISK_FAULTS: Readonly<Record<number, string>> = { 8: 'EROFS', 10: 'EIO', 13: 'ENOSPC' };
const PRIMARY_CODE = 0xff;

/**
 * The state file. Statements are prepared once and kept. All calls are synchronous and short (tens of microseconds);
 * several changes belong together in one {@link Database.transaction}.
 */
export class Database implements Disposable {
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #statements = new Map<string, StatementSync>();
  #depth = 0;
  /** The reserve has been given away, and is made again when there is room. */
  #isReserveGone = false;

  private constructor(db: DatabaseSync, path: string) {
    this.#db = db;
    this.#path = path;
  }

  /**
   * Opens or creates the file (`:memory:` for tests) and brings its schema up to date.
   * UnavailableError when it comes from a newer engine, and when the disk is too full to open it; DataLossError when it is
   * damaged. The file is left as it is in all cases. With `allocate`, log and file get room on the disk in advance: nobody
   * else can take it, and what happens on a full disk is written down like any other.
   */
  static open(path: string, allocate: Allocate | null = null): Database {
    try {
      return Database.#opened(path, allocate);
    } catch (error) {
      // Btrfs, and a file system without inodes, make no file although they tell of free bytes.
      if (!cameOfFullDisk(error) || !existsSync(reserveOf(path))) throw error;
      rmSync(reserveOf(path));
      return Database.#opened(path, allocate);
    }
  }

  static #opened(path: string, allocate: Allocate | null): Database {
    let db: DatabaseSync | null = null;
    try {
      // An engine that comes up on a full disk needs what is in reserve to get as far as removing something.
      if (path !== ':memory:' && isShort(path)) rmSync(reserveOf(path), { force: true });
      // What containers are told (environment, labels) is nobody else's to read; SQLite's other files follow this one.
      // Before SQLite has it: with any descriptor of the file that is closed, SQLite's lock goes.
      if (path !== ':memory:') takeRoom(allocate, path, (size) => size + GROWTH_BYTES);
      db = new DatabaseSync(path);
      // Exclusive: a second engine on the same data root must not come up.
      db.exec(`PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;
        PRAGMA wal_autocheckpoint=${String(WAL_CHECKPOINT_PAGES)};`);
      checkIntegrity(db, path);
      migrate(db, path);
      if (path !== ':memory:') takeRoom(allocate, `${path}-wal`, () => LOG_BYTES);
      keepReserve(path);
      return new Database(db, path);
    } catch (error) {
      db?.close();
      if (error instanceof UnavailableError || error instanceof DataLossError) throw error;
      if (messageOf(error).includes('database is locked')) {
        throw new UnavailableError(`state file ${path} is in use by another engine`, { cause: error });
      }
      assertReachable(path);
      throw new DataLossError(`state file ${path} cannot be read: ${messageOf(error)}; it was left untouched`, {
        cause: error,
      });
    }
  }

  /** Runs `job` in one transaction; nested calls join it. Rolled back when `job` throws. UnavailableError on a full disk. */
  transaction<T>(job: () => T): T {
    if (this.#depth > 0) return job();
    this.#guarded(() => this.#db.exec('BEGIN IMMEDIATE'));
    this.#depth += 1;
    try {
      const result = job();
      this.#guarded(() => this.#db.exec('COMMIT'));
      this.#renewReserve();
      return result;
    } catch (error) {
      // A full disk makes SQLite roll back by itself.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      if (error instanceof UnavailableError) this.#makeRoom();
      throw error;
    } finally {
      this.#depth -= 1;
    }
  }

  /** Runs a statement that changes something; returns how many rows it changed. UnavailableError on a full disk. */
  run(sql: string, ...values: readonly SQLInputValue[]): number {
    try {
      const { changes } = this.#guarded(() => this.#prepare(sql).run(...values));
      if (this.#depth === 0) this.#renewReserve();
      return Number(changes);
    } catch (error) {
      if (error instanceof UnavailableError && this.#depth === 0) this.#makeRoom();
      throw error;
    }
  }

  /** The first row, or null. */
  get(sql: string, ...values: readonly SQLInputValue[]): Row | null {
    return this.#prepare(sql).get(...values) ?? null;
  }

  /** All rows. */
  all(sql: string, ...values: readonly SQLInputValue[]): readonly Row[] {
    return this.#prepare(sql).all(...values);
  }

  /** Settles when all that was committed by now is on the disk, and holds nothing up meanwhile. UnavailableError when the disk fails. */
  async settled(): Promise<void> {
    if (this.#path === ':memory:') return;
    const log = `${this.#path}-wal`;
    try {
      // The log alone: what was folded back into the file was synced by that.
      await using file = await open(log, 'r');
      await file.datasync();
    } catch (error) {
      throw diskFault('fdatasync', log, error);
    }
  }

  /**
   * Returns when all that was committed is on the disk: before something is deleted that the file named until then. Nothing
   * else waits for it, so that the loss of power may take the last commits back. UnavailableError on a full disk.
   */
  makeLasting(): void {
    this.#guarded(() => this.#db.exec('PRAGMA wal_checkpoint(FULL)'));
  }

  [Symbol.dispose](): void {
    this.#statements.clear();
    this.#db.close();
  }

  /** Says of SQLite's faults that the disk makes what the rest of the engine says. */
  #guarded<T>(job: () => T): T {
    try {
      return job();
    } catch (error) {
      const errno = DISK_FAULTS[Number((error as { readonly errcode?: unknown }).errcode) & PRIMARY_CODE];
      if (errno === undefined) throw error;
      throw new UnavailableError(`write ${this.#path}: ${errnoText(errno)}`, { cause: error });
    }
  }

  /**
   * Gives the reserve away and folds the log back, so that its room serves what comes next: what fills a disk can be
   * removed from it by trying again.
   */
  #makeRoom(): void {
    rmSync(reserveOf(this.#path), { force: true });
    this.#isReserveGone = true;
    try {
      this.#db.exec('PRAGMA wal_checkpoint(RESTART)');
    } catch {
      // The log stays as it is; the error under way says why.
    }
  }

  #renewReserve(): void {
    if (this.#isReserveGone) this.#isReserveGone = !keepReserve(this.#path);
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      statement.setReadBigInts(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function reserveOf(path: string): string {
  return `${path}-reserve`;
}

/** Whether the disk has no room for a reserve beside what an engine writes as it comes up. */
function isShort(path: string): boolean {
  const { bavail, bsize } = statfsSync(dirname(path));
  return bavail * bsize < 2 * RESERVE_BYTES;
}

/** Room beside the file for a few changes when the disk is full. Done without where there is none even now: false. */
function keepReserve(path: string): boolean {
  if (path === ':memory:' || isShort(path)) return false;
  try {
    writeFileSync(reserveOf(path), Buffer.alloc(RESERVE_BYTES), { mode: 0o600 });
    return true;
  } catch {
    rmSync(reserveOf(path), { force: true });
    return false;
  }
}

/** Makes the file where it is not, and gives it room up to a length. Done without where the disk has not enough. */
function takeRoom(allocate: Allocate | null, path: string, lengthFor: (size: number) => number): void {
  const fd = openSync(path, 'a', 0o600);
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    const { size } = fstatSync(fd);
    const length = Math.min(lengthFor(size), size + Math.floor((bavail * bsize) / MOST_TAKEN_PART));
    if (length > 0) allocate?.(fd, 0, length);
  } catch {
    // A full disk, or a file system that cannot: the reserve is left.
  } finally {
    closeSync(fd);
  }
}

/** UnavailableError when it is the directory that denies the file, or takes no other beside it: SQLite does not say why. */
function assertReachable(path: string): void {
  if (path === ':memory:') return;
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
    const other = `${path}-other`;
    closeSync(openSync(other, 'w', 0o600));
    rmSync(other);
  } catch (error) {
    throw new UnavailableError(pathErrorText('open', path, error), { cause: error });
  }
}

function checkIntegrity(db: DatabaseSync, path: string): void {
  const row = db.prepare('PRAGMA quick_check(1)').get();
  const verdict = row?.['quick_check'];
  if (verdict !== 'ok') {
    throw new DataLossError(`state file ${path} is damaged: ${String(verdict)}; it was left untouched`);
  }
}

function migrate(db: DatabaseSync, path: string): void {
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
  if (version > MIGRATIONS.length) {
    throw new UnavailableError(
      `state file ${path} has schema version ${String(version)}, written by a newer engine; this one knows up to ` +
        `${String(MIGRATIONS.length)}. Upgrade the engine, or give it another --data-root`,
    );
  }
  for (const [index, migration] of MIGRATIONS.entries()) {
    if (index < version) continue;
    db.exec(`BEGIN IMMEDIATE; ${migration}; PRAGMA user_version=${String(index + 1)}; COMMIT;`);
  }
}
