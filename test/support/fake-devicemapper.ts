/** The devicemapper driver over a {@link FakeThinPool}, without a kernel. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { silentLogger } from '../../src/base/logger.ts';
import { DevicemapperDriver } from '../../src/engine/storage/devicemapper/driver.ts';
import type { DevicemapperOptions } from '../../src/engine/storage/devicemapper/driver-options.ts';
import { Ledger } from '../../src/engine/storage/devicemapper/ledger.ts';
import { DEFAULT_SETTINGS, type DeviceSettings } from '../../src/engine/storage/devicemapper/settings.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeKernel } from './fake-kernel.ts';
import { FakeFileSystems, type FakeThinPool } from './fake-thin-pool.ts';

export const PREFIX = 'docker-8:1-131-';
const MIB = 1024 * 1024;

export interface FakeDriverOptions {
  readonly settings?: Partial<DeviceSettings>;
  readonly fileSystems?: FakeFileSystems;
  readonly clock?: FakeClock;
  readonly more?: Partial<DevicemapperOptions>;
}

export async function openFakeDevicemapper(
  root: string,
  pool: FakeThinPool,
  {
    settings = {},
    fileSystems = new FakeFileSystems(pool),
    clock = new FakeClock(),
    more = {},
  }: FakeDriverOptions = {},
): Promise<DevicemapperDriver> {
  return DevicemapperDriver.open({
    root,
    pool,
    prefix: PREFIX,
    settings: { ...DEFAULT_SETTINGS, ...settings },
    fileSystems,
    mounts: new FakeKernel().mounts,
    mountRoot: join(root, '..', 'mounts'),
    clock,
    logger: silentLogger,
    ...more,
  });
}

/** Default size of the fake's base. */
export const BASE_BYTES = 10 * 1024 * MIB;

/**
 * What is wrong between a driver's directory and its pool, after nothing is under way: devices that are nobody's, owners
 * without a device, two with one, a transaction id that is not the ledger's.
 */
export async function inconsistencies(root: string, pool: FakeThinPool): Promise<readonly string[]> {
  const found: string[] = [];
  const owners = new Map<number, string>();
  const own = (deviceId: number, owner: string): void => {
    if (owners.has(deviceId))
      found.push(`device ${String(deviceId)} is ${owner}'s and ${String(owners.get(deviceId))}'s`);
    owners.set(deviceId, owner);
    if (!pool.devices.has(deviceId)) found.push(`device ${String(deviceId)} of ${owner} is missing`);
  };
  for (const name of readdirSync(root)) {
    if (/^\.(new|old)-/.test(name)) found.push(`${name} is left`);
    const path = join(root, name, 'device.json');
    if (existsSync(path)) own((JSON.parse(readFileSync(path, 'utf8')) as { deviceId: number }).deviceId, name);
  }
  const base = JSON.parse(readFileSync(join(root, '.pool/base.json'), 'utf8')) as { deviceId: number };
  own(base.deviceId, 'base');
  for (const name of readdirSync(join(root, '.pool/deleted'))) own(Number(name), 'nobody');
  for (const deviceId of pool.devices.keys())
    if (!owners.has(deviceId)) found.push(`device ${String(deviceId)} is nobody's`);
  const { entry } = await Ledger.open(join(root, '.pool/ledger'));
  if (entry.transactionId !== pool.transactionId) {
    found.push(`ledger is at ${String(entry.transactionId)}, pool at ${String(pool.transactionId)}`);
  }
  return found;
}
