/** What every thin pool does, whatever it stands on. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ThinPool } from '../../src/engine/storage/devicemapper/thin-pool.ts';

/** A pool that is empty, what names of its devices begin with, and its end. */
export interface PoolUnderTest extends AsyncDisposable {
  readonly pool: ThinPool;
  readonly prefix: string;
  /** Has a device open until disposed of, as a mount does. */
  open(path: string, name: string): Disposable;
}

const SIZE = 16 * 1024 * 1024;

export function describesThinPool(make: () => Promise<PoolUnderTest>): void {
  let made: PoolUnderTest;
  let pool: ThinPool;
  let name: (id: number) => string;

  beforeEach(async () => {
    made = await make();
    pool = made.pool;
    name = (id) => `${made.prefix}${String(id)}`;
  });
  afterEach(async () => made[Symbol.asyncDispose]());

  const fails = async (code: string, job: Promise<unknown>): Promise<void> =>
    expect(job).rejects.toMatchObject({ name: 'KernelError', code });

  it('makes a device, switches it on and off and deletes it', async () => {
    await pool.create(1);
    expect(await pool.openCount(name(1))).toBeNull();
    const path = await pool.activate(1, name(1), SIZE);
    expect(path).toMatch(/^\/dev\//);
    expect(await pool.openCount(name(1))).toBe(0);
    expect(await pool.activate(1, name(1), SIZE)).toBe(path);
    expect(await pool.active(made.prefix)).toStrictEqual([name(1)]);
    await pool.deactivate(name(1), { deferred: false });
    expect(await pool.active(made.prefix)).toStrictEqual([]);
    await pool.deactivate(name(1), { deferred: false });
    await pool.delete(1);
    await pool.delete(1);
    await fails('ENODATA', pool.activate(1, name(1), SIZE));
  });

  it('refuses a number twice, and an origin that is not there', async () => {
    await pool.create(1);
    await fails('EEXIST', pool.create(1));
    await fails('EEXIST', pool.snapshot(1, 1, null));
    await fails('ENODATA', pool.snapshot(2, 7, null));
  });

  it('takes snapshots of devices that are on and off', async () => {
    await pool.create(1);
    await pool.snapshot(2, 1, null);
    await pool.activate(1, name(1), SIZE);
    await pool.snapshot(3, 1, name(1));
    await pool.snapshot(4, 2, null);
    await pool.activate(3, name(3), SIZE);
    expect([...(await pool.active(made.prefix))].sort()).toStrictEqual([name(1), name(3)]);
    for (const id of [1, 3]) await pool.deactivate(name(id), { deferred: false });
    for (const id of [1, 2, 3, 4]) await pool.delete(id);
  });

  it('keeps what is open, and has it go later when that is wanted', async () => {
    await pool.create(1);
    const path = await pool.activate(1, name(1), SIZE);
    {
      using _open = made.open(path, name(1));
      expect(await pool.openCount(name(1))).toBe(1);
      await fails('EBUSY', pool.deactivate(name(1), { deferred: false }));
      await fails('EBUSY', pool.delete(1));
      await pool.deactivate(name(1), { deferred: true });
      expect(await pool.activate(1, name(1), SIZE)).toBe(path);
    }
    expect(await pool.openCount(name(1))).toBe(0);
    {
      using _open = made.open(path, name(1));
      await pool.deactivate(name(1), { deferred: true });
      await pool.snapshot(2, 1, name(1));
    }
    await expect.poll(async () => pool.openCount(name(1))).toBeNull();
    await pool.delete(1);
  });

  it('never gives the device of another number under a name', async () => {
    await pool.create(1);
    await pool.create(2);
    const path = await pool.activate(1, name(1), SIZE);
    {
      using _open = made.open(path, name(1));
      await fails('EBUSY', pool.activate(2, name(1), SIZE));
    }
    await pool.activate(2, name(1), SIZE);
    await pool.delete(1);
    await fails('EBUSY', pool.delete(2));
  });

  it('has a transaction id that only its user changes', async () => {
    expect((await pool.status()).transactionId).toBe(0n);
    await pool.setTransactionId(0n, 7n);
    await fails('EINVAL', pool.setTransactionId(0n, 8n));
    expect((await pool.status()).transactionId).toBe(7n);
  });

  it('tells its space', async () => {
    const { data, metadata, mode, needsCheck, blockSizeBytes } = await pool.status();
    expect({ mode, needsCheck, used: data.usedBytes }).toStrictEqual({ mode: 'rw', needsCheck: false, used: 0 });
    expect(data.totalBytes % blockSizeBytes).toBe(0);
    expect(metadata.totalBytes).toBeGreaterThan(metadata.usedBytes);
  });
}
