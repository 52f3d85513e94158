import { existsSync, linkSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DirectoryQuotas } from '../../src/engine/storage/quota/types.ts';
import { refusalOf, REFUSALS } from '../support/bounded-writer.ts';

/** How quotas under test are made. */
export interface QuotaHarness {
  /** An empty directory below which directories are limited. */
  readonly root: string;
  readonly quotas: DirectoryQuotas;
  /** What a restarted daemon does. */
  reopen(): Promise<DirectoryQuotas>;
  dispose(): Promise<void>;
}

const MIB = 1024 * 1024;
const LIMIT = 8 * MIB;
/** A file system counts in blocks, and what it keeps of files beside their content. */
const SLACK = MIB;

/** What limited directories do on every file system that has them. */
export function describeDirectoryQuotas(name: string, make: () => Promise<QuotaHarness>): void {
  describe(`directory quotas: ${name}`, () => {
    let harness: QuotaHarness;
    let quotas: DirectoryQuotas;
    const at = (...words: readonly string[]): string => join(harness.root, ...words);

    beforeEach(async () => {
      harness = await make();
      quotas = harness.quotas;
    });
    afterEach(async () => harness.dispose());

    async function limited(path: string, sizeBytes = LIMIT): Promise<string> {
      await quotas.make(at(path), { sizeBytes, mode: 0o755 });
      return at(path);
    }

    it('can be had here', () => {
      expect(quotas.obstacle).toBeNull();
    });

    it('make an empty directory with its mode and limit', async () => {
      await quotas.make(at('open'), { sizeBytes: LIMIT, mode: 0o2777 });
      expect(lstatSync(at('open'))).toMatchObject({ uid: 0, gid: 0, mode: 0o42777 });
      expect(readdirSync(at('open'))).toEqual([]);
      const usage = await quotas.usage(at('open'));
      expect(usage?.limitBytes).toBe(LIMIT);
      expect(usage?.usedBytes).toBeLessThan(SLACK);
    });

    it('refuse a path that is taken, which stays as it is', async () => {
      mkdirSync(at('taken'));
      writeFileSync(at('taken', 'file'), 'x');
      await expect(limited('taken')).rejects.toMatchObject({ code: 'EEXIST' });
      expect(readdirSync(at('taken'))).toEqual(['file']);
      expect(await quotas.usage(at('taken'))).toBeNull();
      await expect(limited('no/where')).rejects.toMatchObject({ code: 'ENOENT' });
    });

    it('let nobody write more, at any depth, and let write again what was deleted', async () => {
      const directory = await limited('small');
      mkdirSync(join(directory, 'a/b'), { recursive: true });
      const written = fill(join(directory, 'a/b/file'));
      expect(written).toBeLessThanOrEqual(LIMIT);
      expect(written).toBeGreaterThan(LIMIT - 2 * SLACK);
      expect((await quotas.usage(directory))?.usedBytes).toBeLessThanOrEqual(LIMIT);
      rmSync(join(directory, 'a/b/file'));
      await sync(harness.root);
      writeFileSync(join(directory, 'again'), Buffer.alloc(2 * MIB));
    });

    it('bound each directory for itself, and nothing beside them', async () => {
      const [one, other] = [await limited('one'), await limited('other')];
      fill(join(one, 'file'));
      writeFileSync(join(other, 'file'), Buffer.alloc(2 * MIB));
      writeFileSync(at('beside'), Buffer.alloc(2 * LIMIT));
      expect((await quotas.usage(other))?.limitBytes).toBe(LIMIT);
    });

    it('let rename and link inside', async () => {
      const directory = await limited('tree');
      mkdirSync(join(directory, 'from/deep'), { recursive: true });
      mkdirSync(join(directory, 'to'));
      writeFileSync(join(directory, 'from/deep/file'), 'x');
      renameSync(join(directory, 'from/deep'), join(directory, 'to/deep'));
      linkSync(join(directory, 'to/deep/file'), join(directory, 'link'));
      expect(lstatSync(join(directory, 'link')).nlink).toBe(2);
    });

    it('bound each of many that are made at once', async () => {
      const names = Array.from({ length: 12 }, (_, index) => `many-${String(index)}`);
      await Promise.all(names.map(async (each, index) => limited(each, LIMIT + index * MIB)));
      for (const [index, each] of names.entries()) {
        expect((await quotas.usage(at(each)))?.limitBytes).toBe(LIMIT + index * MIB);
      }
      fill(at('many-0', 'file'));
      writeFileSync(at('many-1', 'file'), Buffer.alloc(MIB));
    });

    it('go with a directory, and are given up twice as once', async () => {
      const directory = await limited('gone');
      writeFileSync(join(directory, 'file'), 'x');
      await quotas.drop(directory);
      expect(await quotas.usage(directory)).toBeNull();
      await quotas.drop(directory);
      rmSync(directory, { recursive: true, force: true });
      await quotas.drop(directory);
      expect(existsSync(directory)).toBe(false);
      await limited('gone');
      expect(readdirSync(directory)).toEqual([]);
    });

    it('leave ordinary directories alone', async () => {
      mkdirSync(at('plain'));
      writeFileSync(at('plain', 'file'), 'x');
      await quotas.drop(at('plain'));
      expect(readdirSync(at('plain'))).toEqual(['file']);
      expect(await quotas.usage(at('plain'))).toBeNull();
      expect(await quotas.usage(at('never'))).toBeNull();
    });

    it('stay over a restart, and new ones are bound apart from old ones', async () => {
      const old = await limited('old');
      quotas = await harness.reopen();
      const [fresh] = [await limited('fresh')];
      expect((await quotas.usage(old))?.limitBytes).toBe(LIMIT);
      fill(join(old, 'file'));
      writeFileSync(join(fresh, 'file'), Buffer.alloc(2 * MIB));
      await quotas.drop(old);
      expect((await quotas.usage(fresh))?.limitBytes).toBe(LIMIT);
    });

    it('take a limit of one byte for one', async () => {
      const directory = await limited('tiny', 1);
      expect((await quotas.usage(directory))?.limitBytes).toBeGreaterThan(0);
      expect(fill(join(directory, 'file'))).toBeLessThanOrEqual(SLACK);
    });
  });
}

/** Writes until it is refused; how much went in. */
function fill(path: string): number {
  expect(refusalOf(path, 4 * LIMIT)).toMatch(REFUSALS);
  return existsSync(path) ? lstatSync(path).size : 0;
}

async function sync(root: string): Promise<void> {
  const { createLinuxKernel } = await import('../../src/engine/kernel/linux/index.ts');
  await createLinuxKernel().mounts.syncFilesystem(root);
}
