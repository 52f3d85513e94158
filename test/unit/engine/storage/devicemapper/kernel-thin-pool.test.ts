import { mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UnavailableError } from '../../../../../src/base/errors.ts';
import type { ProcessCalls } from '../../../../../src/engine/kernel/kernel.ts';
import type { Programs } from '../../../../../src/engine/storage/devicemapper/pool/programs.ts';
import { openPool } from '../../../../../src/engine/storage/devicemapper/pool/open-pool.ts';
import { readDeviceMapperOptions } from '../../../../../src/engine/storage/devicemapper/pool/options.ts';
import { FakeDeviceMapper } from '../../../../support/fake-device-mapper.ts';
import { RecordingLogger } from '../../../../support/recording-logger.ts';

const MIB = 1024 * 1024;
const WORDS = ['dm.loopdatasize=64M', 'dm.loopmetadatasize=4M'];

let root: string;
let kernel: FakeDeviceMapper;
let logger: RecordingLogger;
let runs: (readonly string[])[];
/** What programs do. */
let answer: () => void;

const processes: Pick<ProcessCalls, 'capture'> = {
  capture: async () => Promise.reject(new Error('no program is started')),
};
const programs: Programs = {
  find: async () => Promise.resolve(null),
  run: async (name, words) => {
    runs.push([name, ...words]);
    answer();
    return Promise.resolve('');
  },
};
const open = async (words: readonly string[] = WORDS): ReturnType<typeof openPool> =>
  openPool({
    root,
    options: readDeviceMapperOptions(words),
    mapper: kernel,
    block: kernel.block,
    processes,
    programs,
    logger,
  });

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pool-'));
  kernel = new FakeDeviceMapper();
  logger = new RecordingLogger();
  runs = [];
  answer = () => undefined;
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('a pool on files', () => {
  it('is set up on sparse files, with a warning, and answers with errors when it is full', async () => {
    const { pool, prefix, places, warning, isOurs } = await open();
    expect(prefix).toMatch(/^docker-\d+:\d+-\d+-$/);
    expect({ name: pool.name, isOurs }).toStrictEqual({ name: `${prefix}pool`, isOurs: true });
    expect(places).toStrictEqual({
      data: '/dev/loop0',
      dataFile: join(root, 'devicemapper/data'),
      metadata: '/dev/loop1',
      metadataFile: join(root, 'devicemapper/metadata'),
    });
    expect(statSync(join(root, 'devicemapper/data'))).toMatchObject({ size: 64 * MIB, blocks: 0, mode: 0o100600 });
    expect(warning).toMatch(/^Usage of loopback devices is strongly discouraged/);
    expect(kernel.device(pool.name)?.table).toStrictEqual([
      {
        startSector: 0,
        sectors: (64 * MIB) / 512,
        type: 'thin-pool',
        parameters: '7:1 7:0 128 32768 2 skip_block_zeroing error_if_no_space',
      },
    ]);
    expect(runs).toStrictEqual([]);
  });

  it('leaves nothing active or attached whatever step fails', async () => {
    for (let step = 1; ; step++) {
      kernel = new FakeDeviceMapper();
      kernel.failAt(step, 'EIO');
      const failure = await open().then(
        () => null,
        (error: unknown) => error,
      );
      if (kernel.failurePending) break;
      expect(failure).toMatchObject({ kind: 'unavailable', message: expect.stringMatching(/^devmapper: /) });
      expect(await kernel.list()).toStrictEqual([]);
      expect(kernel.attachedFiles()).toStrictEqual([]);
      expect(step).toBeLessThan(10);
    }
  });

  it('goes with its loop devices when nothing is active in it', async () => {
    const { pool, prefix, close } = await open();
    await pool.create(1);
    await pool.activate(1, `${prefix}1`, MIB);
    await close();
    expect(kernel.attachedFiles()).toHaveLength(2);
    await pool.deactivate(`${prefix}1`, { deferred: false });
    await close();
    await close();
    expect(await kernel.list()).toStrictEqual([]);
    expect(kernel.attachedFiles()).toStrictEqual([]);
    expect((await (await open()).pool.status()).mode).toBe('rw');
  });

  it('is not set up again while it is active, and grows with its files', async () => {
    const first = await open();
    await first.pool.create(1);
    const second = await open(['dm.loopdatasize=96M', 'dm.loopmetadatasize=8M']);
    expect(await second.pool.status()).toMatchObject({
      data: { totalBytes: 96 * MIB },
      metadata: { totalBytes: 8 * MIB },
    });
    expect(second.places).toStrictEqual(first.places);
    await open(['dm.loopdatasize=32M', 'dm.loopmetadatasize=8M']);
    expect(logger.messages('warn')).toContain(`Can't shrink loopback file ${join(root, 'devicemapper/data')}`);
    expect(kernel.calls.filter((call) => call.startsWith('replace'))).toHaveLength(1);
  });

  it('refuses one that is active on other files', async () => {
    const { pool } = await open();
    renameSync(join(root, 'devicemapper/data'), join(root, 'elsewhere'));
    const text = `devmapper: thin pool ${pool.name} is active already and lies on /dev/loop0, not on ${root}/devicemapper/data. Stop what uses it (dmsetup ls --tree) or name the same devices as before`;
    await expect(open()).rejects.toMatchObject({ kind: 'unavailable', message: text });
    expect(kernel.device(pool.name)).not.toBeNull();
  });

  it('is checked when the kernel wants that, and set up again', async () => {
    const { pool, close } = await open();
    const metadata = [...kernel.pools.values()][0]!;
    metadata.needsCheck = true;
    metadata.mode = 'ro';
    await expect(pool.create(1)).rejects.toMatchObject({
      kind: 'unavailable',
      message: `devmapper: Thin Pool ${pool.name} is read-only and needs to be checked: stop all that uses it and run thin_check, or thin_repair, on its metadata device`,
    });
    answer = () => void Object.assign(metadata, { needsCheck: false, mode: 'rw' });
    const anew = await open();
    expect(runs).toStrictEqual([['thin_check', '--clear-needs-check-flag', '/dev/loop1']]);
    await anew.pool.create(1);
    await close();
    metadata.needsCheck = true;
    answer = () => {
      throw new UnavailableError('bad checksum in superblock');
    };
    await expect(open()).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringMatching(/is damaged or cannot be checked, repair it by thin_repair: bad checksum/),
    });
    expect(await kernel.list()).toStrictEqual([]);
    expect(kernel.attachedFiles()).toStrictEqual([]);
  });
});

describe('a pool on devices', () => {
  it('lies on the devices that are named, without a warning and without discards', async () => {
    kernel.addDisk('/dev/vdb', 128 * MIB);
    kernel.addDisk('/dev/vdc', 8 * MIB);
    const words = ['dm.datadev=/dev/vdb', 'dm.metadatadev=/dev/vdc', 'dm.blocksize=128K'];
    const { pool, places, warning } = await open(words);
    expect({ places, warning }).toStrictEqual({
      places: { data: '/dev/vdb', dataFile: null, metadata: '/dev/vdc', metadataFile: null },
      warning: null,
    });
    expect(kernel.device(pool.name)?.table[0]?.parameters).toMatch(/^254:1 254:0 256 /);
    kernel.addDisk('/dev/vdd', 128 * MIB);
    await expect(open(['dm.datadev=/dev/vdd', 'dm.metadatadev=/dev/vdc'])).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('is active already and lies on'),
    });
    await expect(open(['dm.datadev=/dev/nope', 'dm.metadatadev=/dev/vdc'])).rejects.toMatchObject({
      kind: 'invalid-argument',
    });
  });

  it('is taken as it is when it is given', async () => {
    await expect(open(['dm.thinpooldev=/dev/mapper/vg-pool'])).rejects.toMatchObject({
      kind: 'unavailable',
      message: 'devmapper: thin pool vg-pool does not exist',
    });
    await kernel.create('vg-linear', [{ startSector: 0, sectors: 8, type: 'linear', parameters: '254:0 0' }]);
    await expect(open(['dm.thinpooldev=vg-linear'])).rejects.toMatchObject({
      message: 'devmapper: Device vg-linear is not a thin pool',
    });
    kernel.addDisk('/dev/vdb', 128 * MIB);
    const parameters = '254:0 254:0 1024 0 1 skip_block_zeroing';
    await kernel.create('vg-pool', [{ startSector: 0, sectors: 1_048_576, type: 'thin-pool', parameters }]);
    const { pool, isOurs, close } = await open(['dm.thinpooldev=/dev/mapper/vg-pool']);
    expect({ isOurs, status: await pool.status() }).toMatchObject({
      isOurs: false,
      status: { blockSizeBytes: 524_288 },
    });
    await close();
    expect(kernel.device('vg-pool')).not.toBeNull();
  });
});

describe('thin devices', () => {
  it('are never left suspended, whatever step of a snapshot fails', async () => {
    const { pool, prefix } = await open();
    await pool.create(1);
    await pool.activate(1, `${prefix}1`, MIB);
    for (let step = 1; ; step++) {
      kernel.failAt(step, 'EIO');
      await pool.snapshot(step + 1, 1, `${prefix}1`).catch(() => undefined);
      if (kernel.failurePending) break;
      // The resume itself can fail: then the next daemon does it.
      await open();
      expect(kernel.device(`${prefix}1`)).toMatchObject({ isSuspended: false });
      expect(step).toBeLessThan(10);
    }
    expect(kernel.calls.slice(-3)).toStrictEqual([
      `suspend ${prefix}1`,
      expect.stringMatching(/ create_snap \d+ 1$/),
      `resume ${prefix}1`,
    ]);
  });

  it('are suspended for one snapshot after the other', async () => {
    const { pool, prefix } = await open();
    await pool.create(1);
    await pool.activate(1, `${prefix}1`, MIB);
    await Promise.all([2, 3, 4].map(async (id) => pool.snapshot(id, 1, `${prefix}1`)));
    const verbs = kernel.calls
      .slice(-9)
      .map((call) => call.replace(/^message .* (create_snap) .*/, '$1').split(' ')[0]);
    expect(verbs).toStrictEqual(
      ['suspend', 'create_snap', 'resume'].flatMap((verb, _, all) =>
        verb === 'suspend' ? [...all, ...all, ...all] : [],
      ),
    );
  });

  it('are discarded before they are deleted, as far as they are mapped; not when that is switched off', async () => {
    const { pool, prefix } = await open();
    const metadata = [...kernel.pools.values()][0]!;
    await pool.create(1);
    metadata.devices.set(1, 4096);
    await pool.delete(1);
    expect(kernel.discarded).toHaveLength(1);
    expect(await kernel.list()).toStrictEqual([`${prefix}pool`]);
    const off = await open([...WORDS, 'dm.blkdiscard=false']);
    await pool.create(2);
    metadata.devices.set(2, 4096);
    await off.pool.delete(2);
    expect(kernel.discarded).toHaveLength(1);
    // Whatever goes wrong with it, the device is deleted.
    for (const step of [1, 2, 3]) {
      await pool.create(3);
      metadata.devices.set(3, 4096);
      kernel.failAt(step, 'EIO');
      await pool.delete(3);
      expect(metadata.devices.has(3)).toBe(false);
      expect(await kernel.list()).toStrictEqual([`${prefix}pool`]);
    }
  });

  it('are refused in words when the pool is full', async () => {
    const { pool } = await open();
    const metadata = [...kernel.pools.values()][0]!;
    await pool.create(1);
    metadata.mode = 'out_of_data_space';
    await expect(pool.snapshot(2, 1, null)).rejects.toMatchObject({
      kind: 'unavailable',
      message: `devmapper: Thin Pool ${pool.name} is out of data space. Remove containers or images, or make its data device larger`,
    });
    metadata.mode = 'ro';
    await expect(pool.delete(1)).rejects.toMatchObject({ kind: 'unavailable' });
    metadata.mode = 'rw';
    await pool.delete(1);
  });
});
