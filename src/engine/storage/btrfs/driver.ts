/**
 * Snapshots as those of Btrfs: made in an instant, whatever their size, and sharing all that nobody has changed.
 *
 * ```
 * <root>/<snapshot>/tree      a subvolume with the complete tree; read-only when the snapshot is committed
 * <root>/.groups/             see subvolumes.ts
 * ```
 * A view is mounted from its parent's tree and has none of its own. Attributes of the file system's own (`chattr +C`,
 * compression) are nobody's business here: subvolumes have those that the kernel gives them.
 */
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCodeOf, InvalidArgumentError } from '../../../base/errors.ts';
import type { BtrfsCalls } from '../../kernel/btrfs.ts';
import type { Mount } from '../../oci/mount.ts';
import type { SnapshotInfo, SnapshotOptions, SnapshotUsage } from '../driver.ts';
import type { KeptLimits, MendableDriver, RelimitableDriver, Stray } from '../mending.ts';
import { deleteHere, SnapshotDirectory, type DeleteTree, type SnapshotRecord } from '../snapshot-directory.ts';
import { measureTree } from '../tree-usage.ts';
import { BtrfsLimits } from './limits.ts';
import { checkImageFits, checkSize, parseBtrfsOptions, quotasAreOff, type BtrfsSettings } from './options.ts';
import { Subvolumes } from './subvolumes.ts';

const TREE = 'tree';
const GROUPS = '.groups';

/** Options of {@link BtrfsDriver.open}. */
export interface BtrfsOptions {
  /** Directory of the driver alone, such as `<data root>/btrfs`; on Btrfs. */
  readonly root: string;
  readonly calls: BtrfsCalls;
  /** `--storage-opt` words, `key=value`. */
  readonly storageOptions?: readonly string[];
  /** Deletes a layer's files off the main thread; on it unless given. Only for trees that are no subvolumes. */
  readonly deleteTree?: DeleteTree;
}

export class BtrfsDriver implements MendableDriver, RelimitableDriver {
  readonly name = 'btrfs';
  readonly limits: KeptLimits;
  readonly #snapshots: SnapshotDirectory;
  readonly #calls: BtrfsCalls;
  readonly #subvolumes: Subvolumes;
  readonly #settings: BtrfsSettings;

  private constructor(options: BtrfsOptions) {
    const { root, calls } = options;
    this.#calls = calls;
    this.#settings = parseBtrfsOptions(options.storageOptions ?? []);
    this.limits = new BtrfsLimits(calls, (key) => this.#treeOf(key));
    this.#subvolumes = new Subvolumes(calls, join(root, GROUPS));
    this.#snapshots = new SnapshotDirectory(
      root,
      {
        discard: async (at, deleteTree) => this.#subvolumes.destroy(join(at, TREE), root, deleteTree),
        deleteLayer: options.deleteTree ?? deleteHere,
      },
      [],
    );
  }

  /** Opens the driver's directory and takes away what a killed daemon left unfinished. */
  static async open(options: BtrfsOptions): Promise<BtrfsDriver> {
    const driver = new BtrfsDriver(options);
    await driver.#snapshots.open();
    await driver.#subvolumes.dropGroups(options.root);
    return driver;
  }

  get root(): string {
    return this.#snapshots.root;
  }

  /** The line of Docker since 23.0, which has no library of Btrfs's whose version it could tell. */
  status(): readonly (readonly [string, string])[] {
    return [['Btrfs', '']];
  }

  async prepare(key: string, parent: string | null, options?: SnapshotOptions): Promise<readonly Mount[]> {
    const sizeBytes = options?.sizeBytes ?? null;
    if (sizeBytes !== null) await this.#checkSize(sizeBytes);
    if (parent !== null) await this.#snapshots.parent(parent);
    const record: SnapshotRecord = { kind: 'active', parent, link: TREE, lower: [] };
    await this.#snapshots.create(key, record, async (directory) => {
      const tree = join(directory, TREE);
      if (parent === null) await this.#makeEmpty(tree);
      else await this.#makeOf(parent, tree);
      if (sizeBytes !== null) await this.#limit(tree, sizeBytes);
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
    await this.#freeze(key, async () => this.#snapshots.commit(key, name));
  }

  async remove(key: string): Promise<void> {
    await this.#snapshots.remove(key);
  }

  async stat(key: string): Promise<SnapshotInfo | null> {
    const record = await this.#snapshots.find(key);
    return record === null ? null : { key, kind: record.kind, parent: record.parent };
  }

  async usage(key: string, except: readonly string[] = []): Promise<SnapshotUsage> {
    const { link } = await this.#snapshots.get(key);
    return link === '' ? { sizeBytes: 0, inodes: 0 } : measureTree(this.#treeOf(key), except);
  }

  async examine(key: string): Promise<string | null> {
    const record = await this.#snapshots.examine(key);
    if (typeof record === 'string') return record;
    const tree = await this.#calls.look(this.#treeOf(key));
    if (tree === null) return 'its files are missing';
    return tree.isReadOnly ? null : 'its files can be written to';
  }

  async replace(key: string, name: string): Promise<void> {
    const record = await this.#snapshots.get(key);
    await this.#freeze(key, async () => this.#snapshots.replace(key, name, record));
  }

  async strays(): Promise<readonly Stray[]> {
    return this.#snapshots.strays();
  }

  async dropStray(stray: Stray): Promise<boolean> {
    return this.#snapshots.dropStray(stray);
  }

  walk(): AsyncIterable<SnapshotInfo> {
    return this.#snapshots.walk();
  }

  async #checkSize(sizeBytes: number): Promise<void> {
    checkSize(sizeBytes, this.#settings);
    const { root } = this.#snapshots;
    if ((await this.#calls.quotas(root)) !== 'off') return;
    throw new InvalidArgumentError(`btrfs: storage size cannot be limited: ${quotasAreOff(root)}`);
  }

  /** Of all that the container sees, its image too, as dockerd's. */
  async #limit(tree: string, sizeBytes: number): Promise<void> {
    const subvolume = await this.#calls.look(tree);
    const group = subvolume === null ? null : await this.#calls.group(tree, subvolume.id);
    // Older kernels take a limit that is passed already; nothing could be written then, not even what a start writes.
    checkImageFits(sizeBytes, group?.referencedBytes ?? 0);
    await this.#calls.limit(tree, { referencedBytes: sizeBytes });
  }

  async #makeEmpty(tree: string): Promise<void> {
    await this.#calls.create(tree);
    await chmod(tree, 0o755);
  }

  async #makeOf(parent: string, tree: string): Promise<void> {
    try {
      await this.#calls.snapshot(this.#treeOf(parent), tree);
    } catch (error) {
      // Gone since it was looked at.
      if (errnoCodeOf(error) === 'ENOENT') await this.#snapshots.parent(parent);
      throw error;
    }
  }

  /** Nobody writes into a tree any more, unless `step` fails. */
  async #freeze(key: string, step: () => Promise<void>): Promise<void> {
    const { kind } = await this.#snapshots.get(key);
    if (kind !== 'active') {
      await step();
      return;
    }
    const tree = this.#treeOf(key);
    await this.#calls.setReadOnly(tree, true);
    try {
      await step();
    } catch (error) {
      await this.#calls.setReadOnly(tree, false);
      throw error;
    }
  }

  #mountsOf(key: string, record: SnapshotRecord): readonly Mount[] {
    const source = this.#treeOf(record.kind === 'view' && record.parent !== null ? record.parent : key);
    return [{ type: 'bind', source, options: ['bind', record.kind === 'active' ? 'rw' : 'ro'] }];
  }

  #treeOf(key: string): string {
    return join(this.#snapshots.pathOf(key), TREE);
  }
}
