import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SystemClock } from '../../src/base/clock.ts';
import { createBlockCalls } from '../../src/engine/kernel/linux/block.ts';
import { createDeviceMapperCalls } from '../../src/engine/kernel/linux/device-mapper.ts';
import { createProcessCalls } from '../../src/engine/kernel/linux/processes.ts';
import { openPool, type OpenPool } from '../../src/engine/storage/devicemapper/pool/open-pool.ts';
import { readDeviceMapperOptions } from '../../src/engine/storage/devicemapper/pool/options.ts';
import { poolLines } from '../../src/engine/storage/devicemapper/pool/pool-lines.ts';
import { PoolWatch } from '../../src/engine/storage/devicemapper/pool/pool-watch.ts';
import { FakeDeviceMapper } from '../support/fake-device-mapper.ts';
import { FakeThinPool } from '../support/fake-thin-pool.ts';
import { RecordingLogger } from '../support/recording-logger.ts';
import { describesThinPool, type PoolUnderTest } from './thin-pool.contract.ts';

const WORDS = ['dm.loopdatasize=8M', 'dm.loopmetadatasize=4M'];
const MIB = 1024 * 1024;
const obstacle = obstacleHere();

describe('a thin pool in memory', () => {
  describesThinPool(async () => {
    const pool = new FakeThinPool();
    const open = (_: string, name: string): Disposable => {
      pool.open(name, 1);
      return { [Symbol.dispose]: () => pool.open(name, -1) };
    };
    return Promise.resolve({ pool, prefix: 'docker-1:2-3-', open, [Symbol.asyncDispose]: async () => {} });
  });
});

describe('a thin pool over a device mapper in memory', () => {
  describesThinPool(async () => {
    const kernel = new FakeDeviceMapper();
    const root = scratch();
    const { pool, prefix } = await openPool(groundOf(root, kernel));
    const open = (_: string, name: string): Disposable => kernel.open(name);
    return { pool, prefix, open, [Symbol.asyncDispose]: async () => gone(root) };
  });
});

describe.skipIf(obstacle !== null)(
  `a thin pool of the kernel${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
  () => {
    describesThinPool(async () => {
      const { opened, root } = await realPool();
      const open = (path: string): Disposable => {
        const fd = openSync(path, 'r');
        return { [Symbol.dispose]: () => closeSync(fd) };
      };
      return {
        pool: opened.pool,
        prefix: opened.prefix,
        open,
        [Symbol.asyncDispose]: async () => end(opened, root),
      } satisfies PoolUnderTest;
    });

    it('answers with an error when it is full, and works again when there is room', async () => {
      const { opened, root, logger } = await realPool();
      const { pool, prefix } = opened;
      const { mapper } = groundOf(root);
      try {
        await using _watch = new PoolWatch({ pool, prefix, xfsRetries: '0', mapper, clock: new SystemClock(), logger });
        await pool.create(1);
        const path = await pool.activate(1, `${prefix}1`, 64 * MIB);
        expect(() => fill(path, 64)).toThrow(/^(EIO|ENOSPC)/);
        expect((await pool.status()).mode).toBe('out-of-data-space');
        const text = `devmapper: Thin Pool ${pool.name} is out of data space. Remove containers or images, or make its data device larger`;
        await expect(pool.snapshot(2, 1, `${prefix}1`)).rejects.toMatchObject({ kind: 'unavailable', message: text });
        await expect.poll(() => logger.messages('error')).toContain(text);
        await pool.deactivate(`${prefix}1`, { deferred: false });
        await pool.delete(1);
        await pool.create(2);
        const again = await pool.activate(2, `${prefix}2`, 64 * MIB);
        fill(again, 2);
        expect(await pool.status()).toMatchObject({ mode: 'rw', data: { usedBytes: 2 * MIB } });
      } finally {
        await end(opened, root);
      }
    });

    it('gives blocks back to its file, grows with it, and is set up anew when it was gone', async () => {
      const { opened, root } = await realPool();
      const { pool, prefix } = opened;
      await pool.create(1);
      await pool.setTransactionId(0n, 5n);
      fill(await pool.activate(1, `${prefix}1`, 16 * MIB), 4);
      const larger = await openPool(groundOf(root, null, ['dm.loopdatasize=16M', 'dm.loopmetadatasize=8M']));
      try {
        expect(await larger.pool.status()).toMatchObject({
          transactionId: 5n,
          data: { usedBytes: 4 * MIB, totalBytes: 16 * MIB },
          metadata: { totalBytes: 8 * MIB },
        });
        await larger.close();
        expect(await larger.pool.active(prefix)).toStrictEqual([`${prefix}1`]);
        await larger.pool.deactivate(`${prefix}1`, { deferred: false });
        await larger.close();
        await expect(larger.pool.status()).rejects.toMatchObject({ code: 'ENXIO' });
      } finally {
        const anew = await openPool(groundOf(root));
        expect(await anew.pool.status()).toMatchObject({ transactionId: 5n, data: { usedBytes: 4 * MIB } });
        await anew.pool.delete(1);
        expect((await anew.pool.status()).data.usedBytes).toBe(0);
        const lines = await poolLines(anew, FACTS);
        expect(lines.slice(0, 2)).toStrictEqual([
          ['Pool Name', `${prefix}pool`],
          ['Pool Blocksize', '65.54kB'],
        ]);
        await end(anew, root);
      }
    });

    it('resumes what a killed daemon left suspended', async () => {
      const { opened, root } = await realPool();
      const { pool, prefix } = opened;
      const { mapper } = groundOf(root);
      await pool.create(1);
      const path = await pool.activate(1, `${prefix}1`, 16 * MIB);
      await mapper.suspend(`${prefix}1`);
      const next = await openPool(groundOf(root));
      try {
        expect(await mapper.find(`${prefix}1`)).toMatchObject({ isSuspended: false, isLive: true });
        fill(path, 1);
      } finally {
        await end(next, root);
      }
    });

    it('refuses names that are no pool', async () => {
      const root = scratch();
      try {
        await expect(openPool(groundOf(root, null, ['dm.thinpooldev=/dev/mapper/nope']))).rejects.toMatchObject({
          kind: 'unavailable',
          message: 'devmapper: thin pool nope does not exist',
        });
      } finally {
        gone(root);
      }
    });
  },
);

const FACTS = {
  baseSizeBytes: 10e9,
  filesystem: 'xfs',
  deferredDeletions: 0,
  options: { minFreePercent: 10, deferredRemoval: true, deferredDeletion: true },
  mapperVersion: '4.47.0',
} as const;

function obstacleHere(): string | null {
  // Also while the cases are listed for the guest, here.
  if (process.env['MOORED_TEST_GUEST'] !== undefined) return null;
  if (process.getuid?.() !== 0) return 'the device mapper needs root';
  try {
    createDeviceMapperCalls();
    return null;
  } catch (error) {
    return `this kernel has no device mapper: ${(error as Error).message}`;
  }
}

function scratch(): string {
  return mkdtempSync(join(tmpdir(), 'thin-pool-'));
}

function gone(root: string): void {
  rmSync(root, { recursive: true, force: true });
}

function groundOf(
  root: string,
  fake: FakeDeviceMapper | null = null,
  words = WORDS,
): Parameters<typeof openPool>[0] & { readonly logger: RecordingLogger } {
  const mapper = fake ?? createDeviceMapperCalls();
  const block = fake?.block ?? createBlockCalls();
  const options = readDeviceMapperOptions(words);
  return { root, options, mapper, block, processes: createProcessCalls(), logger: new RecordingLogger() };
}

async function realPool(): Promise<{ opened: OpenPool; root: string; logger: RecordingLogger }> {
  const root = scratch();
  const ground = groundOf(root);
  return { opened: await openPool(ground), root, logger: ground.logger };
}

async function end({ pool, prefix, close }: OpenPool, root: string): Promise<void> {
  for (const name of await pool.active(prefix)) await pool.deactivate(name, { deferred: true });
  await close();
  gone(root);
}

/** Writes so many MiB past the page cache's indifference: what the pool refuses is an error of ours. */
function fill(path: string, mib: number): void {
  const O_DSYNC = 0o10000;
  const fd = openSync(path, O_DSYNC | 1);
  try {
    const bytes = Buffer.alloc(MIB, 'x');
    for (let at = 0; at < mib; at++) writeSync(fd, bytes, 0, MIB, at * MIB);
  } finally {
    closeSync(fd);
  }
}
