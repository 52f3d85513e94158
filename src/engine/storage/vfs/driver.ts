/**
 * Snapshots as whole copies: works on every file system, shares nothing but what the file system itself can (reflinks).
 *
 * ```
 * <root>/<snapshot>/tree      the complete tree
 * ```
 * A view is mounted from its parent's tree and has none of its own.
 */
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { Mount } from '../../oci/mount.ts';
import type { SnapshotInfo, SnapshotUsage, StorageDriver } from '../driver.ts';
import { SnapshotDirectory, type SnapshotRecord } from '../snapshot-directory.ts';
import { measureTree } from '../tree-usage.ts';

const TREE = 'tree';

/** Options of {@link VfsDriver.open}. */
export interface VfsOptions {
  /** Directory of the driver alone, such as `<data root>/vfs`. */
  readonly root: string;
  /** Copies everything below a directory into an empty one, off the main thread. */
  readonly copyTree: (from: string, to: string) => Promise<void>;
  /** `--storage-opt` words; vfs takes none. */
  readonly storageOptions?: readonly string[];
}

export class VfsDriver implements StorageDriver {
  readonly name = 'vfs';
  readonly #snapshots: SnapshotDirectory;
  readonly #copyTree: VfsOptions['copyTree'];

  private constructor(options: VfsOptions) {
    this.#copyTree = options.copyTree;
    this.#snapshots = new SnapshotDirectory(options.root, { discard: async () => {} }, []);
  }

  /** Opens the driver's directory and takes away what a killed daemon left unfinished. */
  static async open(options: VfsOptions): Promise<VfsDriver> {
    const [option] = options.storageOptions ?? [];
    if (option !== undefined) throw new InvalidArgumentError(`vfs: storage option ${option} is not supported`);
    const driver = new VfsDriver(options);
    await driver.#snapshots.open();
    return driver;
  }

  status(): readonly (readonly [string, string])[] {
    return [];
  }

  async prepare(key: string, parent: string | null): Promise<readonly Mount[]> {
    if (parent !== null) await this.#snapshots.parent(parent);
    const record: SnapshotRecord = { kind: 'active', parent, link: TREE, lower: [] };
    await this.#snapshots.create(key, record, async (directory) => {
      const tree = join(directory, TREE);
      await mkdir(tree, { mode: 0o755 });
      await chmod(tree, 0o755);
      if (parent !== null) await this.#copyTree(this.#treeOf(parent), tree);
    });
    return this.#mountsOf(key, record);
  }

  async view(key: string, parent: string): Promise<readonly Mount[]> {
    await this.#snapshots.parent(parent);
    const record: SnapshotRecord = { kind: 'view', parent, link: '', lower: [] };
    await this.#snapshots.create(key, record, async () => {});
    return this.#mountsOf(key, record);
  }

  async mounts(key: string): Promise<readonly Mount[]> {
    return this.#mountsOf(key, await this.#snapshots.get(key));
  }

  async commit(key: string, name: string): Promise<void> {
    await this.#snapshots.commit(key, name);
  }

  async remove(key: string): Promise<void> {
    await this.#snapshots.remove(key);
  }

  async stat(key: string): Promise<SnapshotInfo | null> {
    const record = await this.#snapshots.find(key);
    return record === null ? null : { key, kind: record.kind, parent: record.parent };
  }

  async usage(key: string): Promise<SnapshotUsage> {
    const { link } = await this.#snapshots.get(key);
    return link === '' ? { sizeBytes: 0, inodes: 0 } : measureTree(this.#treeOf(key));
  }

  walk(): AsyncIterable<SnapshotInfo> {
    return this.#snapshots.walk();
  }

  #mountsOf(key: string, record: SnapshotRecord): readonly Mount[] {
    const source = this.#treeOf(record.kind === 'view' && record.parent !== null ? record.parent : key);
    return [{ type: 'bind', source, options: ['bind', record.kind === 'active' ? 'rw' : 'ro'] }];
  }

  #treeOf(key: string): string {
    return join(this.#snapshots.pathOf(key), TREE);
  }
}
