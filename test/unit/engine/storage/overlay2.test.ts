import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
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

  it.each([
    ['overlay2.size=10G', 'storage option overlay2.size is not supported'],
    ['overlay2.magic=1', 'overlay2: unknown option overlay2.magic'],
    ['overlay2.size', 'unable to parse storage option "overlay2.size": expected key=value'],
  ])('refuses the option %s', async (option, text) => {
    const open = Overlay2Driver.open({ root, support, storageOptions: [option] });
    await expect(open).rejects.toThrow(text);
    await expect(open).rejects.toBeInstanceOf(InvalidArgumentError);
  });

  it('takes the option that Docker ignores', async () => {
    const open = Overlay2Driver.open({ root, support, storageOptions: ['overlay2.override_kernel_check=true'] });
    await expect(open).resolves.toBeInstanceOf(Overlay2Driver);
  });
});
