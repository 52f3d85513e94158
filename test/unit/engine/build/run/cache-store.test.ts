import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../../../src/base/logger.ts';
import { CacheMountStore } from '../../../../../src/engine/build/run/cache-store.ts';
import type { HeldCacheMount } from '../../../../../src/engine/build/run/cache-mounts.ts';
import { CacheMountTable } from '../../../../../src/engine/state/cache-mounts.ts';
import { Database } from '../../../../../src/engine/state/database.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

type Mount = Parameters<CacheMountStore['hold']>[0];
type Sharing = Mount['sharing'];

describe('cache mounts', () => {
  const root = mkdtempSync(join(tmpdir(), 'moored-cache-'));
  const directory = join(root, 'mounts');
  let database: Database;
  let store: CacheMountStore;
  const measured: string[] = [];
  const open = (): Promise<CacheMountStore> =>
    CacheMountStore.open({
      table: new CacheMountTable(database),
      directory,
      meter: {
        measure: async ({ root: path }) => {
          measured.push(path);
          return Promise.resolve({ sizeBytes: 42, inodes: 1 });
        },
      },
      clock: new FakeClock(),
      logger: silentLogger,
    });

  beforeEach(async () => {
    database = Database.open(':memory:');
    store = await open();
  });
  afterEach(() => {
    database[Symbol.dispose]();
    rmSync(root, { recursive: true, force: true });
  });

  const mountOf = (change: Partial<Mount> = {}): Mount => ({
    kind: 'cache',
    id: 'npm',
    from: null,
    source: '/',
    target: '/root/.npm',
    readOnly: false,
    sharing: 'shared',
    mode: 0o755,
    uid: 0,
    gid: 0,
    ...change,
  });
  const hold = (
    sharing: Sharing,
    {
      base = '',
      signal = new AbortController().signal,
    }: { readonly base?: string; readonly signal?: AbortSignal } = {},
  ): Promise<HeldCacheMount> => store.hold(mountOf({ sharing }), { base, fill: null, signal });
  const settled = async (promise: Promise<unknown>): Promise<boolean> => {
    let isSettled = false;
    const note = (): void => void (isSettled = true);
    promise.then(note, note);
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    return isSettled;
  };
  const giveBack = async (...held: readonly HeldCacheMount[]): Promise<void> => {
    for (const one of held) await one[Symbol.asyncDispose]();
  };

  it('keep what was written to them, for whoever comes next, also after a restart', async () => {
    const first = await hold('shared');
    writeFileSync(join(first.path, 'package'), 'x');
    await giveBack(first);
    store = await open();
    const second = await hold('locked');
    expect(readFileSync(join(second.path, 'package'), 'utf8')).toBe('x');
    expect(await store.list()).toMatchObject([
      { kind: 'exec.cachemount', description: 'cached mount /root/.npm with id "npm"', uses: 2, inUse: true },
    ]);
    await giveBack(second);
    expect(await store.list()).toMatchObject([{ inUse: false, sizeBytes: 42 }]);
    expect(measured.every((path) => path === first.path)).toBe(true);
  });

  it('belong to whom the first RUN says', async () => {
    const held = await store.hold(mountOf({ uid: 7, gid: 8, mode: 0o700 }), {
      base: '7:8',
      fill: null,
      signal: new AbortController().signal,
    });
    expect(statSync(held.path)).toMatchObject({ uid: 7, gid: 8 });
    expect(statSync(held.path).mode & 0o777).toBe(0o700);
    await giveBack(held);
  });

  it('are shared at once, and waited for where they are locked', async () => {
    const sharers = [await hold('shared'), await hold('shared')];
    expect(sharers[0]?.path).toBe(sharers[1]?.path);
    const locker = hold('locked');
    // Behind it, so that sharers do not keep it out for ever.
    const late = hold('shared');
    expect(await settled(locker)).toBe(false);
    await giveBack(...sharers);
    const locked = await locker;
    expect(await settled(late)).toBe(false);
    await giveBack(locked);
    expect((await late).path).toBe(locked.path);
    await giveBack(await late);
  });

  it('are private by another one, which is taken again later', async () => {
    const shared = await hold('shared');
    const own = await hold('private');
    expect(own.path).not.toBe(shared.path);
    await giveBack(own, shared);
    const again = [await hold('private'), await hold('private')];
    expect(new Set(again.map(({ path }) => path))).toEqual(new Set([own.path, shared.path]));
    await giveBack(...again);
  });

  it('are no longer waited for by a build that has ended', async () => {
    const locked = await hold('locked');
    const gone = new AbortController();
    const waiting = hold('locked', { signal: gone.signal });
    const next = hold('locked');
    gone.abort(new Error('the client has gone'));
    await expect(waiting).rejects.toThrow('the client has gone');
    await giveBack(locked);
    await giveBack(await next);
    await expect(hold('shared', { signal: gone.signal })).rejects.toThrow('the client has gone');
  });

  it('begin with what they are filled with; one that failed is nobody’s', async () => {
    const signal = new AbortController().signal;
    const filling = Promise.withResolvers<undefined>();
    const failing = store.hold(mountOf(), { base: 'b', fill: () => filling.promise, signal });
    const joining = store.hold(mountOf(), {
      base: 'b',
      fill: async (path) => {
        writeFileSync(join(path, 'f'), 'filled');
        return Promise.resolve();
      },
      signal,
    });
    filling.reject(new Error('the stage is not there'));
    await expect(failing).rejects.toThrow('the stage is not there');
    const held = await joining;
    expect(readFileSync(join(held.path, 'f'), 'utf8')).toBe('filled');
    const other = await hold('shared');
    expect(other.path).not.toBe(held.path);
    await giveBack(held, other);
    expect(await store.list()).toHaveLength(2);
  });

  it('are removed while nobody holds them', async () => {
    const held = await hold('shared');
    const [entry] = await store.list();
    expect(await store.remove(entry?.id ?? '')).toBe(false);
    await giveBack(held);
    expect(await store.remove(entry?.id ?? '')).toBe(true);
    expect(await store.remove(entry?.id ?? '')).toBe(false);
    expect(await store.list()).toEqual([]);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('are made anew where somebody has deleted the directory', async () => {
    const held = await hold('shared');
    await giveBack(held);
    rmSync(held.path, { recursive: true });
    const again = await hold('shared');
    expect(statSync(again.path).isDirectory()).toBe(true);
    await giveBack(again);
  });

  it('are taken away at the start where row or directory is missing', async () => {
    await giveBack(await hold('shared'));
    rmSync(directory, { recursive: true });
    mkdirSync(join(directory, 'half-made'), { recursive: true });
    store = await open();
    expect(await store.list()).toEqual([]);
    expect(readdirSync(directory)).toEqual([]);
  });
});
