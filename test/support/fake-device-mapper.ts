/**
 * A kernel's device mapper in memory, as far as thin pools go, with block devices and loop devices below it.
 *
 * ```ts
 * const kernel = new FakeDeviceMapper();
 * kernel.failAt(3, 'EIO');                       // the third call from now that changes something fails
 * kernel.device('docker-pool')!.openCount = 1;
 * ```
 */
import { statSync } from 'node:fs';
import type { AttachedLoop, BlockCalls } from '../../src/engine/kernel/block.ts';
import type {
  BlockDeviceNumber,
  DeviceMapperCalls,
  DeviceTarget,
  MappedDevice,
  TargetsQuestion,
} from '../../src/engine/kernel/device-mapper.ts';
import { KernelError } from '../../src/engine/kernel/kernel.ts';

type Inode = { readonly device: bigint; readonly inode: bigint };
type Mutable<T> = { -readonly [K in keyof T]: T[K] };
export type FakeDevice = Mutable<MappedDevice> & { table: readonly DeviceTarget[] };

/** What a metadata device remembers, also while no pool is active. */
export interface FakePool {
  transactionId: bigint;
  /** Mapped sectors of each thin device. */
  readonly devices: Map<number, number>;
  usedBlocks: number;
  mode: 'rw' | 'ro' | 'out_of_data_space';
  needsCheck: boolean;
}

const LOOP_MAJOR = 7;
const DM_MAJOR = 253;
const SECTOR_BYTES = 512;
const METADATA_BLOCK_BYTES = 4096;

export class FakeDeviceMapper implements DeviceMapperCalls {
  readonly version = '4.47.0';
  readonly calls: string[] = [];
  /** By the number of the metadata device, or the file behind it. */
  readonly pools = new Map<string, FakePool>();
  readonly discarded: string[] = [];
  readonly block: BlockCalls;
  readonly listeners = new Set<() => void>();
  readonly #devices = new Map<string, FakeDevice>();
  readonly #loops = new Map<number, { file: string; inode: Inode; holders: number; bytes: number }>();
  readonly #disks = new Map<string, { number: BlockDeviceNumber; bytes: number }>();
  #nextMinor = 0;
  #failure: { after: number; readonly errno: string } | null = null;

  constructor() {
    this.block = this.#blockCalls();
  }

  /** The n-th call from now that changes something fails. */
  failAt(n: number, errno: string): void {
    this.#failure = { after: n, errno };
  }

  /** True while the failure has not come. */
  get failurePending(): boolean {
    return this.#failure !== null;
  }

  /** A block device that is there, such as `/dev/vdb`. */
  addDisk(path: string, bytes: number): void {
    this.#disks.set(path, { number: { major: 254, minor: this.#disks.size }, bytes });
  }

  device(name: string): FakeDevice | null {
    return this.#devices.get(name) ?? null;
  }

  /** Has a device open until disposed of. */
  open(name: string): Disposable {
    const device = this.#get('open', name);
    device.openCount += 1;
    return {
      [Symbol.dispose]: () => {
        device.openCount -= 1;
        if (device.isDeferred && device.openCount === 0) this.#devices.delete(name);
      },
    };
  }

  /** Files that loop devices have: those that nothing holds are gone. */
  attachedFiles(): readonly string[] {
    this.#clearLoops();
    return [...this.#loops.values()].map(({ file }) => file);
  }

  async list(): Promise<readonly string[]> {
    return Promise.resolve([...this.#devices.keys()]);
  }

  async find(name: string): Promise<MappedDevice | null> {
    const device = this.#devices.get(name);
    return Promise.resolve(device === undefined ? null : { ...device });
  }

  async targets(
    name: string,
    { what }: TargetsQuestion,
  ): Promise<MappedDevice & { readonly targets: readonly DeviceTarget[] }> {
    const device = this.#get('status', name);
    const targets = device.table.map((target) =>
      what === 'table' ? target : { ...target, parameters: this.#statusOf(target) },
    );
    return Promise.resolve({ ...device, targets });
  }

  async create(name: string, table: readonly DeviceTarget[]): Promise<string> {
    this.#note(`create ${name}`);
    if (this.#devices.has(name)) throw new KernelError('dm create', 'EBUSY', name);
    this.#check(name, table);
    const number = { major: DM_MAJOR, minor: this.#nextMinor++ };
    const state = { openCount: 0, isLive: true, isSuspended: false, isDeferred: false };
    this.#devices.set(name, { name, number, ...state, table });
    return Promise.resolve(`/dev/dm-${String(number.minor)}`);
  }

  async replace(name: string, table: readonly DeviceTarget[]): Promise<void> {
    this.#note(`replace ${name}`);
    this.#get('load', name).table = table;
    await Promise.resolve();
  }

  async suspend(name: string): Promise<void> {
    this.#note(`suspend ${name}`);
    this.#get('suspend', name).isSuspended = true;
    await Promise.resolve();
  }

  async resume(name: string): Promise<void> {
    this.#note(`resume ${name}`);
    this.#get('resume', name).isSuspended = false;
    await Promise.resolve();
  }

  async message(name: string, words: string): Promise<string> {
    this.#note(`message ${name} ${words}`);
    const device = this.#get('message', name);
    if (words === '@cancel_deferred_remove') {
      device.isDeferred = false;
      return Promise.resolve('');
    }
    const pool = this.#poolOf(device.table[0]!);
    const refuse = (errno: string): never => {
      throw new KernelError('dm message', errno, name);
    };
    if (pool.mode === 'ro') refuse('ENOTSUP');
    const [verb, first = '', second = ''] = words.split(' ');
    const id = Number(first);
    if (verb === 'create_thin' || verb === 'create_snap') {
      if (pool.devices.has(id)) refuse('EEXIST');
      if (verb === 'create_snap' && !pool.devices.has(Number(second))) refuse('ENODATA');
      pool.devices.set(id, pool.devices.get(Number(second)) ?? 0);
    } else if (verb === 'delete') {
      if (!pool.devices.delete(id)) refuse('ENODATA');
    } else if (verb === 'set_transaction_id') {
      if (pool.transactionId !== BigInt(first)) refuse('EINVAL');
      pool.transactionId = BigInt(second);
    } else refuse('EINVAL');
    return Promise.resolve('');
  }

  async remove(name: string, { deferred }: { readonly deferred: boolean }): Promise<void> {
    this.#note(`remove ${name}${deferred ? ' deferred' : ''}`);
    const device = this.#get('remove', name);
    const isOpen = device.openCount > 0 || this.#usersOf(device) > 0;
    if (isOpen && !deferred) throw new KernelError('dm remove', 'EBUSY', name);
    if (isOpen) device.isDeferred = true;
    else this.#devices.delete(name);
    await Promise.resolve();
  }

  watch(listener: () => void): Disposable {
    this.listeners.add(listener);
    return { [Symbol.dispose]: () => void this.listeners.delete(listener) };
  }

  #get(call: string, name: string): FakeDevice {
    const device = this.#devices.get(name);
    if (device === undefined) throw new KernelError(`dm ${call}`, 'ENXIO', name);
    return device;
  }

  #note(call: string): void {
    this.calls.push(call);
    if (this.#failure === null || --this.#failure.after > 0) return;
    const { errno } = this.#failure;
    this.#failure = null;
    throw new KernelError('dm', errno, call);
  }

  #check(name: string, [target]: readonly DeviceTarget[]): void {
    if (target?.type !== 'thin') return;
    const [pool = '', id = ''] = target.parameters.split(' ');
    const device = [...this.#devices.values()].find(({ number }) => text(number) === pool);
    if (device === undefined) throw new KernelError('dm load', 'EINVAL', name);
    if (!this.#poolOf(device.table[0]!).devices.has(Number(id))) throw new KernelError('dm load', 'ENODATA', name);
  }

  #usersOf({ number }: FakeDevice): number {
    const word = `${text(number)} `;
    return [...this.#devices.values()].filter(({ table }) => table.some(({ parameters }) => parameters.includes(word)))
      .length;
  }

  #poolOf({ parameters }: DeviceTarget): FakePool {
    const [metadata = ''] = parameters.split(' ');
    const loop = /^7:(\d+)$/.exec(metadata)?.[1];
    const key = (loop === undefined ? undefined : this.#loops.get(Number(loop))?.file) ?? metadata;
    const fresh: FakePool = { transactionId: 0n, devices: new Map(), usedBlocks: 0, mode: 'rw', needsCheck: false };
    const pool = this.pools.get(key) ?? fresh;
    this.pools.set(key, pool);
    return pool;
  }

  #statusOf(target: DeviceTarget): string {
    if (target.type === 'thin') {
      const [poolNumber = '', id = ''] = target.parameters.split(' ');
      const pool = [...this.#devices.values()].find(({ number }) => text(number) === poolNumber);
      const mapped = pool === undefined ? 0 : (this.#poolOf(pool.table[0]!).devices.get(Number(id)) ?? 0);
      return mapped === 0 ? '0 -' : `${String(mapped)} ${String(mapped - 1)}`;
    }
    if (target.type !== 'thin-pool') return '';
    const pool = this.#poolOf(target);
    const [metadata = '', , blockSectors = ''] = target.parameters.split(' ');
    const blocks = Math.floor(target.sectors / Number(blockSectors));
    const metadataBlocks = Math.floor(this.block.sizeBytes(number(metadata)) / METADATA_BLOCK_BYTES);
    const space = `10/${String(metadataBlocks)} ${String(pool.usedBlocks)}/${String(blocks)}`;
    const check = pool.needsCheck ? 'needs_check' : '-';
    return `${String(pool.transactionId)} ${space} - ${pool.mode} discard_passdown error_if_no_space ${check} 1024`;
  }

  /** A loop device goes with its last user: who attached it, or a table. */
  #clearLoops(): void {
    const tables = [...this.#devices.values()].flatMap(({ table }) => table.map(({ parameters }) => `${parameters} `));
    for (const [minor, { holders }] of this.#loops) {
      const isInTable = tables.some((words) => words.includes(`${String(LOOP_MAJOR)}:${String(minor)} `));
      if (holders === 0 && !isInTable) this.#loops.delete(minor);
    }
  }

  #blockCalls(): BlockCalls {
    const diskOf = (wanted: BlockDeviceNumber): { bytes: number } | undefined =>
      wanted.major === LOOP_MAJOR
        ? this.#loops.get(wanted.minor)
        : [...this.#disks.values()].find((disk) => text(disk.number) === text(wanted));
    return {
      numberOf: (path) => {
        const disk = this.#disks.get(path);
        if (disk === undefined) throw new KernelError('stat', 'ENOENT', path);
        return disk.number;
      },
      split: (device) => ({ major: Number((device >> 8n) & 0xfffn), minor: Number(device & 0xffn) }),
      nodeOf: ({ major, minor }) => `/dev/${major === LOOP_MAJOR ? 'loop' : 'dm-'}${String(minor)}`,
      sizeBytes: (device) => diskOf(device)?.bytes ?? 0,
      discard: async (path) => {
        this.#note(`discard ${path}`);
        await Promise.resolve(this.discarded.push(path));
      },
      attach: async (file) => Promise.resolve(this.#attach(file)),
      backing: ({ major, minor }) => {
        return (major === LOOP_MAJOR ? this.#loops.get(minor)?.inode : undefined) ?? null;
      },
      grow: async (path) => {
        const loop = this.#loops.get(Number(path.replace('/dev/loop', '')));
        if (loop !== undefined) loop.bytes = sizeOf(loop.file);
        await Promise.resolve();
      },
    };
  }

  #attach(file: string): AttachedLoop {
    this.#note(`attach ${file}`);
    this.#clearLoops();
    let minor = 0;
    while (this.#loops.has(minor)) minor += 1;
    const { dev, ino } = statSync(file, { bigint: true });
    const loop = { file, inode: { device: dev, inode: ino }, holders: 1, bytes: sizeOf(file) };
    this.#loops.set(minor, loop);
    const release = (): void => {
      loop.holders = 0;
    };
    return { path: `/dev/loop${String(minor)}`, number: { major: LOOP_MAJOR, minor }, [Symbol.dispose]: release };
  }
}

function sizeOf(file: string): number {
  return Math.floor(statSync(file).size / SECTOR_BYTES) * SECTOR_BYTES;
}

function text({ major, minor }: BlockDeviceNumber): string {
  return `${String(major)}:${String(minor)}`;
}

function number(words: string): BlockDeviceNumber {
  const [major = 0, minor = 0] = words.split(':').map(Number);
  return { major, minor };
}
