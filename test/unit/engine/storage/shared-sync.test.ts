import { describe, expect, it } from 'vitest';
import { SharedSync } from '../../../../src/engine/storage/layers/shared-sync.ts';

/** A disk that is done when the test says so. */
class SlowDisk {
  readonly started: string[] = [];
  readonly #open: PromiseWithResolvers<void>[] = [];

  sync = async (path: string): Promise<void> => {
    this.started.push(path);
    const pending = Promise.withResolvers<void>();
    this.#open.push(pending);
    await pending.promise;
  };

  finish(error: Error | null = null): void {
    const pending = this.#open.shift();
    if (error === null) pending?.resolve();
    else pending?.reject(error);
  }
}

async function settleAll(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe('one write-out for all', () => {
  it('takes those who come while one runs together in the next', async () => {
    const disk = new SlowDisk();
    const shared = new SharedSync(disk.sync);
    const done: string[] = [];
    const ask = (name: string): Promise<unknown> => shared.done(name).then(() => done.push(name));
    void ask('a');
    void ask('b');
    void ask('c');
    await settleAll();
    expect(disk.started).toEqual(['a']);
    disk.finish();
    await settleAll();
    expect([disk.started, done]).toEqual([['a', 'b'], ['a']]);
    void ask('d');
    disk.finish();
    await settleAll();
    expect([disk.started, done]).toEqual([
      ['a', 'b', 'd'],
      ['a', 'b', 'c'],
    ]);
    disk.finish();
    await settleAll();
    void ask('e');
    expect(disk.started).toEqual(['a', 'b', 'd', 'e']);
    disk.finish();
    await settleAll();
    expect(done).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('tells of a failure those whose write-out it was', async () => {
    const disk = new SlowDisk();
    const shared = new SharedSync(disk.sync);
    const full = new Error('no space left on device');
    const [first, second, third] = [shared.done('a'), shared.done('b'), shared.done('c')];
    disk.finish(full);
    await expect(first).rejects.toBe(full);
    await settleAll();
    disk.finish();
    await expect(Promise.all([second, third])).resolves.toEqual([undefined, undefined]);
    expect(disk.started).toEqual(['a', 'b']);
  });
});
