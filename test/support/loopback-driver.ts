/**
 * A driver whose snapshots are file systems on block devices of their own, as devicemapper's are: ext4 on loop devices. It
 * is there to try what stands above such drivers on any machine; each snapshot is copied whole.
 *
 * ```
 * <root>/base.img                 an empty file system
 * <root>/<snapshot>/disk.img      the snapshot's
 * ```
 */
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { InternalError } from '../../src/base/errors.ts';
import { createBlockCalls } from '../../src/engine/kernel/linux/block.ts';
import type { AttachedLoop } from '../../src/engine/kernel/block.ts';
import type { MountCalls } from '../../src/engine/kernel/kernel.ts';
import type { Mount } from '../../src/engine/oci/mount.ts';
import type { HeldDriver, SnapshotInfo, SnapshotUsage } from '../../src/engine/storage/driver.ts';
import { SnapshotDirectory, type SnapshotRecord } from '../../src/engine/storage/snapshot-directory.ts';

const IMAGE = 'disk.img';
const SIZE = '96M';
/** Enough inodes for the suites; blocks, and so holes, as large as elsewhere. */
const FORMATTING = [
  '-q',
  '-F',
  '-m',
  '0',
  '-b',
  '4096',
  '-O',
  '^has_journal',
  '-N',
  '8192',
  '-E',
  'nodiscard,lazy_itable_init=1',
];

const run = promisify(execFile);
const block = createBlockCalls();

export class LoopbackDriver implements HeldDriver {
  readonly name = 'loopback';
  readonly #snapshots: SnapshotDirectory;
  readonly #base: string;
  readonly #held = new Map<string, { readonly loop: AttachedLoop; count: number }>();

  get root(): string {
    return this.#snapshots.root;
  }

  private constructor(root: string) {
    this.#base = join(root, 'base.img');
    this.#snapshots = new SnapshotDirectory(root, { discard: async () => {}, deleteLayer: removeTree }, ['base.img']);
  }

  static async open(root: string, mounts: MountCalls): Promise<LoopbackDriver> {
    const driver = new LoopbackDriver(root);
    await driver.#snapshots.open();
    if (!existsSync(driver.#base)) await makeBase(driver.#base, mounts);
    return driver;
  }

  /** Keys of the snapshots that have a device. */
  get devices(): readonly string[] {
    return [...this.#held.keys()].sort();
  }

  status(): readonly (readonly [string, string])[] {
    return [];
  }

  async prepare(key: string, parent: string | null): Promise<readonly Mount[]> {
    if (parent !== null) await this.#snapshots.parent(parent);
    const record: SnapshotRecord = { kind: 'active', parent, link: IMAGE, lower: [] };
    await this.#snapshots.create(key, record, async (directory) => {
      const from = parent === null ? this.#base : this.#imageOf(parent);
      await run('cp', ['--sparse=always', '--reflink=auto', from, join(directory, IMAGE)]);
    });
    return this.#hold(key, record);
  }

  async view(key: string, parent: string): Promise<readonly Mount[]> {
    await this.#snapshots.parent(parent);
    const record: SnapshotRecord = { kind: 'view', parent, link: '', lower: [] };
    await this.#snapshots.create(key, record, async () => {});
    return this.#hold(key, record);
  }

  async mounts(key: string): Promise<readonly Mount[]> {
    return this.#hold(key, await this.#snapshots.get(key));
  }

  async release(key: string): Promise<void> {
    const held = this.#held.get(key);
    if (held !== undefined && --held.count === 0) this.#switchOff(key);
    await Promise.resolve();
  }

  async commit(key: string, name: string): Promise<void> {
    if (this.#held.has(key)) throw new InternalError(`snapshot ${key} is committed while it is held`);
    await this.#snapshots.commit(key, name);
  }

  async remove(key: string): Promise<void> {
    await this.#snapshots.remove(key);
    this.#switchOff(key);
  }

  async stat(key: string): Promise<SnapshotInfo | null> {
    const record = await this.#snapshots.find(key);
    return record === null ? null : { key, kind: record.kind, parent: record.parent };
  }

  async usage(key: string): Promise<SnapshotUsage> {
    await this.#snapshots.get(key);
    return { sizeBytes: 0, inodes: 0 };
  }

  walk(): AsyncIterable<SnapshotInfo> {
    return this.#snapshots.walk();
  }

  async #hold(key: string, record: SnapshotRecord): Promise<readonly Mount[]> {
    let held = this.#held.get(key);
    if (held === undefined) {
      const image = this.#imageOf(record.kind === 'view' ? (record.parent ?? key) : key);
      held = { loop: await block.attach(image, { directIo: false }), count: 0 };
      this.#held.set(key, held);
    }
    held.count += 1;
    return [{ type: 'ext4', source: held.loop.path, options: [record.kind === 'active' ? 'rw' : 'ro'] }];
  }

  /** Whatever still has it mounted keeps the device until then. */
  #switchOff(key: string): void {
    this.#held.get(key)?.loop[Symbol.dispose]();
    this.#held.delete(key);
  }

  #imageOf(key: string): string {
    return join(this.#snapshots.pathOf(key), IMAGE);
  }
}

async function makeBase(path: string, mounts: MountCalls): Promise<void> {
  await run('mkfs.ext4', [...FORMATTING, path, SIZE]);
  const target = mkdtempSync(join(tmpdir(), 'loopback-base-'));
  using loop = await block.attach(path, { directIo: false });
  mounts.mount({ type: 'ext4', source: loop.path, options: [] }, target);
  try {
    // A driver's empty tree is empty.
    rmdirSync(join(target, 'lost+found'));
    chmodSync(target, 0o755);
  } finally {
    mounts.unmount(target);
    rmdirSync(target);
  }
}

async function removeTree(path: string): Promise<void> {
  rmSync(path, { recursive: true, force: true });
  await Promise.resolve();
}
