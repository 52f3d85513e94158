/**
 * A thin pool's work done by files and loop devices, for kernels without device mapper: devices are real and have real file
 * systems, but a snapshot is a copy. Whoever is killed leaves what is mounted, as with device mapper, and nothing else.
 *
 * ```
 * <directory>/<device id>          what the device holds, sparse
 * <directory>/named/<name>         symlink to it: the name that it was last active under
 * <directory>/transaction          the transaction id
 * ```
 */
import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  truncateSync,
} from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { AttachedLoop } from '../../src/engine/kernel/block.ts';
import { KernelError } from '../../src/engine/kernel/kernel.ts';
import { createBlockCalls } from '../../src/engine/kernel/linux/block.ts';
import type { ThinPool, ThinPoolStatus } from '../../src/engine/storage/devicemapper/thin-pool.ts';

const SPACE = { usedBytes: 0, totalBytes: 2 ** 40 };
const run = promisify(execFile);
const block = createBlockCalls();

export class LoopThinPool implements ThinPool {
  readonly name = 'docker-pool';
  readonly #directory: string;
  readonly #attached = new Map<string, AttachedLoop>();

  constructor(directory: string) {
    mkdirSync(join(directory, 'named'), { recursive: true });
    this.#directory = realpathSync(directory);
  }

  async status(): Promise<ThinPoolStatus> {
    const transactionId = this.#transactionId;
    const rest = { blockSizeBytes: 65_536, mode: 'rw', needsCheck: false } as const;
    return await Promise.resolve({ transactionId, data: SPACE, metadata: SPACE, ...rest });
  }

  async create(deviceId: number): Promise<void> {
    if (existsSync(this.#file(deviceId))) throw fault('EEXIST');
    await writeFile(this.#file(deviceId), '');
  }

  async snapshot(deviceId: number, originId: number): Promise<void> {
    if (existsSync(this.#file(deviceId))) throw fault('EEXIST');
    if (!existsSync(this.#file(originId))) throw fault('ENODATA');
    await run('cp', ['--sparse=always', '--reflink=auto', this.#file(originId), this.#file(deviceId)]);
  }

  async delete(deviceId: number): Promise<void> {
    if (this.#deviceOf(this.#file(deviceId)) !== null) throw fault('EBUSY');
    await rm(this.#file(deviceId), { force: true });
  }

  async activate(deviceId: number, name: string, sizeBytes: number): Promise<string> {
    const file = this.#file(deviceId);
    if (!existsSync(file)) throw fault('ENODATA');
    const known = this.#deviceOf(file);
    if (known !== null) return known;
    truncateSync(file, sizeBytes);
    const link = join(this.#directory, 'named', name);
    rmSync(link, { force: true });
    symlinkSync(file, link);
    const loop = await block.attach(file, { directIo: false });
    this.#attached.set(name, loop);
    return loop.path;
  }

  async deactivate(name: string, { deferred }: { readonly deferred: boolean }): Promise<void> {
    if (!deferred && ((await this.openCount(name)) ?? 0) > 0) throw fault('EBUSY');
    this.#attached.get(name)?.[Symbol.dispose]();
    this.#attached.delete(name);
    // Who looks at new devices (udev, blkid) may have it open for a moment.
    for (let tries = 0; tries < 100 && (await this.openCount(name)) === 0; tries += 1)
      await run('udevadm', ['settle']).catch(() => run('true'));
  }

  async openCount(name: string): Promise<number | null> {
    const link = join(this.#directory, 'named', name);
    const path = existsSync(link) ? this.#deviceOf(readlinkSync(link)) : null;
    return await Promise.resolve(path === null ? null : mountsOf(path));
  }

  async active(prefix: string): Promise<readonly string[]> {
    const found: string[] = [];
    for (const name of readdirSync(join(this.#directory, 'named'))) {
      if (name.startsWith(prefix) && (await this.openCount(name)) !== null) found.push(name);
    }
    return found;
  }

  async setTransactionId(from: bigint, to: bigint): Promise<void> {
    if (this.#transactionId !== from) throw fault('EINVAL');
    await writeFile(join(this.#directory, 'transaction'), String(to));
  }

  get #transactionId(): bigint {
    const file = join(this.#directory, 'transaction');
    return existsSync(file) ? BigInt(readFileSync(file, 'utf8')) : 0n;
  }

  #file(deviceId: number): string {
    return join(this.#directory, String(deviceId));
  }

  /** The loop device that has the file. */
  #deviceOf(file: string): string | null {
    for (const device of readdirSync('/sys/block')) {
      if (device.startsWith('loop') && backingFileOf(device) === file) return `/dev/${basename(device)}`;
    }
    return null;
  }
}

function backingFileOf(device: string): string | null {
  try {
    return readFileSync(`/sys/block/${device}/loop/backing_file`, 'utf8').trim();
  } catch {
    return null;
  }
}

function mountsOf(path: string): number {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return mounts.filter((line) => line.split(' - ')[1]?.split(' ')[1] === path).length;
}

function fault(errno: string): KernelError {
  return new KernelError('dm', errno, null);
}
