/** The devicemapper driver for tests: on the kernel's thin pools where it has them, else on loop devices. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SystemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import type { Kernel } from '../../src/engine/kernel/kernel.ts';
import { createBlockCalls } from '../../src/engine/kernel/linux/block.ts';
import { DevicemapperDriver } from '../../src/engine/storage/devicemapper/driver.ts';
import { LinuxFileSystems, type DeviceFileSystem } from '../../src/engine/storage/devicemapper/file-systems.ts';
import { openDevicemapperDriver } from '../../src/engine/storage/devicemapper/open-driver.ts';
import { DEFAULT_SETTINGS } from '../../src/engine/storage/devicemapper/settings.ts';
import { LoopThinPool } from './loop-thin-pool.ts';

const MIB = 1024 * 1024;
/** Small, and quick to make and to copy. */
const FORMS = {
  ext4: { mkfsWords: ['-m', '0', '-N', '8192', '-J', 'size=4'], baseSizeBytes: 64 * MIB },
  xfs: { mkfsWords: ['-K'], baseSizeBytes: 320 * MIB },
} as const;

/** True where the kernel makes thin pools: in the emulated machine. */
export function hasThinPools(): boolean {
  return existsSync('/dev/mapper/control') && /^.*device-mapper$/m.test(readFileSync('/proc/misc', 'utf8'));
}

/** Names of block devices that are switched on in the pool of the driver whose directory this is. */
export function activeThinDevices(root: string): readonly string[] {
  if (!existsSync(root)) return [];
  const mapped = readdirSync('/sys/block').filter((name) => name.startsWith('dm-'));
  const names = mapped.map((name) => readFileSync(`/sys/block/${name}/dm/name`, 'utf8').trim());
  const own = new RegExp(`^docker-\\d+:\\d+-${String(statSync(root).ino)}-(?!pool$)`);
  return names.filter((name) => own.test(name));
}

/** A driver whose pool lies below `root`, and what takes all of it away. */
export interface TestDevicemapper extends AsyncDisposable {
  readonly driver: DevicemapperDriver;
  /** Block devices that are there. */
  devices(): Promise<readonly string[]>;
}

/** `root`: the driver's directory; may hold what another daemon left. */
export async function openTestDevicemapper(
  root: string,
  kernel: Kernel,
  { fileSystem = 'ext4' }: { readonly fileSystem?: DeviceFileSystem } = {},
): Promise<TestDevicemapper> {
  const mountRoot = join(root, '..', 'mounts');
  const block = createBlockCalls();
  const settings = { ...DEFAULT_SETTINGS, ...FORMS[fileSystem], fileSystem };
  const ground = { root, mountRoot, clock: new SystemClock(), logger: silentLogger };
  if (hasThinPools()) {
    const { createDeviceMapperCalls } = await import('../../src/engine/kernel/linux/device-mapper.ts');
    const mapper = createDeviceMapperCalls();
    const driver = await openDevicemapperDriver({
      ...ground,
      storageOptions: [
        ...['dm.loopdatasize=1G', 'dm.loopmetadatasize=32M', `dm.fs=${fileSystem}`],
        `dm.basesize=${String(settings.baseSizeBytes)}`,
        ...settings.mkfsWords.map((word) => `dm.mkfsarg=${word}`),
      ],
      mapper,
      block,
      kernel,
    });
    return {
      driver,
      devices: async () => Promise.resolve(activeThinDevices(root)),
      [Symbol.asyncDispose]: async () => driver[Symbol.asyncDispose](),
    };
  }
  const pool = new LoopThinPool(join(root, '..', 'loop-pool'));
  const prefix = 'docker-0:0-0-';
  const driver = await DevicemapperDriver.open({
    ...ground,
    pool,
    prefix,
    settings,
    fileSystems: new LinuxFileSystems({ ...kernel, mountRoot }),
    mounts: kernel.mounts,
  });
  return {
    driver,
    devices: async () => pool.active(prefix),
    [Symbol.asyncDispose]: async () => driver[Symbol.asyncDispose](),
  };
}
