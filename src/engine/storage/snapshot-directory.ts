/**
 * How snapshots lie on disk, for every driver that keeps them as directories:
 *
 * ```
 * <root>/<name of key>/snapshot.json    what the snapshot is (SnapshotRecord)
 * <root>/<name of key>/children/        of a committed one: one empty file per child, named as the child's directory
 * <root>/<name of key>/…                the driver's own
 * <root>/.new-<random>/                 being made; worth nothing until renamed
 * <root>/.old-<random>/                 being removed; worth nothing any more
 * ```
 *
 * What takes the kernel some microseconds is done at once: a thread of the pool takes ten times as long to begin.
 *
 * Nothing is kept in memory: what a killed daemon left is what the next one reads. A snapshot appears, changes its name
 * and disappears by one rename(2) each.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { diskFault, isDiskFull, pathErrorText } from '../../base/errno-text.ts';
import { ConflictError, DataLossError, errnoCodeOf, NotFoundError, UnavailableError } from '../../base/errors.ts';
import { Undo } from '../../base/undo.ts';
import { deleteHere } from './delete-tree.ts';
import { syncDirectory } from './directories.ts';
import type { SnapshotInfo } from './driver.ts';
import { exists, isOccupied, isRemoved, moved, unlinkIfThere } from './entries.ts';
import type { Stray } from './mending.ts';
import { keyOf, nameOf } from './snapshot-names.ts';
import {
  dropRecord,
  readRecord,
  readRecordAtOnce,
  replaceRecord,
  replaceRecordDurably,
  writeFirstRecord,
  type SnapshotRecord,
} from './snapshot-record.ts';

export { deleteHere };
export type { SnapshotRecord };

/** Deletes a directory with all that is below it; idempotent. */
export type DeleteTree = (path: string) => Promise<void>;

/** What a driver adds to the making and unmaking of a snapshot. */
export interface SnapshotParts {
  /** Removes what the driver keeps outside the snapshot's directory; called before that goes, possibly twice. */
  discard(directory: string, deleteTree: DeleteTree): Promise<void>;
  /** For layers, whose trees may be large. */
  readonly deleteLayer: DeleteTree;
  /** For containers, of which most have few files of their own: on this thread unless given. */
  readonly deleteActive?: DeleteTree;
}

const MAKING = '.new-';
const REMOVING = '.old-';
const CHILDREN = 'children';
/** What no other process has used in names. */
const OWN = randomBytes(8).toString('hex');
let names = 0;

/** The snapshots below one root. */
export class SnapshotDirectory {
  readonly root: string;
  readonly #parts: SnapshotParts;
  readonly #reserved: ReadonlySet<string>;

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
    return readRecordAtOnce(this.pathOf(key));
  }

  /** NotFoundError when there is no such snapshot. */
  async get(key: string): Promise<SnapshotRecord> {
    return (await this.find(key)) ?? notFound(key);
  }

  /** The record of a layer, or what is wrong with it in words. */
  async examine(key: string): Promise<SnapshotRecord | string> {
    try {
      const record = await this.find(key);
      if (record === null) return 'its description is missing';
      return record.kind === 'committed' ? record : 'it was never completed';
    } catch (error) {
      if (error instanceof DataLossError) return 'its description is damaged';
      throw error;
    }
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
    if (exists(this.pathOf(key))) throw conflict(key);
    const making = join(this.root, `${MAKING}${unused()}`);
    await Undo.guard(async (undo) => {
      undo.defer(async () => this.#delete(making));
      try {
        mkdirSync(making, { mode: 0o710 });
        if (record.kind === 'committed') mkdirSync(join(making, CHILDREN), { mode: 0o710 });
        writeFirstRecord(making, record);
        await fill(making);
        this.#appear(record.parent, key, () => renameSync(making, this.pathOf(key)));
      } catch (error) {
        throw fault(error, key, this.pathOf(key));
      }
    });
  }

  /** Freezes `key` under `name`: durable when its file system was written out. ConflictError when `name` exists; NotFoundError. */
  async commit(key: string, name: string): Promise<void> {
    const record = await this.get(key);
    if (record.kind === 'view') throw new ConflictError(`snapshot ${key} is a view: not active`);
    if (exists(this.pathOf(name))) throw conflict(name);
    const children = join(this.pathOf(key), CHILDREN);
    try {
      mkdirSync(children, { recursive: true, mode: 0o710 });
    } catch (error) {
      throw fault(error, name, children);
    }
    // Killed between the next two steps, the snapshot is still found under its old key, where start-up removes it.
    replaceRecord(this.pathOf(key), { ...record, kind: 'committed' });
    try {
      this.#appear(record.parent, name, () => renameSync(this.pathOf(key), this.pathOf(name)));
    } catch (error) {
      replaceRecord(this.pathOf(key), record);
      throw fault(error, name, this.pathOf(name));
    }
    this.#dropChild(record.parent, key);
  }

  /** Removes a snapshot; idempotent. ConflictError while it has children. */
  async remove(key: string): Promise<void> {
    const record = await this.find(key).catch(damagedIsNull);
    const directory = this.pathOf(key);
    if (record === null && !exists(directory)) return;
    if (await this.#hasChildren(directory)) throw new ConflictError(`snapshot ${key} has children`);
    // A container's few files are gone before a thread would have begun.
    const { deleteLayer, deleteActive = deleteHere } = this.#parts;
    const isLayer = record === null || record.kind === 'committed';
    const deleteTree = isLayer ? deleteLayer : deleteActive;
    const removing = this.#unmake(directory);
    this.#dropChild(record?.parent ?? null, key);
    await this.#delete(removing, deleteTree);
  }

  /** All that can be read; a damaged one is for {@link strays} and whoever asks for it by name. */
  async *walk(): AsyncGenerator<SnapshotInfo, void, void> {
    for await (const { key, record } of this.records()) {
      if (key !== '') yield { key, kind: record.kind, parent: record.parent };
    }
  }

  /** The descriptions of all snapshots that can be read, first those that are being made (their key is ''). */
  async *records(): AsyncGenerator<{ readonly key: string; readonly record: SnapshotRecord }, void, void> {
    for (const name of await readdir(this.root)) {
      if (!name.startsWith(MAKING)) continue;
      const record = await readRecord(join(this.root, name)).catch(() => null);
      if (record !== null) yield { key: '', record };
    }
    for (const name of await this.#names()) {
      const record = await readRecord(join(this.root, name)).catch(damagedIsNull);
      if (record !== null) yield { key: keyOf(name), record };
    }
  }

  /** Directories that ought to be snapshots and cannot be read as such. */
  async strays(): Promise<readonly { readonly path: string; readonly key: string }[]> {
    const found: { readonly path: string; readonly key: string }[] = [];
    for (const name of await this.#names()) {
      const path = join(this.root, name);
      const record = await readRecord(path).catch(damagedIsNull);
      if (record === null && exists(path)) found.push({ path, key: keyOf(name) });
    }
    return found;
  }

  /** As {@link discard}, of one of {@link strays}; false when it is none. */
  async dropStray(stray: Stray): Promise<boolean> {
    const isStray = (await this.strays()).some(({ path, key }) => stray.path === path && stray.key === key);
    if (isStray) await this.discard(stray.path);
    return isStray;
  }

  /** Deletes a directory that ought to be a snapshot, with what the driver keeps for it outside. */
  async discard(path: string): Promise<void> {
    const removing = this.#removingPath();
    if (await moved(path, removing)) await this.#delete(removing);
  }

  /** Deletes files of the driver's. They are an image's, and must not be taken for a snapshot, whatever is among them. */
  async discardFiles(path: string): Promise<void> {
    const removing = this.#removingPath();
    await mkdir(removing, { mode: 0o700 });
    await moved(path, join(removing, 'files'));
    await this.#delete(removing);
  }

  /**
   * Puts an active snapshot in the place of the committed one `name`, damaged or gone, as `record` describes it. Those that
   * stand on it are noted as its children again.
   */
  async replace(key: string, name: string, record: SnapshotRecord): Promise<void> {
    const own = this.pathOf(key);
    mkdirSync(join(own, CHILDREN), { recursive: true, mode: 0o710 });
    await replaceRecordDurably(own, { ...record, kind: 'committed' });
    for await (const { key: child, record: other } of this.records()) {
      if (other.parent === name && child !== '') writeFileSync(join(own, CHILDREN, this.#nameOf(child)), '');
    }
    // What was there is deleted when its place is taken: whoever is killed meanwhile leaves one of the two.
    const removing = this.#removingPath();
    const isThere = await moved(this.pathOf(name), removing);
    this.#appear(record.parent, name, () => renameSync(own, this.pathOf(name)));
    this.#dropChild(record.parent, key);
    await syncDirectory(this.root);
    if (isThere) await this.#delete(removing);
  }

  /** Of the directories that are or ought to be snapshots. */
  async #names(): Promise<readonly string[]> {
    const entries = await readdir(this.root, { withFileTypes: true });
    return entries
      .filter((entry) => !entry.name.startsWith('.') && !this.#reserved.has(entry.name) && entry.isDirectory())
      .map(({ name }) => name);
  }

  /**
   * Gives an active snapshot that was made without a parent the one it has, with the record that goes with it.
   * NotFoundError when that parent is gone.
   */
  async adopt(key: string, parent: string, record: SnapshotRecord): Promise<void> {
    this.#appear(parent, key, () => replaceRecord(this.pathOf(key), record));
    return Promise.resolve();
  }

  /** Notes a child with its parent while `step` makes it appear. NotFoundError when the parent is gone. */
  #appear(parent: string | null, child: string, step: () => void): void {
    if (parent === null) {
      step();
      return;
    }
    const name = this.#nameOf(child);
    const note = join(this.pathOf(parent), CHILDREN, name);
    try {
      writeNote(note, parent);
      step();
    } catch (error) {
      if (!exists(join(this.root, name))) unlinkIfThere(note);
      throw error;
    }
  }

  #dropChild(parent: string | null, child: string): void {
    if (parent !== null) unlinkIfThere(join(this.pathOf(parent), CHILDREN, this.#nameOf(child)));
  }

  /** Removing the `children` directory is the decision: a child that is being made at the same time then fails. */
  async #hasChildren(directory: string): Promise<boolean> {
    const children = join(directory, CHILDREN);
    // A container's, and most others', is empty.
    if (isRemoved(children)) return false;
    try {
      for (const name of await readdir(children)) {
        // A note without its child was left by a daemon killed in the middle of a commit.
        if (!exists(join(this.root, name))) await rm(join(children, name), { force: true });
      }
      await rmdir(children);
    } catch (error) {
      if (isOccupied(error)) return true;
      if (errnoCodeOf(error) !== 'ENOENT') throw error;
    }
    return false;
  }

  /** Makes it no snapshot any more; where its files are then. */
  #unmake(directory: string): string {
    const removing = this.#removingPath();
    try {
      renameSync(directory, removing);
      return removing;
    } catch (error) {
      if (isDiskFull(error)) {
        // A full Btrfs keeps some room back for deleting, but none for renaming. Half of its files must not pass for it.
        dropRecord(directory);
        return directory;
      }
      // It stays, and may have children.
      mkdirSync(join(directory, CHILDREN), { recursive: true, mode: 0o710 });
      throw error;
    }
  }

  #removingPath(): string {
    return join(this.root, `${REMOVING}${unused()}`);
  }

  async #delete(directory: string, deleteTree: DeleteTree = deleteHere): Promise<void> {
    await this.#parts.discard(directory, deleteTree);
    await deleteHere(directory);
  }

  #nameOf(key: string): string {
    return nameOf(key, this.#reserved);
  }
}

function unused(): string {
  names += 1;
  return `${OWN}-${String(names)}`;
}

/** One that cannot be read must not keep all others from being found. */
function damagedIsNull(error: unknown): null {
  if (error instanceof DataLossError) return null;
  throw error;
}

function writeNote(path: string, parent: string): void {
  try {
    writeFileSync(path, '');
  } catch (error) {
    throw errnoCodeOf(error) === 'ENOENT' ? missing(parent) : diskFault('open', path, error);
  }
}

function fault(error: unknown, key: string, path: string): unknown {
  if (isOccupied(error)) return conflict(key);
  return isDiskFull(error) ? new UnavailableError(pathErrorText('write', path, error), { cause: error }) : error;
}

function conflict(key: string): ConflictError {
  return new ConflictError(`snapshot ${key}: already exists`);
}

function notFound(key: string): never {
  throw missing(key);
}

function missing(key: string): NotFoundError {
  return new NotFoundError(`snapshot ${key} does not exist: not found`);
}
