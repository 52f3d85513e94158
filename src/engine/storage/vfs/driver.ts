/**
 * Snapshots as whole copies: works on every file system, shares nothing but what the file system itself can (reflinks).
 *
 * ```
 * <root>/<snapshot>/tree      the complete tree; a limited directory where the snapshot has a limit, which bounds all of it
 * ```
 * A view is mounted from its parent's tree and has none of its own.
 */
import { chmod, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { Mount } from '../../oci/mount.ts';
import type { LimitingDriver, SnapshotInfo, SnapshotOptions, SnapshotUsage } from '../driver.ts';
import type { KeptLimits, MendableDriver, RelimitableDriver, Stray } from '../mending.ts';
import { limitsBy } from '../quota/limits.ts';
import { NoQuotas } from '../quota/none.ts';
import type { DirectoryQuotas } from '../quota/types.ts';
import { deleteHere, SnapshotDirectory, type DeleteTree, type SnapshotRecord } from '../snapshot-directory.ts';
import { measureTree } from '../tree-usage.ts';
import { parseVfsOptions, type VfsSettings } from './options.ts';

const TREE = 'tree';
/** dockerd's `quota.ErrQuotaNotSupported`. */
const NOT_SUPPORTED = 'Filesystem does not support, or has not enabled quotas';

/** Options of {@link VfsDriver.open}. */
export interface VfsOptions {
  /** Directory of the driver alone, such as `<data root>/vfs`. */
  readonly root: string;
  /** Copies everything below a directory into an empty one, off the main thread. */
  readonly copyTree: (from: string, to: string) => Promise<void>;
  /** Deletes a layer's files off the main thread; on it unless given. */
  readonly deleteTree?: DeleteTree;
  /** Deletes the files of a container: as many as its image has; on the main thread, in turns, unless given. */
  readonly deleteCopy?: DeleteTree;
  /** What can bound a container here; nothing unless given. */
  readonly quotas?: DirectoryQuotas;
  /** `--storage-opt` words, `key=value`. */
  readonly storageOptions?: readonly string[];
}

export class VfsDriver implements LimitingDriver, MendableDriver, RelimitableDriver {
  readonly name = 'vfs';
  readonly #snapshots: SnapshotDirectory;
  readonly #copyTree: VfsOptions['copyTree'];
  readonly #quotas: DirectoryQuotas;
  readonly #settings: VfsSettings;

  private constructor(options: VfsOptions, settings: VfsSettings) {
    this.#copyTree = options.copyTree;
    this.#quotas = options.quotas ?? new NoQuotas('no quotas were looked for');
    this.#settings = settings;
    this.#snapshots = new SnapshotDirectory(
      options.root,
      {
        discard: async (at, deleteTree) => {
          await this.#quotas.drop(join(at, TREE));
          await deleteTree(join(at, TREE));
        },
        deleteLayer: options.deleteTree ?? deleteHere,
        deleteActive: options.deleteCopy ?? deleteHere,
      },
      [],
    );
  }

  /** Opens the driver's directory and takes away what a killed daemon left unfinished. */
  static async open(options: VfsOptions): Promise<VfsDriver> {
    const settings = parseVfsOptions(options.storageOptions ?? []);
    const driver = new VfsDriver(options, settings);
    driver.#limitOf({ sizeBytes: null });
    await driver.#snapshots.open();
    return driver;
  }

  get root(): string {
    return this.#snapshots.root;
  }

  status(): readonly (readonly [string, string])[] {
    return [];
  }

  async prepare(key: string, parent: string | null, options?: SnapshotOptions): Promise<readonly Mount[]> {
    const sizeBytes = this.#limitOf(options);
    if (parent !== null) await this.#snapshots.parent(parent);
    const record: SnapshotRecord = { kind: 'active', parent, link: TREE, lower: [] };
    await this.#snapshots.create(key, record, async (directory) => {
      const tree = join(directory, TREE);
      if (sizeBytes > 0) await this.#quotas.make(tree, { sizeBytes, mode: 0o755 });
      else await mkdir(tree, { mode: 0o755 });
      await chmod(tree, 0o755);
      if (parent !== null) await this.#copyOf(parent, tree);
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

  get limits(): KeptLimits | null {
    return limitsBy(this.#quotas.limits, async (key) => Promise.resolve(this.#treeOf(key)));
  }

  async isLimited(key: string): Promise<boolean> {
    const { link } = await this.#snapshots.get(key);
    return link !== '' && (await this.#quotas.usage(this.#treeOf(key))) !== null;
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

  async usage(key: string, except: readonly string[] = []): Promise<SnapshotUsage> {
    const { link } = await this.#snapshots.get(key);
    return link === '' ? { sizeBytes: 0, inodes: 0 } : measureTree(this.#treeOf(key), except);
  }

  async examine(key: string): Promise<string | null> {
    const record = await this.#snapshots.examine(key);
    if (typeof record === 'string') return record;
    const isThere = await stat(this.#treeOf(key)).then(
      (info) => info.isDirectory(),
      () => false,
    );
    return isThere ? null : 'its files are missing';
  }

  async replace(key: string, name: string): Promise<void> {
    await this.#snapshots.replace(key, name, await this.#snapshots.get(key));
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

  async #copyOf(parent: string, tree: string): Promise<void> {
    try {
      await this.#copyTree(this.#treeOf(parent), tree);
    } catch (error) {
      // Gone since it was looked at, whatever the copying says of that.
      await this.#snapshots.parent(parent);
      throw error;
    }
  }

  #mountsOf(key: string, record: SnapshotRecord): readonly Mount[] {
    const source = this.#treeOf(record.kind === 'view' && record.parent !== null ? record.parent : key);
    return [{ type: 'bind', source, options: ['bind', record.kind === 'active' ? 'rw' : 'ro'] }];
  }

  /** Bytes that a new snapshot is held to; 0: none. InvalidArgumentError where it cannot be. */
  #limitOf(options: SnapshotOptions | undefined): number {
    if (options === undefined) return 0;
    const sizeBytes = options.sizeBytes ?? this.#settings.sizeBytes;
    const { obstacle } = this.#quotas;
    if (obstacle === null || (options.sizeBytes === null && sizeBytes === 0)) return sizeBytes;
    throw new InvalidArgumentError(`${NOT_SUPPORTED}: ${obstacle}`);
  }

  #treeOf(key: string): string {
    return join(this.#snapshots.pathOf(key), TREE);
  }
}
