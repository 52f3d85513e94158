/**
 * A thin pool in memory that remembers what it was asked and fails on demand, and file systems on its devices.
 *
 * ```ts
 * const pool = new FakeThinPool();
 * pool.failAt(3, 'EIO');                      // the third call from now fails
 * pool.open('docker-1:2-3-7', 1);             // somebody mounts a device
 * pool.watch = async (call, when) => …;       // around each call that changes something
 * const image = pool.copy();                  // as a power cut would leave it
 * ```
 */
import { KernelError } from '../../src/engine/kernel/kernel.ts';
import type {
  DeviceFileSystem,
  FileSystemTools,
  FoundFileSystem,
} from '../../src/engine/storage/devicemapper/file-systems.ts';
import type { ThinPool, ThinPoolStatus } from '../../src/engine/storage/devicemapper/thin-pool.ts';

interface ActiveDevice {
  readonly deviceId: number;
  readonly sizeBytes: number;
  openCount: number;
  isDeferred: boolean;
}

const BLOCK_BYTES = 65_536;

export class FakeThinPool implements ThinPool {
  readonly name = 'docker-pool';
  /** What each device holds: its file system's UUID, and how large that is. */
  readonly devices = new Map<number, { content: (FoundFileSystem & { sizeBytes: number }) | null }>();
  readonly calls: string[] = [];
  transactionId = 0n;
  /** Devices' blocks are not counted: tests say how full it is. */
  data = { usedBytes: 0, totalBytes: 1000 * BLOCK_BYTES };
  metadata = { usedBytes: 0, totalBytes: 100 * 4096 };
  mode: ThinPoolStatus['mode'] = 'rw';
  needsCheck = false;
  watch: ((call: string, when: 'before' | 'after') => Promise<void>) | null = null;
  readonly #active = new Map<string, ActiveDevice>();
  #failure: { after: number; readonly errno: string } | null = null;

  /** The same pool with nothing active, as after a power cut. */
  copy(): FakeThinPool {
    const other = new FakeThinPool();
    for (const [deviceId, { content }] of this.devices) {
      other.devices.set(deviceId, { content: content === null ? null : { ...content } });
    }
    other.transactionId = this.transactionId;
    other.data = { ...this.data };
    return other;
  }

  /** The n-th call from now fails. */
  failAt(n: number, errno: string): void {
    this.#failure = { after: n, errno };
  }

  /** What has not failed so far does not. */
  heal(): void {
    this.#failure = null;
  }

  /** True while the failure has not come. */
  get pendingFailure(): boolean {
    return this.#failure !== null;
  }

  /** Changes how often a device is open. */
  open(name: string, change: 1 | -1): void {
    const device = this.#active.get(name);
    if (device === undefined) throw new Error(`${name} is not active`);
    device.openCount += change;
    if (device.openCount === 0 && device.isDeferred) this.#active.delete(name);
  }

  /** Names of all that is active. */
  get activeNames(): readonly string[] {
    return [...this.#active.keys()].sort();
  }

  /** What is behind a path that `activate` gave. */
  at(path: string): { readonly sizeBytes: number; content: (FoundFileSystem & { sizeBytes: number }) | null } {
    const device = this.#active.get(path.slice('/dev/fake/'.length));
    const thin = device === undefined ? undefined : this.devices.get(device.deviceId);
    if (device === undefined || thin === undefined) throw new KernelError('open', 'ENXIO', path);
    return {
      sizeBytes: device.sizeBytes,
      get content() {
        return thin.content;
      },
      set content(content) {
        thin.content = content;
      },
    };
  }

  async status(): Promise<ThinPoolStatus> {
    await this.#called('status');
    const { transactionId, data, metadata, mode, needsCheck } = this;
    return { transactionId, data, metadata, blockSizeBytes: BLOCK_BYTES, mode, needsCheck };
  }

  async create(deviceId: number): Promise<void> {
    await this.#changing(`create ${String(deviceId)}`, () => this.#make(deviceId, null));
  }

  async snapshot(deviceId: number, originId: number, originName: string | null): Promise<void> {
    await this.#changing(`snapshot ${String(deviceId)} ${String(originId)}`, () => {
      const isActive = [...this.#active.values()].some((device) => device.deviceId === originId);
      if (originName !== null && !this.#active.has(originName)) throw fault('ENXIO');
      if (isActive && originName === null) throw new Error('an active origin must be suspended');
      const origin = this.devices.get(originId);
      if (origin === undefined) throw fault('ENODATA');
      this.#make(deviceId, origin.content);
    });
  }

  async delete(deviceId: number): Promise<void> {
    await this.#changing(`delete ${String(deviceId)}`, () => {
      if ([...this.#active.values()].some((device) => device.deviceId === deviceId)) throw fault('EBUSY');
      this.devices.delete(deviceId);
    });
  }

  async activate(deviceId: number, name: string, sizeBytes: number): Promise<string> {
    await this.#changing(`activate ${String(deviceId)}`, () => {
      let known = this.#active.get(name);
      if (known !== undefined && known.deviceId !== deviceId) {
        if (known.openCount > 0) throw fault('EBUSY');
        known = undefined;
      }
      if (!this.devices.has(deviceId)) throw fault('ENODATA');
      if (known === undefined) this.#active.set(name, { deviceId, sizeBytes, openCount: 0, isDeferred: false });
      else known.isDeferred = false;
    });
    return `/dev/fake/${name}`;
  }

  async deactivate(name: string, { deferred }: { readonly deferred: boolean }): Promise<void> {
    await this.#changing(`deactivate ${name}`, () => {
      const device = this.#active.get(name);
      if (device === undefined) return;
      if (device.openCount > 0 && !deferred) throw fault('EBUSY');
      if (device.openCount > 0) device.isDeferred = true;
      else this.#active.delete(name);
    });
  }

  async openCount(name: string): Promise<number | null> {
    await this.#called('openCount');
    return this.#active.get(name)?.openCount ?? null;
  }

  async active(prefix: string): Promise<readonly string[]> {
    await this.#called('active');
    return this.activeNames.filter((name) => name.startsWith(prefix));
  }

  async setTransactionId(from: bigint, to: bigint): Promise<void> {
    await this.#changing(`transaction ${String(to)}`, () => {
      if (this.transactionId !== from) throw fault('EINVAL');
      this.transactionId = to;
    });
  }

  #make(deviceId: number, content: (FoundFileSystem & { sizeBytes: number }) | null): void {
    if (this.devices.has(deviceId)) throw fault('EEXIST');
    this.devices.set(deviceId, { content: content === null ? null : { ...content } });
  }

  async #changing(call: string, change: () => void): Promise<void> {
    await this.watch?.(call, 'before');
    await this.#called(call);
    change();
    await this.watch?.(call, 'after');
  }

  async #called(call: string): Promise<void> {
    await Promise.resolve();
    this.calls.push(call);
    if (this.#failure === null || --this.#failure.after > 0) return;
    const { errno } = this.#failure;
    this.#failure = null;
    throw fault(errno);
  }
}

function fault(errno: string): KernelError {
  return new KernelError('dm', errno, null);
}

/** File systems on a {@link FakeThinPool}: a UUID and a size. */
export class FakeFileSystems implements FileSystemTools {
  readonly made: string[] = [];
  /** What the next calls fail with. */
  failure: Error | null = null;
  readonly #pool: FakeThinPool;

  constructor(pool: FakeThinPool) {
    this.#pool = pool;
  }

  async preferred(): Promise<DeviceFileSystem> {
    return await Promise.resolve('xfs');
  }

  async make(type: DeviceFileSystem, device: string, words: readonly string[]): Promise<void> {
    await this.#called(`make ${type} ${words.join(' ')}`.trim());
    const at = this.#pool.at(device);
    at.content = { type, uuid: `uuid-${String(this.made.length)}-${String(Math.random())}`, sizeBytes: at.sizeBytes };
  }

  async identify(device: string): Promise<FoundFileSystem | null> {
    return await Promise.resolve(this.#pool.at(device).content);
  }

  async grow(type: DeviceFileSystem, { source }: { readonly source: string }): Promise<void> {
    await this.#called(`grow ${type}`);
    const at = this.#pool.at(source);
    if (at.content !== null) at.content.sizeBytes = at.sizeBytes;
  }

  async clear(): Promise<void> {
    await this.#called('clear');
  }

  async #called(call: string): Promise<void> {
    await Promise.resolve();
    if (this.failure !== null) throw this.failure;
    this.made.push(call);
  }
}
