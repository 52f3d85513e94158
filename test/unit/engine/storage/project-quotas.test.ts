import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
import { NoQuotas } from '../../../../src/engine/storage/quota/none.ts';
import { ProjectQuotas } from '../../../../src/engine/storage/quota/project.ts';
import { FakeProjectQuotas } from '../../../support/fake-project-quotas.ts';

const LIMITED = { sizeBytes: 1_000_000, mode: 0o750 };
let root = '';
let calls: FakeProjectQuotas;
const at = (name: string): string => join(root, name);

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'quotas-'));
  calls = new FakeProjectQuotas();
});
afterEach(() => rmSync(root, { recursive: true }));

const open = (named: readonly number[] = [], filesystem = 'xfs'): ProjectQuotas =>
  ProjectQuotas.open({ root, filesystem, calls, namedProjects: () => Promise.resolve(new Set(named)) });

describe('project quotas', () => {
  it('give each directory a project of its own, and the limit', async () => {
    const quotas = open();
    await quotas.make(at('one'), LIMITED);
    await quotas.make(at('two'), { ...LIMITED, sizeBytes: 5 });
    expect([calls.projectOf(at('one')), calls.projectOf(at('two'))]).toEqual([32_768, 32_769]);
    expect([...calls.limits]).toEqual([
      [32_768, 1_000_000],
      [32_769, 5],
    ]);
    expect(lstatSync(at('one')).mode & 0o7777).toBe(0o750);
    expect(await quotas.usage(at('one'))).toMatchObject({ limitBytes: 1_000_000, usedBytes: 4096 });
  });

  it('take no number that is in use, has a limit or is named by the administrator', async () => {
    mkdirSync(at('theirs'));
    calls.setProject(at('theirs'), 32_768);
    calls.limit(root, 32_769, 77);
    await open([32_771]).make(at('mine'), LIMITED);
    const project = calls.projectOf(at('mine'));
    expect([32_768, 32_769, 32_771]).not.toContain(project);
    expect(calls.limits.get(32_769)).toBe(77);
  });

  it('find a free number behind thousands with a few questions', async () => {
    for (let project = 32_768; project < 37_768; project += 1) calls.limits.set(project, 1);
    let questions = 0;
    const usage = calls.usage.bind(calls);
    calls.usage = (path, project) => {
      questions += 1;
      return usage(path, project);
    };
    await open().make(at('mine'), LIMITED);
    expect(calls.projectOf(at('mine'))).toBeGreaterThanOrEqual(37_768);
    expect(questions).toBeLessThan(20);
  });

  it("begin behind the root's own project, which is nobody's limit", async () => {
    calls.setProject(root, 999);
    calls.limit(root, 999, 5_000_000);
    const quotas = open();
    await quotas.make(at('mine'), LIMITED);
    expect(calls.projectOf(at('mine'))).toBe(1000);
    mkdirSync(at('plain'));
    expect(await quotas.usage(at('plain'))).toBeNull();
    await quotas.drop(at('plain'));
    expect(calls.limits.get(999)).toBe(5_000_000);
  });

  it('are found again by the next daemon, without any note', async () => {
    await open().make(at('old'), LIMITED);
    const quotas = open();
    await quotas.make(at('fresh'), LIMITED);
    expect(calls.projectOf(at('fresh'))).not.toBe(calls.projectOf(at('old')));
    await quotas.drop(at('old'));
    expect([...calls.limits.keys()]).toEqual([calls.projectOf(at('fresh'))]);
  });

  it('leave nothing when the n-th call fails, and tell the truth', async () => {
    const quotas = open();
    let failed = 0;
    for (let n = 1; ; n += 1) {
      calls.failAt(n, 'EIO');
      const outcome = await Promise.allSettled([quotas.make(at('mine'), LIMITED)]);
      if (calls.pendingFailure) break;
      expect(outcome).toEqual([{ status: 'rejected', reason: expect.objectContaining({ code: 'EIO' }) as unknown }]);
      expect(existsSync(at('mine'))).toBe(false);
      expect(calls.limits.size).toBe(0);
      failed += 1;
    }
    expect(failed).toBe(3);
  });

  it('leave what was there before', async () => {
    writeFileSync(at('file'), 'x');
    await expect(open().make(at('file'), LIMITED)).rejects.toMatchObject({ code: 'EEXIST' });
    expect(readdirSync(root)).toEqual(['file']);
    expect(calls.limits.size).toBe(0);
  });

  it('say when the file system cannot hold such a number', async () => {
    calls.largestProject = 0xff;
    await expect(open().make(at('mine'), LIMITED)).rejects.toMatchObject({ code: 'EINVAL' });
    expect(readdirSync(root)).toEqual([]);
  });

  it.each([
    ['none', 'xfs', /has no project quotas: mount it with the option 'pquota'/],
    ['none', 'extfs', /tune2fs -O quota,project -Q prjquota/],
    ['counted', 'xfs', /project quotas that are counted only/],
  ] as const)('say what is in the way: %s on %s', async (present, filesystem, words) => {
    calls.present = present;
    const quotas = open([], filesystem);
    expect(quotas.obstacle).toMatch(words);
    await expect(quotas.make(at('mine'), LIMITED)).rejects.toThrow(InvalidArgumentError);
    expect(await quotas.usage(root)).toBeNull();
    await quotas.drop(root);
    expect(readdirSync(root)).toEqual([]);
  });
});

describe('no quotas', () => {
  it('refuse with the reason and do nothing else', async () => {
    const quotas = new NoQuotas('tmpfs has none');
    await expect(quotas.make()).rejects.toThrow(new InvalidArgumentError('tmpfs has none'));
    expect(await quotas.usage()).toBeNull();
    await quotas.drop();
    expect(quotas.obstacle).toBe('tmpfs has none');
  });
});
