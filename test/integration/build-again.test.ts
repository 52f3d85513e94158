/** Builds on the real engine once more: after images went, after a restart, beside an equal one, on other storage. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, TestEngine, until, type CommandResult } from '../support/engine.ts';
import { LoopDisk } from '../support/loop-disk.ts';

const EPOCH = ['--build-arg', 'SOURCE_DATE_EPOCH=1700000000'];
const STEPS = `RUN mkdir -p /made/below && echo text > /made/below/file && chown 7:8 /made && ln -s file /made/below/link && rm /etc/group
COPY --chown=9:10 file /copied
RUN cat /copied /made/below/file && stat -c '%u:%g' /made /copied`;

const context = mkdtempSync(join(tmpdir(), 'moored-again-'));
beforeAll(() => writeFileSync(join(context, 'file'), 'of the context\n'));
afterAll(() => rmSync(context, { recursive: true, force: true }));

const build = (engine: TestEngine, lines: string, ...options: readonly string[]): Promise<CommandResult> =>
  run('docker', ['build', '-f', '-', ...options, context], {
    stdin: `FROM busybox\n${lines}\n`,
    env: { ...engine.cliEnvironment, DOCKER_BUILDKIT: '0' },
  });
const outputOf = async (...args: Parameters<typeof build>): Promise<string> => {
  const { code, stdout, stderr } = await build(...args);
  if (code !== 0) throw new Error(`${stdout}${stderr}\n${args[0].log().slice(-2000)}`);
  return stdout;
};
const hits = (output: string): number => output.split('---> Using cache').length - 1;
const idOf = async (engine: TestEngine, name: string): Promise<string> =>
  engine.dockerOk('image', 'inspect', '-f', '{{.Id}}', name);

describe('a build', () => {
  let engine: TestEngine;

  beforeAll(async () => {
    engine = await TestEngine.start();
    await engine.importBusybox();
  });
  afterAll(async () => engine[Symbol.asyncDispose]());

  it('takes its steps from the cache after its image was removed, and after a restart', async () => {
    await outputOf(engine, STEPS, '-t', 'first');
    const id = await idOf(engine, 'first');
    await engine.dockerOk('rmi', 'first');
    expect(hits(await outputOf(engine, STEPS, '-t', 'second'))).toBe(3);
    expect(await idOf(engine, 'second')).toBe(id);
    await engine.dockerOk('rmi', 'second');
    await engine.end('SIGKILL');
    await engine.boot();
    expect(hits(await outputOf(engine, STEPS, '-t', 'third'))).toBe(3);
    expect(await idOf(engine, 'third')).toBe(id);
    expect(await engine.dockerOk('run', '--rm', 'third', 'cat', '/copied')).toBe('of the context');
  });

  it('takes steps from an image that came as a plain archive, and keeps its layers as they are', async () => {
    const lines = 'COPY file /f1\nCOPY file /f2';
    await outputOf(engine, lines, '-t', 'sent');
    const archive = join(context, '..', `${basename(context)}.tar`);
    await engine.dockerOk('save', '-o', archive, 'sent');
    await engine.dockerOk('rmi', 'sent');
    await engine.dockerOk('builder', 'prune', '-af');
    await engine.dockerOk('load', '-i', archive);
    rmSync(archive);
    const more = `${lines}\nRUN cmp /f1 /f2 && cp /f1 /f3`;
    expect(hits(await outputOf(engine, more, '--cache-from', 'sent', '-t', 'got'))).toBe(2);
    await engine.dockerOk('rmi', 'sent');
    expect(hits(await outputOf(engine, more))).toBe(3);
    expect(await engine.dockerOk('run', '--rm', 'got', 'cat', '/f3')).toBe('of the context');
  });

  it('does each step once beside an equal one', async () => {
    const lines = 'RUN echo alone > /f; sleep 0.2\nCOPY file /f2\nENV A=b';
    const outputs = await Promise.all([outputOf(engine, lines, '-t', 'left'), outputOf(engine, lines, '-t', 'right')]);
    expect(await idOf(engine, 'left')).toBe(await idOf(engine, 'right'));
    expect(outputs.join('').split('---> Running in').length - 1).toBe(1);
    expect(await engine.dockerOk('ps', '-aq')).toBe('');
  });

  it('tells of signals and of memory that ran out by the exit code', async () => {
    const killed = build(engine, 'RUN sleep 1000');
    const id = await until(async () => (await engine.dockerOk('ps', '-q')) || null);
    await engine.dockerOk('kill', id);
    expect(await killed).toMatchObject({
      code: 137,
      stderr: expect.stringContaining("The command '/bin/sh -c sleep 1000' returned a non-zero code: 137"),
    });
    const alone = await build(engine, 'RUN ["tail", "/dev/zero"]', '--memory=16m');
    expect(alone.code).toBe(137);
    expect(await engine.dockerOk('ps', '-aq')).toBe('');
  });

  it('finds containers of its network by name', async () => {
    await engine.dockerOk('network', 'create', 'app');
    await engine.dockerOk('run', '-d', '--name', 'web', '--network', 'app', 'busybox', 'sleep', '1000');
    const output = await outputOf(engine, 'RUN nslookup web && ping -c 1 -W 5 web', '--network', 'app');
    expect(output).toContain('1 packets received');
    const other = await build(engine, 'RUN ping -c 1 -W 5 web');
    expect(other.stdout + other.stderr).toContain('bad address');
    await engine.dockerOk('rm', '-f', 'web');
    await engine.dockerOk('network', 'rm', 'app');
  });

  it('makes the same image on another engine, of the time that is asked for, which keeps no more than its limits', async () => {
    await outputOf(engine, STEPS, '-t', 'timed', ...EPOCH);
    const [mine, saved] = [await idOf(engine, 'timed'), join(context, '..', `${engine.bridge}.tar`)];
    await engine.dockerOk('save', '-o', saved, 'busybox');
    await using other = await TestEngine.start('--storage-driver', 'vfs', '--builder-gc', 'policy=[{"all":true}]');
    try {
      await other.dockerOk('load', '-i', saved);
    } finally {
      rmSync(saved);
    }
    expect(await outputOf(other, STEPS, '-t', 'timed', ...EPOCH)).toContain('\nof the context\ntext\n7:8\n9:10\n');
    expect(await idOf(other, 'timed')).toBe(mine);
    const rows = async (): Promise<unknown> =>
      ((await other.api('GET', '/system/df?type=build-cache')).json as { readonly BuildCache: unknown }).BuildCache;
    await expect.poll(rows).toEqual([]);
  });
});

const noBtrfs = LoopDisk.obstacle('btrfs');

describe('a build on btrfs', () => {
  if (noBtrfs !== null) {
    it('works', (test) => test.skip(noBtrfs));
    return;
  }
  it('goes on from the cache that another storage driver filled', async () => {
    await using disk = await LoopDisk.make('btrfs', { sizeMib: 512 });
    const root = join(disk.path, 'data');
    mkdirSync(root);
    let id = '';
    {
      await using before = await TestEngine.start('--data-root', root, '--storage-driver', 'vfs');
      await before.importBusybox();
      await outputOf(before, STEPS, '-t', 'app');
      id = await idOf(before, 'app');
    }
    await using engine = await TestEngine.start('--data-root', root, '--storage-driver', 'btrfs');
    expect(hits(await outputOf(engine, STEPS, '-t', 'again'))).toBe(3);
    expect(await idOf(engine, 'again')).toBe(id);
    expect(await outputOf(engine, STEPS, '--no-cache')).toContain('\nof the context\ntext\n7:8\n9:10\n');
  });
});
