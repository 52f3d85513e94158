import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CapturedRun } from '../../../../src/engine/kernel/kernel.ts';
import type { CgroupHost } from '../../../../src/engine/runtime/cgroups.ts';
import { chooseRuntimes, type RuntimeChoice } from '../../../../src/engine/runtime/choice.ts';

const HOST: CgroupHost = { version: '1', layout: 'hybrid', mountPoints: new Map(), unmounted: [] };

describe('choosing a runtime', () => {
  let directory: string;
  let runs: readonly string[][];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'choice-'));
    runs = [];
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  function install(name: string, content = ''): void {
    writeFileSync(join(directory, name), content);
    chmodSync(join(directory, name), 0o755);
  }

  function choose(options: Partial<Parameters<typeof chooseRuntimes>[0]> = {}): RuntimeChoice {
    return chooseRuntimes({
      kernel: {
        processes: {
          capture: ({ argv }: { argv: string[] }): Promise<CapturedRun> => {
            runs = [...runs, argv];
            return Promise.resolve({ code: 0, signal: null, stdout: 'crun version 1.2.3\nspec: 1.0\n', stderr: '' });
          },
        },
      } as unknown as Parameters<typeof chooseRuntimes>[0]['kernel'],
      stateRoot: join(directory, 'state'),
      cgroups: HOST,
      cgroupDriver: 'cgroupfs',
      preferred: null,
      added: new Map(),
      searchPath: [directory],
      ...options,
    });
  }

  it('takes crun, else runc', () => {
    install('runc');
    expect(choose().defaultName).toBe('runc');
    install('crun');
    expect(choose()).toMatchObject({ defaultName: 'crun', warnings: [] });
  });

  it('passes crun over where it would fail, and says why', () => {
    install('crun');
    install('runc');
    const choice = choose({ cgroups: { ...HOST, unmounted: ['hugetlb'] } });
    expect(choice.defaultName).toBe('runc');
    expect(choice.warnings).toEqual([expect.stringContaining('hugetlb')]);
    rmSync(join(directory, 'runc'));
    expect(choose({ cgroups: { ...HOST, unmounted: ['hugetlb'] } })).toMatchObject({ defaultName: 'crun' });
  });

  it('knows added ones with their arguments, and takes the preferred', () => {
    install('crun');
    const added = new Map([['mine', { path: '/opt/mine', arguments: ['--debug'] }]]);
    const choice = choose({ added, preferred: 'mine' });
    expect(choice.defaultName).toBe('mine');
    const root = join(directory, 'state', 'mine');
    expect(choice.runtimes.get('mine')?.program).toEqual({
      path: '/opt/mine',
      globalArguments: ['--root', root, '--debug'],
      extraArguments: ['--debug'],
    });
  });

  it('refuses a preferred one that does not exist, and a host without any', () => {
    expect(() => choose({ preferred: 'nope' })).toThrow("specified default runtime 'nope' does not exist");
    expect(() => choose()).toThrow(/install crun or runc/);
  });

  it('asks a program for its version once, and only when asked to', async () => {
    install('crun');
    const crun = choose().runtimes.get('crun');
    expect(runs).toEqual([]);
    expect(await crun?.version()).toBe('1.2.3');
    expect(await crun?.version()).toBe('1.2.3');
    expect(runs).toHaveLength(1);
  });

  it('believes in compiled seccomp programs only where crun knows of them: others would run unfiltered', () => {
    install('crun', 'old program');
    expect(choose().runtimes.get('crun')?.acceptsCompiledSeccomp).toBe(false);
    install('crun', 'program … run.oci.seccomp_bpf_data …');
    install('runc', 'program … run.oci.seccomp_bpf_data …');
    expect(choose().runtimes.get('crun')?.acceptsCompiledSeccomp).toBe(true);
    expect(choose().runtimes.get('runc')?.acceptsCompiledSeccomp).toBe(false);
  });

  it('knows of crun and runc that they do not look at the network they join, and of no other', () => {
    install('crun', 'program');
    install('runc', 'program');
    const { runtimes } = choose({ added: new Map([['kata', { path: '/opt/kata/bin/kata-runtime', arguments: [] }]]) });
    expect([...runtimes.values()].map(({ name, readsNetwork }) => [name, readsNetwork])).toEqual([
      ['crun', false],
      ['runc', false],
      ['kata', true],
    ]);
  });
});
