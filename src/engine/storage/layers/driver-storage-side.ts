import { chmod, chown, stat, statfs, utimes } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { ConflictError, DataLossError } from '../../../base/errors.ts';
import type { ContainerId } from '../../../base/ids.ts';
import { Undo } from '../../../base/undo.ts';
import type { FileCalls } from '../../kernel/files.ts';
import type { ChainId } from '../../oci/digest.ts';
import type { LayerRow, LayerTable } from '../../state/layers.ts';
import { backingFilesystem } from '../backing.ts';
import { hasRoomOfItsOwn, release, type StorageDriver } from '../driver.ts';
import { isMendable } from '../mending.ts';
import type {
  MovedContainer,
  PackedChanges,
  PackedSocket,
  RootAttributes,
  StorageRoom,
  StorageSide,
} from '../moving.ts';
import type { DriverLayerPacker } from './driver-layer-packer.ts';
import type { DriverLayerStore } from './driver-layer-store.ts';
import { layerXattrs } from './tree/layer-attributes.ts';
import { runTreeJob } from './tree-job.ts';
import type { LayerWorkers } from './workers.ts';

/** Options of {@link DriverStorageSide}. */
export interface StorageSideOptions {
  readonly driver: StorageDriver;
  readonly table: LayerTable;
  readonly layers: DriverLayerStore;
  readonly packer: DriverLayerPacker;
  readonly workers: LayerWorkers;
  readonly files: Pick<FileCalls, 'getXattr' | 'listXattrs' | 'setXattr' | 'removeXattr'>;
  /** The driver's own directory. */
  readonly root: string;
}

/** Where vfs copies without taking room. */
const SHARES_COPIES = new Set(['btrfs', 'xfs']);

/** {@link StorageSide} on a driver and its layer store. */
export class DriverStorageSide implements StorageSide {
  readonly #options: StorageSideOptions;

  constructor(options: StorageSideOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.driver.name;
  }

  async settle(): Promise<void> {
    await this.#options.layers.sweep();
  }

  layer(chainId: ChainId): LayerRow | null {
    return this.#options.table.get(chainId);
  }

  layers(): readonly LayerRow[] {
    return this.#options.table.all();
  }

  async container(id: ContainerId): Promise<{ readonly parent: ChainId | null } | null> {
    const info = await this.#options.driver.stat(id);
    return info === null ? null : { parent: info.parent as ChainId | null };
  }

  async unpack({ parent, diffId }: LayerRow, blobPath: string, signal: AbortSignal): Promise<void> {
    await this.#options.layers.unpack({ blobPath, parent, diffId, signal });
  }

  async pack(key: string, blobPath: string, signal: AbortSignal): Promise<PackedChanges> {
    const { diffId, members, sockets } = await this.#options.packer.pack(key, blobPath, signal);
    return { diffId, isEmpty: members === 0, root: await this.#attributes(key), sockets };
  }

  async usage(key: string): Promise<number> {
    return (await this.#options.packer.usage(key)).sizeBytes;
  }

  async room(): Promise<StorageRoom> {
    const { driver, root } = this.#options;
    if (hasRoomOfItsOwn(driver)) return { freeBytes: await driver.freeBytes(), copiesParents: false };
    return roomBelow(root, driver.name);
  }

  async adoptLayer(
    row: LayerRow,
    { blobPath, diffId, root }: Pick<PackedChanges, 'diffId' | 'root'> & { readonly blobPath: string },
    signal: AbortSignal,
  ): Promise<void> {
    const { driver, layers } = this.#options;
    const key = layers.newKey();
    await Undo.guard(async (undo) => {
      undo.defer(async () => driver.remove(key));
      // Its digest is checked against what was packed: that of the image's own tar is lost with the blob.
      await layers.write(key, { blobPath, parent: row.parent, diffId, signal });
      await this.#describe(key, root);
      await layers.admit(key, { parent: row.parent, diffId: row.diffId, sizeBytes: row.sizeBytes });
    });
  }

  async adoptContainer(id: ContainerId, moved: MovedContainer, signal: AbortSignal): Promise<void> {
    const { driver, layers, root } = this.#options;
    const { parent, changes, blobPath, sizeBytes } = moved;
    await driver.remove(id);
    if (changes.isEmpty) {
      await driver.prepare(id, parent, { sizeBytes });
      await release(driver, id);
    } else {
      await layers.write(id, { blobPath, parent, diffId: changes.diffId, sizeBytes, signal });
    }
    if (changes.sockets.length > 0) await this.#makeSockets(id, changes.sockets, signal);
    await this.#describe(id, changes.root);
    await layers.writeOut(root);
  }

  async dropContainer(id: ContainerId): Promise<void> {
    await this.#options.driver.remove(id);
  }

  async removeAll(signal: AbortSignal): Promise<number> {
    const { driver, table } = this.#options;
    let removed = 0;
    // Children before their parents, whatever their names: what still has some waits for the next round.
    for (let last = -1; last !== removed;) {
      last = removed;
      const keys = (await Array.fromAsync(driver.walk())).map(({ key }) => key);
      for (const key of keys) {
        signal.throwIfAborted();
        if (await this.#removed(key)) removed += 1;
      }
    }
    // Of layers whose trees were gone already.
    for (let rows = table.all(); rows.length > 0;) {
      for (const { chainId } of rows) if (!table.hasChildren(chainId)) table.remove(chainId);
      const left = table.all();
      if (left.length === rows.length) break;
      rows = left;
    }
    if (isMendable(driver)) for (const stray of await driver.strays()) await driver.dropStray(stray);
    return removed;
  }

  async #removed(key: string): Promise<boolean> {
    const { driver, table, layers } = this.#options;
    try {
      if (table.get(key as ChainId) === null) await driver.remove(key);
      else await layers.remove(key as ChainId);
      return true;
    } catch (error) {
      if (error instanceof ConflictError) return false;
      throw error;
    }
  }

  async #makeSockets(id: ContainerId, sockets: readonly PackedSocket[], signal: AbortSignal): Promise<void> {
    const { workers } = this.#options;
    await this.#withRoot(id, 'write', async (root) =>
      runTreeJob(workers, { kind: 'make-sockets', root, sockets }, { signal }),
    );
  }

  async #attributes(key: string): Promise<RootAttributes> {
    const { files } = this.#options;
    return this.#withRoot(key, 'read', async (path) => attributesOf(path, files));
  }

  async #describe(key: string, attributes: RootAttributes): Promise<void> {
    const { files } = this.#options;
    await this.#withRoot(key, 'write', async (path) => describe(path, attributes, files));
  }

  async #withRoot<T>(key: string, access: 'read' | 'write', job: (path: string) => Promise<T>): Promise<T> {
    return Undo.guard(async (undo) => {
      const { root } = await this.#options.layers.trees.hold(key, undo, { access });
      const result = await job(root);
      const [failure] = await undo.rollBack();
      if (failure !== undefined) throw failure as Error;
      return result;
    });
  }
}

/** For a driver that keeps its trees on the file system of `path`. */
export async function roomBelow(path: string, driver: string): Promise<StorageRoom> {
  const { bavail, bsize } = await statfs(path);
  const copiesParents = driver === 'vfs' && !SHARES_COPIES.has(await backingFilesystem(path));
  return { freeBytes: bavail * bsize, copiesParents };
}

type Files = StorageSideOptions['files'];

async function attributesOf(path: string, files: Files): Promise<RootAttributes> {
  const { mode, uid, gid, mtimeMs } = await stat(path);
  return { mode: mode & 0o7777, uid, gid, mtimeMs, xattrs: layerXattrs(files, Buffer.from(path)) };
}

async function describe(path: string, wanted: RootAttributes, files: Files): Promise<void> {
  const { mode, uid, gid, mtimeMs, xattrs } = wanted;
  const now = await attributesOf(path, files);
  if (now.uid !== uid || now.gid !== gid) await chown(path, uid, gid);
  for (const name of now.xattrs.keys()) if (!xattrs.has(name)) files.removeXattr(path, name);
  for (const [name, value] of xattrs)
    if (now.xattrs.get(name)?.equals(value) !== true) files.setXattr(path, name, value);
  // After an ACL, whose mask is part of it.
  await chmod(path, mode);
  await utimes(path, mtimeMs / 1000, mtimeMs / 1000);
  const { mtimeMs: _time, ...after } = await attributesOf(path, files);
  if (!isDeepStrictEqual(after, { mode, uid, gid, xattrs })) {
    throw new DataLossError('the root directory did not take its attributes');
  }
}
