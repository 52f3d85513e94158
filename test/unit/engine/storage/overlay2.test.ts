import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
import { ProjectQuotas } from '../../../../src/engine/storage/quota/project.ts';
import { FakeProjectQuotas } from '../../../support/fake-project-quotas.ts';
import { Overlay2Driver } from '../../../../src/engine/storage/overlay2/driver.ts';

const support = { backingFilesystem: 'extfs', mountOptions: ['index=off'] };

describe('Overlay2Driver', () => {
  let root: string;
  let driver: Overlay2Driver;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'storage-overlay2-'));
    driver = await Overlay2Driver.open({ root, support });
  });
  afterEach(async () => rm(root, { recursive: true }));

  async function layer(name: string, parent: string | null): Promise<void> {
    await driver.prepare(`extract-${name}`, parent);
    await driver.commit(`extract-${name}`, name);
  }

  it('mounts as dockerd does: nearest parent first, short names', async () => {
    await layer('sha256:a', null);
    await layer('sha256:b', 'sha256:a');
    const [mount, ...others] = await driver.prepare('container', 'sha256:b');
    expect(others).toEqual([]);
    expect(mount?.type).toBe('overlay');
    expect(mount?.options.join(',')).toMatch(
      new RegExp(
        `^index=off,lowerdir=${root}/l/[A-Z2-7]{8}:${root}/l/[A-Z2-7]{8},upperdir=${root}/l/[A-Z2-7]{8},workdir=${root}/container/work$`,
      ),
    );
  });

  it("describes snapshots in Docker's words", async () => {
    await layer('sha256:a', null);
    await layer('sha256:b', 'sha256:a');
    await driver.prepare('container', 'sha256:b');
    expect(await driver.describe('container', '/run/merged')).toEqual({
      LowerDir: `${root}/sha256+b/diff:${root}/sha256+a/diff`,
      MergedDir: '/run/merged',
      UpperDir: `${root}/container/diff`,
      WorkDir: `${root}/container/work`,
    });
    expect(await driver.describe('sha256:a', null)).toEqual({
      MergedDir: `${root}/sha256+a/merged`,
      UpperDir: `${root}/sha256+a/diff`,
      WorkDir: `${root}/sha256+a/work`,
    });
  });

  it('shows what docker info shows', () => {
    expect(driver.status()).toEqual([
      ['Backing Filesystem', 'extfs'],
      ['Supports d_type', 'true'],
      ['Using metacopy', 'false'],
      ['Native Overlay Diff', 'true'],
      ['userxattr', 'false'],
    ]);
  });

  it('adopts a parent that came later', async () => {
    await driver.prepare('extract-b', null);
    await expect(driver.adopt('extract-b', 'sha256:a')).rejects.toThrow('does not exist');
    await layer('sha256:a', null);
    await driver.adopt('extract-b', 'sha256:a');
    await driver.commit('extract-b', 'sha256:b');
    expect(await driver.stat('sha256:b')).toEqual({ key: 'sha256:b', kind: 'committed', parent: 'sha256:a' });
    await expect(driver.remove('sha256:a')).rejects.toThrow('has children');
    await driver.remove('sha256:b');
    await driver.remove('sha256:a');
    expect(await readdir(join(root, 'l'))).toEqual([]);
  });

  it("stops at Docker's depth", async () => {
    let parent: string | null = null;
    for (let depth = 0; depth < 128; depth += 1) {
      await layer(`sha256:${String(depth)}`, parent);
      parent = `sha256:${String(depth)}`;
    }
    await driver.prepare('container', parent);
    await layer('sha256:128', parent);
    await expect(driver.prepare('deeper', 'sha256:128')).rejects.toThrow('max depth exceeded');
  });

  it('leaves the files of layers, and of nothing else, to whom it is told', async () => {
    const deleted: string[] = [];
    const deleteTree = async (path: string): Promise<void> => {
      deleted.push(path);
      await rm(path, { recursive: true });
    };
    const telling = await Overlay2Driver.open({ root, support, deleteTree });
    await telling.prepare('container', null);
    await telling.remove('container');
    expect(deleted).toEqual([]);
    await telling.prepare('extract', null);
    const { path } = await telling.layerRoot('extract');
    await telling.commit('extract', 'layer');
    await telling.remove('layer');
    expect(deleted).toEqual([path]);
    expect(await telling.stat('layer')).toBeNull();
  });

  it.each([
    [
      'overlay2.size=10G',
      'Storage option overlay2.size not supported. Filesystem does not support Project Quota: no quotas were looked for',
    ],
    ['overlay2.size=much', "invalid size: 'much'"],
    ['overlay2.magic=1', 'overlay2: unknown option overlay2.magic'],
    ['overlay2.size', 'unable to parse storage-opt key/value: overlay2.size'],
  ])('refuses the option %s', async (option, text) => {
    const open = Overlay2Driver.open({ root, support, storageOptions: [option] });
    await expect(open).rejects.toThrow(text);
    await expect(open).rejects.toBeInstanceOf(InvalidArgumentError);
  });

  it('refuses a size where nothing can be bounded, and takes none for none', async () => {
    await expect(driver.prepare('container', null, { sizeBytes: 1000 })).rejects.toThrow(
      "--storage-opt is supported only for overlay over xfs with 'pquota' mount option: no quotas were looked for",
    );
    expect(await readdir(join(root, 'l'))).toEqual([]);
    await driver.prepare('container', null, { sizeBytes: null });
  });

  describe('with project quotas', () => {
    let calls: FakeProjectQuotas;

    beforeEach(async () => {
      calls = new FakeProjectQuotas();
      driver = await reopened();
      await layer('sha256:a', null);
    });

    async function reopened(storageOptions: readonly string[] = []): Promise<Overlay2Driver> {
      const quotas = ProjectQuotas.open({ root, filesystem: 'xfs', calls });
      return Overlay2Driver.open({ root, support, quotas, storageOptions });
    }

    const limits = (): readonly number[] => [...calls.limits.values()];

    it('puts the files and the work directory of a limited snapshot into one limited directory', async () => {
      const [mount] = await driver.prepare('container', 'sha256:a', { sizeBytes: 4_000_000 });
      const [, letters] = /upperdir=.*\/l\/([A-Z2-7]{8})\/upper,/.exec(mount?.options.join(',') ?? '') ?? [];
      const own = join(root, 'l', letters ?? '');
      expect(mount?.options.at(-1)).toBe(`workdir=${own}/work`);
      expect((await readdir(own)).toSorted()).toEqual(['upper', 'work']);
      expect(calls.projectOf(own)).toBeGreaterThan(0);
      expect(limits()).toEqual([4_000_000]);
      expect(await driver.layerRoot('container')).toEqual({ path: join(own, 'upper'), whiteouts: 'overlay' });
      expect(await driver.describe('container', null)).toMatchObject({ WorkDir: join(own, 'work') });
      expect(await driver.strays()).toEqual([]);
      await driver.remove('container');
      expect(limits()).toEqual([]);
      expect(await readdir(join(root, 'l'))).toHaveLength(1);
    });

    it('gives every container the size that the daemon is set up for, and layers none', async () => {
      driver = await reopened(['overlay2.size=1m']);
      await layer('sha256:b', 'sha256:a');
      await driver.prepare('one', 'sha256:b', { sizeBytes: null });
      await driver.prepare('own', 'sha256:b', { sizeBytes: 77 });
      await driver.prepare('free', 'sha256:b', { sizeBytes: 0 });
      expect(limits()).toEqual([1_048_576, 77]);
    });

    it('keeps a limited snapshot as a layer, and can replace it', async () => {
      await driver.prepare('extract', 'sha256:a', { sizeBytes: 99 });
      await driver.commit('extract', 'sha256:b');
      await driver.prepare('container', 'sha256:b');
      expect(await driver.examine('sha256:b')).toBeNull();
      await driver.prepare('fresh', 'sha256:a');
      await driver.replace('fresh', 'sha256:b');
      expect(await driver.examine('sha256:b')).toBeNull();
      expect(await driver.examine('sha256:a')).toBeNull();
      expect(limits()).toEqual([]);
      for (const key of ['container', 'sha256:b', 'sha256:a']) await driver.remove(key);
      expect(await readdir(join(root, 'l'))).toEqual([]);
    });

    it('gives up the limit on files that a killed daemon left without their snapshot', async () => {
      await driver.prepare('container', 'sha256:a', { sizeBytes: 99 });
      await rm(join(root, 'container'), { recursive: true });
      await reopened();
      expect(limits()).toEqual([]);
      expect(await readdir(join(root, 'l'))).toHaveLength(1);
    });

    it('leaves nothing when the n-th call fails', async () => {
      let failed = 0;
      for (let n = 1; ; n += 1) {
        calls.failAt(n, 'ENOSPC');
        const [outcome] = await Promise.allSettled([driver.prepare('container', 'sha256:a', { sizeBytes: 99 })]);
        if (calls.pendingFailure) break;
        failed += 1;
        expect(outcome.status).toBe('rejected');
        expect(await driver.stat('container')).toBeNull();
        expect([limits(), await readdir(join(root, 'l'))]).toMatchObject([[], { length: 1 }]);
      }
      expect(failed).toBe(3);
    });
  });

  it('takes the option that Docker ignores', async () => {
    const open = Overlay2Driver.open({ root, support, storageOptions: ['overlay2.override_kernel_check=true'] });
    await expect(open).resolves.toBeInstanceOf(Overlay2Driver);
  });
});
