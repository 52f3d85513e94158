/**
 * How snapshots lie on disk, for every driver that keeps them as directories:
 *
 * ```
 * <root>/<name of key>/snapshot.json    what the snapshot is (SnapshotRecord)
 * <root>/<name of key>/children/        one empty file per child, named as the child's directory
 * <root>/<name of key>/…                the driver's own
 * <root>/.new-<random>/                 being made; worth nothing until renamed
 * <root>/.old-<random>/                 being removed; worth nothing any more
 * ```
 *
 * Nothing is kept in memory: what a killed daemon left is what the next one reads. A snapshot appears, changes its name
 * and disappears by one rename(2) each.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, opendir, readdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDiskFull, pathErrorText } from '../../base/errno-text.ts';
import { ConflictError, DataLossError, errnoCodeOf, NotFoundError, UnavailableError } from '../../base/errors.ts';
import { Undo } from '../../base/undo.ts';
import type { SnapshotInfo, SnapshotKind } from './driver.ts';

/** Content of `snapshot.json`. */
export interface SnapshotRecord {
  readonly kind: SnapshotKind;
  readonly parent: string | null;
  /** Name of the directory with this snapshot's own files; empty for a view that has none. */
  readonly link: string;
  /** Links of all parents, nearest first. */
  readonly lower: readonly string[];
}

/** What a driver adds to the making and unmaking of a snapshot. */
export interface SnapshotParts {
  /** Removes what the driver keeps outside the snapshot's directory; called before that goes, possibly twice. */
  discard(directory: string): Promise<void>;
}

const MAKING = '.new-';
const REMOVING = '.old-';
const RECORD = 'snapshot.json';
const CHILDREN = 'children';

/** The snapshots below one root. */
export class SnapshotDirectory {
  readonly root: string;
  readonly #parts: SnapshotParts;
  readonly #reserved: ReadonlySet<string>;
  /** Directory names that are noted as children and about to appear. */
  readonly #arriving = new Set<string>();

  /** `reserved`: names below root that the driver uses itself. */
  constructor(root: string, parts: SnapshotParts, reserved: readonly string[]) {
    this.root = root;
    this.#parts = parts;
    this.#reserved = new Set(reserved);
  }

  /** Makes the root and takes away what a killed daemon was making or removing. */
  async open(): Promise<void> {
    await mkdir(this.root, { recursive: true, mode: 0o710 });
    for (const name of await readdir(this.root)) {
      if (name.startsWith(MAKING) || name.startsWith(REMOVING)) await this.#delete(join(this.root, name));
    }
  }

  /** The directory of `key`, there or not. */
  pathOf(key: string): string {
    return join(this.root, this.#nameOf(key));
  }

  /** Null when there is no such snapshot. */
  async find(key: string): Promise<SnapshotRecord | null> {
    const path = join(this.pathOf(key), RECORD);
    try {
      return JSON.parse(await readFile(path, 'utf8')) as SnapshotRecord;
    } catch (error) {
      if (errnoCodeOf(error) === 'ENOENT') return null;
      if (error instanceof SyntaxError)
        throw new DataLossError(`snapshot ${key}: ${path} is damaged`, { cause: error });
      throw error;
    }
  }

  /** NotFoundError when there is no such snapshot. */
  async get(key: string): Promise<SnapshotRecord> {
    return (await this.find(key)) ?? notFound(key);
  }

  /** The record of a snapshot that may be a parent: committed. NotFoundError. */
  async parent(key: string): Promise<SnapshotRecord> {
    const record = await this.find(key);
    return record?.kind === 'committed' ? record : notFound(key);
  }

  /**
   * Makes a snapshot: `fill` puts the driver's files into a directory that becomes the snapshot's when all is there.
   * ConflictError when the key exists.
   */
  async create(key: string, record: SnapshotRecord, fill: (directory: string) => Promise<void>): Promise<void> {
    if (await exists(this.pathOf(key))) throw conflict(key);
    const making = join(this.root, `${MAKING}${randomBytes(8).toString('hex')}`);
    await Undo.guard(async (undo) => {
      undo.defer(async () => this.#delete(making));
      try {
        await mkdir(join(making, CHILDREN), { recursive: true, mode: 0o710 });
        await writeRecord(making, record, { sync: false });
        await fill(making);
        await this.#appear(record.parent, key, async () => rename(making, this.pathOf(key)));
      } catch (error) {
        throw fault(error, key, this.pathOf(key));
      }
    });
  }

  /** Replaces the record of a snapshot. */
  async rewrite(key: string, record: SnapshotRecord): Promise<void> {
    await writeRecord(this.pathOf(key), record, { sync: true });
  }

  /** Freezes `key` under `name`: durable when it returns. ConflictError when `name` exists; NotFoundError. */
  async commit(key: string, name: string): Promise<void> {
    const record = await this.get(key);
    if (record.kind === 'view') throw new ConflictError(`snapshot ${key} is a view: not active`);
    if (await exists(this.pathOf(name))) throw conflict(name);
    // Killed between the next two steps, the snapshot is still found under its old key, where start-up removes it.
    await this.rewrite(key, { ...record, kind: 'committed' });
    try {
      await this.#appear(record.parent, name, async () => rename(this.pathOf(key), this.pathOf(name)));
    } catch (error) {
      await this.rewrite(key, record);
      throw fault(error, name, this.pathOf(name));
    }
    await this.#dropChild(record.parent, key);
    await syncDirectory(this.root);
  }

  /** Removes a snapshot; idempotent. ConflictError while it has children. */
  async remove(key: string): Promise<void> {
    const record = await this.find(key);
    const directory = this.pathOf(key);
    if (record === null && !(await exists(directory))) return;
    if (await this.#hasChildren(directory)) throw new ConflictError(`snapshot ${key} has children`);
    const removing = join(this.root, `${REMOVING}${randomBytes(8).toString('hex')}`);
    await rename(directory, removing);
    await this.#dropChild(record?.parent ?? null, key);
    await this.#delete(removing);
  }

  async *walk(): AsyncGenerator<SnapshotInfo, void, void> {
    for await (const entry of await opendir(this.root)) {
      if (entry.name.startsWith('.') || this.#reserved.has(entry.name) || !entry.isDirectory()) continue;
      const key = keyOf(entry.name);
      const record = await this.find(key);
      if (record !== null) yield { key, kind: record.kind, parent: record.parent };
    }
  }

  /**
   * Gives an active snapshot that was made without a parent the one it has, with the record that goes with it.
   * NotFoundError when that parent is gone.
   */
  async adopt(key: string, parent: string, record: SnapshotRecord): Promise<void> {
    await this.#appear(parent, key, async () => this.rewrite(key, record));
  }

  /** Notes a child with its parent while `step` makes it appear. NotFoundError when the parent is gone. */
  async #appear(parent: string | null, child: string, step: () => Promise<void>): Promise<void> {
    if (parent === null) {
      await step();
      return;
    }
    const name = this.#nameOf(child);
    const note = join(this.pathOf(parent), CHILDREN, name);
    this.#arriving.add(name);
    try {
      await writeFile(note, '').catch((error: unknown) =>
        errnoCodeOf(error) === 'ENOENT' ? notFound(parent) : raise(error),
      );
      await step();
    } catch (error) {
      if (!(await exists(join(this.root, name)))) await rm(note, { force: true });
      throw error;
    } finally {
      this.#arriving.delete(name);
    }
  }

  async #dropChild(parent: string | null, child: string): Promise<void> {
    if (parent !== null) await rm(join(this.pathOf(parent), CHILDREN, this.#nameOf(child)), { force: true });
  }

  /** Removing the `children` directory is the decision: a child that is being made at the same time then fails. */
  async #hasChildren(directory: string): Promise<boolean> {
    const children = join(directory, CHILDREN);
    try {
      for (const name of await readdir(children)) {
        // A note without its child was left by a daemon killed in the middle of a commit.
        const stale = !this.#arriving.has(name) && !(await exists(join(this.root, name)));
        if (stale) await rm(join(children, name), { force: true });
      }
      await rmdir(children);
    } catch (error) {
      if (isOccupied(error)) return true;
      if (errnoCodeOf(error) !== 'ENOENT') throw error;
    }
    return false;
  }

  async #delete(directory: string): Promise<void> {
    await this.#parts.discard(directory);
    await rm(directory, { recursive: true, force: true });
  }

  #nameOf(key: string): string {
    const name = [...key].map((character, index) => spell(character, index)).join('');
    return this.#reserved.has(name) ? `%${hex(name[0] ?? '')}${name.slice(1)}` : name;
  }
}

/** Keys become file names without `:`, `,` and `%`-free of what overlay's option parser would stumble over. */
function spell(character: string, index: number): string {
  if (character === ':') return '+';
  if (/[A-Za-z0-9_-]/.test(character) || (character === '.' && index > 0)) return character;
  return [...Buffer.from(character)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
}

function hex(character: string): string {
  return character.charCodeAt(0).toString(16).padStart(2, '0');
}

function keyOf(name: string): string {
  return decodeURIComponent(name.replaceAll('+', ':'));
}

async function writeRecord(
  directory: string,
  record: SnapshotRecord,
  options: { readonly sync: boolean },
): Promise<void> {
  const temporary = join(directory, `${RECORD}.new`);
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(JSON.stringify(record));
    if (options.sync) await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(directory, RECORD));
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

function isOccupied(error: unknown): boolean {
  const code = errnoCodeOf(error);
  return code === 'ENOTEMPTY' || code === 'EEXIST';
}

function fault(error: unknown, key: string, path: string): unknown {
  if (isOccupied(error)) return conflict(key);
  return isDiskFull(error) ? new UnavailableError(pathErrorText('write', path, error), { cause: error }) : error;
}

function raise(error: unknown): never {
  throw error;
}

function conflict(key: string): ConflictError {
  return new ConflictError(`snapshot ${key}: already exists`);
}

function notFound(key: string): never {
  throw new NotFoundError(`snapshot ${key} does not exist: not found`);
}
