import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MigrationReport, MigrationStep } from '../../src/engine/migration/types.ts';
import { run, TestEngine, until, type CommandResult } from '../support/engine.ts';
import { LoopDisk } from '../support/loop-disk.ts';
import { MOORED } from '../support/program.ts';

/*
 * The storage driver changes under a store with images and containers: what stays, what is refused, and how all of it is moved.
 * One store goes through all of it, on a disk of btrfs where there can be one.
 */

/** What a layer tar could get wrong: links, holes, modes, deletions, directories in place of others, names of any bytes. */
const CHANGES = `
  rm /bin/sh.txt; rm -r /etc/conf.d; mkdir /etc/conf.d; echo new > /etc/conf.d/new
  mkdir -p /data/deep; echo one > /data/deep/one; ln /data/deep/one /data/two; ln -s deep/one /data/link
  chmod 4711 /data/two; chown 1234:5678 /data/deep; chmod 1777 /data; mkfifo /data/pipe; mknod /data/null c 1 3
  dd if=/dev/zero of=/data/sparse bs=1 count=1 seek=5000000 2>/dev/null
  touch -d '2001-02-03 04:05:06' /data/link /data/deep; printf x > "/data/$(printf 'na\\303\\251 me')"
  chmod 700 /; chown 5:6 /; rm -r /gone
`;

const noBtrfs = LoopDisk.obstacle('btrfs');

describe('a change of the storage driver', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'storage-change-'));
  const configFile = join(scratch, 'config.json');
  const use = (driver: string): void => writeFileSync(configFile, JSON.stringify({ 'storage-driver': driver }));
  let disk: LoopDisk | null = null;
  let engine: TestEngine;
  let dataRoot: string;

  beforeAll(async () => {
    use('overlay2');
    disk = noBtrfs === null ? await LoopDisk.make('btrfs', { sizeMib: 400 }) : null;
    dataRoot = join(disk?.path ?? scratch, 'data');
    engine = await TestEngine.start('--data-root', dataRoot, '--bridge', 'none', '--config-file', configFile);
    await engine.importBusybox('base');
    const made = 'mkdir -p /etc/conf.d /gone; echo old > /etc/conf.d/old; echo sh > /bin/sh.txt';
    await ran('maker', 'base', made);
    await engine.dockerOk('commit', 'maker', 'two');
    await ran('old', 'two', CHANGES);
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await disk?.[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true });
  });

  const ran = async (name: string, image: string, script: string): Promise<string> =>
    engine.dockerOk('run', '--network', 'none', '--name', name, image, 'sh', '-c', script);
  /** Ends the daemon and starts it with another driver. */
  const changeTo = async (driver: string): Promise<void> => {
    await engine.end();
    use(driver);
    await engine.boot();
  };
  const places = (config: string): readonly string[] => [
    ...['--data-root', dataRoot, '--exec-root', join(engine.root, 'exec'), '--config-file', config],
  ];
  const migrateWords = (driver: string, ...words: readonly string[]): readonly string[] => [
    ...['migrate-storage', '--to', driver, ...words, ...places(configFile)],
  ];
  interface Moved extends CommandResult {
    readonly report: MigrationReport & { readonly steps: readonly MigrationStep[] };
  }
  const migrate = async (driver: string, ...words: readonly string[]): Promise<Moved> => {
    const result = await run(MOORED, migrateWords(driver, '--json', ...words), {});
    if (result.stdout === '') throw new Error(`no report (${String(result.code)}): ${result.stderr}`);
    return { ...result, report: JSON.parse(result.stdout) as Moved['report'] };
  };
  /** Kills it when it has told so many steps; returns them. */
  const killed = async (driver: string, count: number): Promise<readonly string[]> => {
    const child = spawn(MOORED, migrateWords(driver), { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      lines.push(line);
      if (lines.length === count) child.kill('SIGKILL');
    }
    return lines;
  };
  const check = async (...words: readonly string[]): Promise<readonly unknown[]> => {
    const host = ['-H', `unix://${engine.socketPath}`];
    const { stdout } = await run(MOORED, ['check', '--json', ...words, ...places(configFile), ...host], {});
    return (JSON.parse(stdout) as { readonly findings: readonly unknown[] }).findings;
  };
  const snapshotsOf = (driver: string): readonly string[] =>
    existsSync(join(dataRoot, driver))
      ? readdirSync(join(dataRoot, driver)).filter((name) => /^(?:sha256\+)?[0-9a-f]{64}$/.test(name))
      : [];
  const facts = async (): Promise<readonly string[]> => [
    (await engine.shell('docker export old | sha256sum')).stdout,
    (await engine.shell('docker export old | tar -tvf - --numeric-owner ./ 2>/dev/null | head -1')).stdout,
    await engine.dockerOk('diff', 'old'),
  ];
  const warnings = async (): Promise<readonly string[]> =>
    ((await engine.api('GET', '/info')).json as { readonly Warnings: readonly string[] }).Warnings;

  it('is refused beside a daemon, beside containers that run, and to what is no driver', async () => {
    const refused = async (...words: readonly string[]): Promise<string> => {
      const { code, stderr } = await run(MOORED, words, {});
      expect(code).toBe(2);
      return stderr;
    };
    expect(await refused(...migrateWords('vfs'))).toContain('is in use by another engine');
    expect(await refused(...migrateWords('aufs'))).toContain('storage driver aufs is refused');
    const elsewhere = ['data-root', 'exec-root', 'pidfile'].flatMap((flag) => [`--${flag}`, join(scratch, 'no', flag)]);
    const words = [...elsewhere, '-H', `unix://${scratch}/no.sock`, '-s', 'overlay2', '--storage-opt', 'nonsense=1'];
    expect((await run(MOORED, words, {})).stderr).toContain(
      'failed to start daemon: error initializing graphdriver: overlay2: unknown option nonsense',
    );
    expect(await refused('migrate-storage')).toBe('moored migrate-storage: --to DRIVER is missing\n');
    await engine.dockerOk('run', '-d', '--network', 'none', '--name', 'runs', 'two', 'sleep', '1000');
    await engine.end('SIGKILL');
    expect(await refused(...migrateWords('vfs'))).toMatch(/containers run, or are still mounted/);
    await engine.boot();
    await until(async () => (await engine.dockerOk('inspect', '-f', '{{.State.Running}}', 'runs')) === 'true');
    await engine.dockerOk('rm', '-f', 'runs');
  });

  it('moves all of overlay2 to vfs, goes on where it was killed, and deletes the old data when asked', async () => {
    const before = await facts();
    await engine.end();
    expect(await killed('vfs', 1)).not.toContain('2 layers and 2 containers moved to vfs.');
    expect(await killed('vfs', 2)).not.toContain('2 layers and 2 containers moved to vfs.');
    const { code, report } = await migrate('vfs');
    expect([code, report.steps.filter(({ outcome }) => outcome === 'failed')]).toEqual([0, []]);
    expect([snapshotsOf('overlay2').length, snapshotsOf('vfs').length]).toEqual([4, 4]);
    use('vfs');
    await engine.boot();
    expect(await facts()).toEqual(before);
    expect(await engine.dockerOk('start', '-a', 'maker')).toBe('');
    await engine.end();
    // Done already.
    const again = await migrate('vfs', '--remove-old');
    expect(again.report).toMatchObject({ layers: 0, containers: 0, failures: 0 });
    expect(again.report.steps.at(-1)).toMatchObject({ subject: 'overlay2', outcome: 'removed' });
    expect([snapshotsOf('overlay2').length, snapshotsOf('vfs').length]).toEqual([0, 4]);
    expect(await check('--deep')).toEqual([]);
  });

  it(`moves all of vfs to btrfs${noBtrfs === null ? '' : ` (skipped: ${noBtrfs})`}, and back to overlay2`, async () => {
    await engine.boot();
    const before = await facts();
    await engine.end();
    for (const driver of [...(noBtrfs === null ? ['btrfs'] : []), 'overlay2']) {
      const { code, report } = await migrate(driver, '--remove-old');
      expect([code, report]).toEqual([0, expect.objectContaining({ layers: 2, containers: 2, failures: 0 })]);
      use(driver);
      expect(await check()).toEqual([]);
    }
    expect(['vfs', 'btrfs', 'overlay2'].map((driver) => snapshotsOf(driver).length)).toEqual([0, 0, 4]);
    await engine.boot();
    expect(await facts()).toEqual(before);
  });

  it('keeps images and containers, unpacks layers when they are needed, refuses what needs the old files', async () => {
    const before = await engine.dockerOk('images', '--no-trunc', '--format', '{{.ID}} {{.Repository}} {{.Size}}');
    await changeTo('vfs');
    expect(await engine.dockerOk('images', '--no-trunc', '--format', '{{.ID}} {{.Repository}} {{.Size}}')).toBe(before);
    expect(snapshotsOf('vfs')).toEqual([]);
    expect(await warnings()).toContainEqual(
      `WARNING: storage driver overlay2 holds data in ${dataRoot}/overlay2 that vfs does not use (2 containers, ` +
        '2 layers): "moored migrate-storage --to vfs" moves what is needed, and with --remove-old deletes the rest',
    );
    // Nothing is wrong with that.
    expect(await check()).toEqual([]);
    expect(await engine.dockerOk('run', '--rm', 'two', 'cat', '/etc/conf.d/old')).toBe('old');
    expect(snapshotsOf('vfs')).toHaveLength(2);
    expect(await engine.dockerOk('ps', '-as', '--format', '{{.Names}} {{.Size}}')).toMatch(/^old .*\nmaker /);
    expect(await engine.dockerOk('inspect', '-f', '{{.Driver}} {{.GraphDriver.Name}}', 'old')).toBe(
      'overlay2 overlay2',
    );
    const refusal =
      'Error response from daemon: container old was made with storage driver overlay2 and the engine runs with vfs: start ' +
      'the engine with --storage-driver overlay2, or end it and run "moored migrate-storage --to vfs"';
    for (const words of [
      ['diff', 'old'],
      ['commit', 'old'],
      ['export', 'old'],
      ['cp', 'old:/data', '-'],
    ]) {
      const { code, stderr } = await engine.docker(words);
      expect([words[0], code, stderr.trim()]).toEqual([words[0], 1, refusal]);
    }
    expect((await engine.docker(['start', 'old'])).stderr).toContain(refusal);
    expect(await engine.dockerOk('inspect', '-f', '{{.State.Status}}', 'old')).toBe('exited');
    await engine.dockerOk('rm', '-v', 'old');
    expect(snapshotsOf('overlay2')).toHaveLength(3);
    await changeTo('overlay2');
    expect(await engine.dockerOk('start', '-a', 'maker')).toBe('');
  });

  it('says of a layer whose blob is gone that the image is to be pulled again', async ({ skip }) => {
    // One that has no layers now.
    if (noBtrfs !== null) skip(noBtrfs);
    await engine.end();
    rmSync(join(dataRoot, 'content/blobs/sha256'), { recursive: true });
    use('btrfs');
    await engine.boot();
    const { status, json } = await engine.api('POST', '/containers/create', { Image: 'two' });
    expect(status).toBe(404);
    expect((json as { readonly message: string }).message).toMatch(
      /^image two:latest is not unpacked for the storage driver in use, and the content of layer [0-9a-f]{12} is not kept here any more: pull it again$/,
    );
    expect(snapshotsOf('btrfs')).toEqual([]);
  });
});
