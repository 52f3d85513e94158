/**
 * Snapshots on overlayfs.
 *
 * ```
 * <root>/l/<8 letters>/        a snapshot's own files, in overlay's form; short, since mount(2) takes one page of options
 * <root>/<snapshot>/diff       symlink to it
 * <root>/<snapshot>/work       overlay's work directory, while the snapshot is active
 * ```
 *
 * A whiteout is a character device 0:0; an opaque directory has the xattr `trusted.overlay.opaque=y`
 * (Documentation/filesystems/overlayfs.rst).
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readlink, rm, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errnoCodeOf, InvalidArgumentError } from '../../../base/errors.ts';
import type { Mount } from '../../oci/mount.ts';
import type { BareLayerDriver, DescribableDriver, SnapshotInfo, SnapshotUsage } from '../driver.ts';
import { SnapshotDirectory, type SnapshotRecord } from '../snapshot-directory.ts';
import { measureTree } from '../tree-usage.ts';
import type { OverlaySupport } from './probe.ts';

/** Holds the snapshots' own files. */
export const LINKS_DIRECTORY = 'l';
const LINK_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const LINK_LENGTH = 8;
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
}

export class Overlay2Driver implements BareLayerDriver, DescribableDriver {
  readonly name = 'overlay2';
  readonly #snapshots: SnapshotDirectory;
  readonly #support: OverlaySupport;

  private constructor(options: Overlay2Options) {
    this.#support = options.support;
    this.#snapshots = new SnapshotDirectory(options.root, { discard: async (at) => this.#discard(at) }, [
      LINKS_DIRECTORY,
    ]);
  }

  /** Opens the driver's directory and takes away what a killed daemon left unfinished. */
  static async open(options: Overlay2Options): Promise<Overlay2Driver> {
    refuseOptions(options.storageOptions ?? []);
    const driver = new Overlay2Driver(options);
    await mkdir(join(options.root, LINKS_DIRECTORY), { recursive: true, mode: 0o710 });
    await driver.#snapshots.open();
    return driver;
  }

  status(): readonly (readonly [string, string])[] {
    return [
      ['Backing Filesystem', this.#support.backingFilesystem],
      ['Supports d_type', 'true'],
      ['Using metacopy', 'false'],
      ['Native Overlay Diff', 'true'],
      ['userxattr', 'false'],
    ];
  }

  async prepare(key: string, parent: string | null): Promise<readonly Mount[]> {
    const record: SnapshotRecord = { kind: 'active', parent, link: newLink(), lower: await this.#lowerOf(parent) };
    await this.#snapshots.create(key, record, async (directory) => {
      // In this order: should the letters be taken, the undo must not find the other snapshot's files behind `diff`.
      await mkdir(this.#linkPath(record.link), { mode: 0o755 });
      await symlink(join('..', LINKS_DIRECTORY, record.link), join(directory, 'diff'));
      await mkdir(join(directory, 'work'), { mode: 0o700 });
    });
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
    return { path: this.#linkPath(record.link), whiteouts: 'overlay' };
  }

  async adopt(key: string, parent: string): Promise<void> {
    const record = await this.#snapshots.get(key);
    await this.#snapshots.adopt(key, parent, { ...record, parent, lower: await this.#lowerOf(parent) });
  }

  async commit(key: string, name: string): Promise<void> {
    await this.#snapshots.commit(key, name);
    await rm(join(this.#snapshots.pathOf(name), 'work'), { recursive: true, force: true });
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
    return link === '' ? { sizeBytes: 0, inodes: 0 } : measureTree(this.#linkPath(link));
  }

  walk(): AsyncIterable<SnapshotInfo> {
    return this.#snapshots.walk();
  }

  async describe(key: string, mountPoint: string | null): Promise<Readonly<Record<string, string>>> {
    const own = this.#snapshots.pathOf(key);
    const lower: string[] = [];
    for (let parent = (await this.#snapshots.get(key)).parent; parent !== null;) {
      lower.push(join(this.#snapshots.pathOf(parent), 'diff'));
      parent = (await this.#snapshots.get(parent)).parent;
    }
    return {
      ...(lower.length > 0 && { LowerDir: lower.join(':') }),
      MergedDir: mountPoint ?? join(own, 'merged'),
      UpperDir: join(own, 'diff'),
      WorkDir: join(own, 'work'),
    };
  }

  #mountsOf(key: string, record: SnapshotRecord): readonly Mount[] {
    const lower = record.lower.map((link) => this.#linkPath(link));
    const [only] = lower;
    const writable = record.kind === 'active';
    // overlayfs wants something below: where there is nothing, the snapshot's own directory is the whole tree.
    if (writable && lower.length === 0) return [bind(this.#linkPath(record.link), 'rw')];
    if (!writable) {
      const own = record.link === '' ? [] : [this.#linkPath(record.link)];
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
      `upperdir=${this.#linkPath(record.link)}`,
      `workdir=${join(this.#snapshots.pathOf(key), 'work')}`,
    ];
    return [{ type: 'overlay', source: 'overlay', options }];
  }

  async #lowerOf(parent: string | null): Promise<readonly string[]> {
    if (parent === null) return [];
    const { link, lower } = await this.#snapshots.parent(parent);
    if (lower.length + 1 > MAX_DEPTH) throw new InvalidArgumentError('max depth exceeded');
    return [link, ...lower];
  }

  #linkPath(link: string): string {
    return join(this.#snapshots.root, LINKS_DIRECTORY, link);
  }

  async #discard(directory: string): Promise<void> {
    try {
      const link = basename(await readlink(join(directory, 'diff')));
      await rm(this.#linkPath(link), { recursive: true, force: true });
    } catch (error) {
      if (errnoCodeOf(error) !== 'ENOENT') throw error;
    }
  }
}

function bind(source: string, mode: 'ro' | 'rw'): Mount {
  return { type: 'bind', source, options: ['bind', mode] };
}

/** 40 random bits: with 100,000 snapshots the chance that a new one meets an old one (and fails) is 1 in 10 million. */
function newLink(): string {
  return [...randomBytes(LINK_LENGTH)].map((byte) => LINK_ALPHABET[byte & 31]).join('');
}

/** Options that dockerd knows are refused by name, others as unknown: nothing is dropped silently. */
function refuseOptions(options: readonly string[]): void {
  for (const option of options) {
    const equals = option.indexOf('=');
    if (equals < 0) throw new InvalidArgumentError(`unable to parse storage option "${option}": expected key=value`);
    const key = option.slice(0, equals).toLowerCase();
    switch (key) {
      case 'overlay2.override_kernel_check':
        break; // Deprecated in Docker too, where it does nothing.
      case 'overlay2.size':
        throw new InvalidArgumentError('storage option overlay2.size is not supported: this version sets no quotas');
      default:
        throw new InvalidArgumentError(`overlay2: unknown option ${key}`);
    }
  }
}
