/**
 * Snapshots on overlayfs.
 *
 * ```
 * <root>/l/…                   the snapshots' own files, in overlay's form (own-files.ts)
 * <root>/<snapshot>/diff       symlink to those of this one
 * <root>/<snapshot>/work       overlay's work directory, while the snapshot is active and has no limit
 * ```
 *
 * A whiteout is a character device 0:0; an opaque directory has the xattr `trusted.overlay.opaque=y`
 * (Documentation/filesystems/overlayfs.rst).
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { Mount } from '../../oci/mount.ts';
import type {
  BareLayerDriver,
  DescribableDriver,
  LimitingDriver,
  SnapshotInfo,
  SnapshotOptions,
  SnapshotUsage,
} from '../driver.ts';
import type { KeptLimits, MendableDriver, RelimitableDriver, Stray } from '../mending.ts';
import { limitsBy } from '../quota/limits.ts';
import { NoQuotas } from '../quota/none.ts';
import type { DirectoryQuotas } from '../quota/types.ts';
import { deleteHere, SnapshotDirectory, type DeleteTree, type SnapshotRecord } from '../snapshot-directory.ts';
import { measureTree } from '../tree-usage.ts';
import { parseOverlay2Options, type Overlay2Settings } from './options.ts';
import { isLimited, lettersOf, LINKS_DIRECTORY, newLink, OwnFiles } from './own-files.ts';
import type { OverlaySupport } from './probe.ts';

/** Docker's limit of directories below a snapshot; the kernel itself stops at 500. */
const MAX_DEPTH = 128;

/** Options of {@link Overlay2Driver.open}. */
export interface Overlay2Options {
  /** Directory of the driver alone, such as `<data root>/overlay2`. */
  readonly root: string;
  /** What the probe found out about this kernel and file system. */
  readonly support: OverlaySupport;
  /** `--storage-opt` words, `key=value`. */
  readonly storageOptions?: readonly string[];
  /** What can bound a container here; nothing unless given. */
  readonly quotas?: DirectoryQuotas;
  /** Deletes a layer's files off the main thread; on it unless given. */
  readonly deleteTree?: DeleteTree;
}

export class Overlay2Driver
  implements BareLayerDriver, DescribableDriver, LimitingDriver, MendableDriver, RelimitableDriver
{
  readonly name = 'overlay2';
  readonly #snapshots: SnapshotDirectory;
  readonly #files: OwnFiles;
  readonly #support: OverlaySupport;
  readonly #settings: Overlay2Settings;
  readonly #quotas: DirectoryQuotas;
  /** Of snapshots that were asked for it: an inspect must not read a file a layer, each time. */
  readonly #described = new Map<string, { readonly lower: string; readonly work: string }>();

  private constructor(options: Overlay2Options, settings: Overlay2Settings) {
    this.#support = options.support;
    this.#settings = settings;
    this.#quotas = options.quotas ?? new NoQuotas('no quotas were looked for');
    this.#files = new OwnFiles(options.root, this.#quotas);
    this.#snapshots = new SnapshotDirectory(
      options.root,
      {
        discard: async (at, deleteTree) => this.#discard(at, deleteTree),
        deleteLayer: options.deleteTree ?? deleteHere,
      },
      [LINKS_DIRECTORY],
    );
  }

  /** Opens the driver's directory and takes away what a killed daemon left unfinished. */
  static async open(options: Overlay2Options): Promise<Overlay2Driver> {
    const settings = parseOverlay2Options(options.storageOptions ?? []);
    const driver = new Overlay2Driver(options, settings);
    const { obstacle } = driver.#quotas;
    if (settings.sizeBytes > 0 && obstacle !== null) {
      throw new InvalidArgumentError(
        `Storage option overlay2.size not supported. Filesystem does not support Project Quota: ${obstacle}`,
      );
    }
    await mkdir(driver.#files.directory, { recursive: true, mode: 0o710 });
    await driver.#snapshots.open();
    await driver.#dropStrayFiles();
    return driver;
  }

  get root(): string {
    return this.#snapshots.root;
  }

  status(): readonly (readonly [string, string])[] {
    return [
      ['Backing Filesystem', this.#support.backingFilesystem],
      ['Supports d_type', 'true'],
      ['Using metacopy', 'false'],
      ['Native Overlay Diff', 'true'],
      ['userxattr', String(this.#support.mountOptions.includes('userxattr'))],
    ];
  }

  async prepare(key: string, parent: string | null, options?: SnapshotOptions): Promise<readonly Mount[]> {
    const sizeBytes = this.#limitOf(options);
    const link = newLink({ limited: sizeBytes > 0 });
    const record: SnapshotRecord = { kind: 'active', parent, link, lower: await this.#lowerOf(parent) };
    await this.#snapshots.create(key, record, async (directory) => this.#files.make(link, directory, sizeBytes));
    return this.#mountsOf(key, record);
  }

  async view(key: string, parent: string): Promise<readonly Mount[]> {
    const record: SnapshotRecord = { kind: 'view', parent, link: '', lower: await this.#lowerOf(parent) };
    await this.#snapshots.create(key, record, async () => {});
    return this.#mountsOf(key, record);
  }

  async mounts(key: string): Promise<readonly Mount[]> {
    return this.#mountsOf(key, await this.#snapshots.get(key));
  }

  async layerRoot(key: string): Promise<{ readonly path: string; readonly whiteouts: 'overlay' }> {
    const record = await this.#snapshots.get(key);
    return { path: this.#files.pathOf(record.link), whiteouts: 'overlay' };
  }

  async parentRoots(key: string): Promise<readonly string[]> {
    const { lower } = await this.#snapshots.get(key);
    return lower.map((link) => this.#files.pathOf(link));
  }

  async adopt(key: string, parent: string): Promise<void> {
    this.#described.delete(key);
    const record = await this.#snapshots.get(key);
    await this.#snapshots.adopt(key, parent, { ...record, parent, lower: await this.#lowerOf(parent) });
  }

  get limits(): KeptLimits | null {
    return limitsBy(this.#quotas.limits, async (key) => {
      const { link } = await this.#snapshots.get(key);
      return this.#files.pathOf(lettersOf(link));
    });
  }

  async isLimited(key: string): Promise<boolean> {
    return isLimited((await this.#snapshots.get(key)).link);
  }

  async commit(key: string, name: string): Promise<void> {
    this.#described.delete(key);
    await this.#snapshots.commit(key, name);
    await this.#dropWork(name);
  }

  async remove(key: string): Promise<void> {
    this.#described.delete(key);
    await this.#snapshots.remove(key);
  }

  async stat(key: string): Promise<SnapshotInfo | null> {
    const record = await this.#snapshots.find(key);
    return record === null ? null : { key, kind: record.kind, parent: record.parent };
  }

  async usage(key: string, except: readonly string[] = []): Promise<SnapshotUsage> {
    const { link } = await this.#snapshots.get(key);
    return link === '' ? { sizeBytes: 0, inodes: 0 } : measureTree(this.#files.pathOf(link), except);
  }

  async examine(key: string): Promise<string | null> {
    const record = await this.#snapshots.examine(key);
    if (typeof record === 'string') return record;
    const leadsTo = this.#files.linkOf(this.#snapshots.pathOf(key));
    if (leadsTo !== record.link) return 'the link to its files is missing';
    if (!(await isDirectory(this.#files.pathOf(record.link)))) return 'its files are missing';
    const parent = record.parent === null ? null : await this.#snapshots.find(record.parent).catch(() => null);
    // What is wrong with the parent is told of the parent.
    const expected = parent === null ? record.lower : [parent.link, ...parent.lower];
    return expected.join() === record.lower.join() ? null : 'it does not know the files of its parents';
  }

  /**
   * Children know their parents' files by the letters of the link, written into each of them: the new files take the
   * letters over.
   */
  async replace(key: string, name: string): Promise<void> {
    const fresh = await this.#snapshots.get(key);
    const link = (await this.#lettersKnown(name)) ?? fresh.link;
    const [own, place] = [this.#snapshots.pathOf(key), this.#snapshots.pathOf(name)];
    const old = this.#files.linkOf(place);
    await this.#files.unlink(place);
    if (old !== null && old !== fresh.link) await this.#discardFiles(lettersOf(old));
    if (link !== fresh.link) {
      await this.#discardFiles(lettersOf(link));
      await this.#files.move(fresh.link, link, own);
    }
    await this.#snapshots.replace(key, name, { ...fresh, link });
    await rm(join(place, 'work'), { recursive: true, force: true });
  }

  async strays(): Promise<readonly Stray[]> {
    // Files first: one that is made after this look is not taken for one without a snapshot.
    const entries = await readdir(this.#files.directory);
    const known = new Set<string>();
    for await (const { record } of this.#snapshots.records())
      for (const one of [record.link, ...record.lower]) known.add(lettersOf(one));
    const files = entries
      .filter((entry) => !known.has(entry))
      .map((entry) => ({ path: this.#files.pathOf(entry), key: null }));
    return [...(await this.#snapshots.strays()), ...files];
  }

  async dropStray({ path, key }: Stray): Promise<boolean> {
    if (!(await this.strays()).some((stray) => stray.path === path && stray.key === key)) return false;
    if (key === null) await this.#discardFiles(basename(path));
    else await this.#snapshots.discard(path);
    return true;
  }

  walk(): AsyncIterable<SnapshotInfo> {
    return this.#snapshots.walk();
  }

  async describe(key: string, mountPoint: string | null): Promise<Readonly<Record<string, string>>> {
    const own = this.#snapshots.pathOf(key);
    let known = this.#described.get(key);
    if (known === undefined) this.#described.set(key, (known = await this.#directoriesOf(key)));
    return {
      ...(known.lower !== '' && { LowerDir: known.lower }),
      MergedDir: mountPoint ?? join(own, 'merged'),
      UpperDir: join(own, 'diff'),
      WorkDir: known.work,
    };
  }

  /** The parents' trees, nearest first, as `LowerDir` shows them, and the work directory. */
  async #directoriesOf(key: string): Promise<{ readonly lower: string; readonly work: string }> {
    const record = await this.#snapshots.get(key);
    const paths: string[] = [];
    for (let { parent } = record; parent !== null;) {
      paths.push(join(this.#snapshots.pathOf(parent), 'diff'));
      ({ parent } = await this.#snapshots.get(parent));
    }
    return { lower: paths.join(':'), work: this.#files.workOf(record.link, this.#snapshots.pathOf(key)) };
  }

  #mountsOf(key: string, record: SnapshotRecord): readonly Mount[] {
    const lower = record.lower.map((link) => this.#files.pathOf(link));
    const [only] = lower;
    const writable = record.kind === 'active';
    // overlayfs wants something below: where there is nothing, the snapshot's own directory is the whole tree.
    if (writable && lower.length === 0) return [bind(this.#files.pathOf(record.link), 'rw')];
    if (!writable) {
      const own = record.link === '' ? [] : [this.#files.pathOf(record.link)];
      const all = [...own, ...lower];
      if (all.length === 1) return [bind(own[0] ?? only ?? '', 'ro')];
      return [
        {
          type: 'overlay',
          source: 'overlay',
          options: ['ro', `lowerdir=${all.join(':')}`, ...this.#support.mountOptions],
        },
      ];
    }
    const options = [
      ...this.#support.mountOptions,
      `lowerdir=${lower.join(':')}`,
      `upperdir=${this.#files.pathOf(record.link)}`,
      `workdir=${this.#files.workOf(record.link, this.#snapshots.pathOf(key))}`,
    ];
    return [{ type: 'overlay', source: 'overlay', options }];
  }

  async #lowerOf(parent: string | null): Promise<readonly string[]> {
    if (parent === null) return [];
    const { link, lower } = await this.#snapshots.parent(parent);
    if (lower.length + 1 > MAX_DEPTH) throw new InvalidArgumentError('max depth exceeded');
    return [link, ...lower];
  }

  /** The letters under which children look for a snapshot's files, or its own description has them. */
  async #lettersKnown(name: string): Promise<string | null> {
    for await (const { record } of this.#snapshots.records()) {
      if (record.parent === name && record.lower[0] !== undefined) return record.lower[0];
    }
    return (await this.#snapshots.find(name).catch(() => null))?.link ?? null;
  }

  /**
   * Takes away files that were made just before their snapshot when the daemon was killed. Descriptions are read only
   * where there are more files than snapshots: a start must not cost more with every layer.
   */
  async #dropStrayFiles(): Promise<void> {
    const { root } = this.#snapshots;
    const [links, entries] = await Promise.all([readdir(this.#files.directory), readdir(root)]);
    if (links.length < entries.length) return;
    for (const { path, key } of await this.strays()) if (key === null) await this.#discardFiles(basename(path));
  }

  /** Of entries of `l`, with the limits on them. */
  async #discardFiles(letters: string): Promise<void> {
    const path = this.#files.pathOf(letters);
    await this.#files.unlimit(path);
    await this.#snapshots.discardFiles(path);
  }

  async #discard(directory: string, deleteTree: DeleteTree): Promise<void> {
    const link = this.#files.linkOf(directory);
    if (link !== null) await this.#files.remove(link, deleteTree);
  }

  async #dropWork(key: string): Promise<void> {
    const { link } = await this.#snapshots.get(key);
    await rm(this.#files.workOf(link, this.#snapshots.pathOf(key)), { recursive: true, force: true });
  }

  /** Bytes that a new snapshot is held to; 0: none. InvalidArgumentError in Docker's words where it cannot be. */
  #limitOf(options: SnapshotOptions | undefined): number {
    if (options === undefined) return 0;
    const sizeBytes = options.sizeBytes ?? this.#settings.sizeBytes;
    const { obstacle } = this.#quotas;
    if (obstacle === null || (options.sizeBytes === null && sizeBytes === 0)) return sizeBytes;
    throw new InvalidArgumentError(
      `--storage-opt is supported only for overlay over xfs with 'pquota' mount option: ${obstacle}`,
    );
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
}

function bind(source: string, mode: 'ro' | 'rw'): Mount {
  return { type: 'bind', source, options: ['bind', mode] };
}
