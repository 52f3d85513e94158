import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvalidArgumentError, NotFoundError } from '../../../../src/base/errors.ts';
import { ProjectQuotas } from '../../../../src/engine/storage/quota/project.ts';
import { VfsDriver } from '../../../../src/engine/storage/vfs/driver.ts';
import { FakeProjectQuotas } from '../../../support/fake-project-quotas.ts';

let root = '';
let calls: FakeProjectQuotas;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'storage-vfs-'));
  calls = new FakeProjectQuotas();
});
afterEach(async () => rm(root, { recursive: true }));

const copyTree = async (from: string, to: string): Promise<void> => cp(from, to, { recursive: true });
const limits = (): readonly number[] => [...calls.limits.values()];

async function open(storageOptions: readonly string[] = []): Promise<VfsDriver> {
  const quotas = ProjectQuotas.open({ root, filesystem: 'xfs', calls });
  return VfsDriver.open({ root, copyTree, quotas, storageOptions });
}

describe('VfsDriver', () => {
  it('bounds the whole tree of a container, and no layer', async () => {
    const driver = await open(['size=1m']);
    await driver.prepare('extract', null);
    await driver.commit('extract', 'sha256:a');
    await driver.prepare('one', 'sha256:a', { sizeBytes: null });
    await driver.prepare('own', 'sha256:a', { sizeBytes: 77 });
    await driver.prepare('free', 'sha256:a', { sizeBytes: 0 });
    expect(limits()).toEqual([1_048_576, 77]);
    await driver.remove('one');
    expect(limits()).toEqual([77]);
    await driver.remove('own');
    await driver.remove('free');
    expect([limits(), await readdir(root)]).toEqual([[], ['sha256+a']]);
  });

  it('says that a layer has gone which is removed while it is copied', async () => {
    let meanwhile = async (): Promise<void> => undefined;
    const driver = await VfsDriver.open({
      root,
      copyTree: async (from, to) => {
        await meanwhile();
        await copyTree(from, to);
      },
    });
    await driver.prepare('extract', null);
    await driver.commit('extract', 'sha256:a');
    meanwhile = async () => driver.remove('sha256:a');
    await expect(driver.prepare('container', 'sha256:a')).rejects.toThrow(NotFoundError);
    expect(await readdir(root)).toEqual([]);
  });

  it('leaves nothing when the n-th call fails', async () => {
    const driver = await open();
    let failed = 0;
    for (let n = 1; ; n += 1) {
      calls.failAt(n, 'EIO');
      const [outcome] = await Promise.allSettled([driver.prepare('container', null, { sizeBytes: 99 })]);
      if (calls.pendingFailure) break;
      failed += 1;
      expect(outcome.status).toBe('rejected');
      expect([limits(), await readdir(root)]).toEqual([[], []]);
    }
    expect(failed).toBe(3);
  });

  it.each([
    ['size=much', "invalid size: 'much'"],
    ['vfs.magic=1', 'unknown option vfs.magic for vfs'],
    ['size', 'unable to parse storage-opt key/value: size'],
  ])('refuses the option %s', async (option, text) => {
    await expect(open([option])).rejects.toThrow(new InvalidArgumentError(text));
  });

  it('refuses sizes where nothing can be bounded', async () => {
    calls.present = 'none';
    const words = 'Filesystem does not support, or has not enabled quotas: ';
    await expect(open(['size=1m'])).rejects.toThrow(words);
    const driver = await open();
    await expect(driver.prepare('container', null, { sizeBytes: 1 })).rejects.toThrow(words);
    await driver.prepare('container', null, { sizeBytes: null });
    expect(driver.status()).toEqual([]);
  });
});
