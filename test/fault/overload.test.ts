/** Containers that do harm to what they share with the daemon: the process table, the log, the disk. All goes on. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { obstacleToContainers } from '../support/bundle.ts';
import { TestEngine, until } from '../support/engine.ts';

// Each boots daemons, floods or kills them, on a machine that may be busy.
vi.setConfig({ testTimeout: 150_000, hookTimeout: 150_000 });

const obstacle = obstacleToContainers();
const because = obstacle === null ? '' : ` (skipped: ${obstacle})`;
const DISK_MIB = 32;
const FLOOD_MIB = 100;
/** Room for the collector's mood; a daemon that kept the flood would have a hundred. */
const GROWTH_MIB = 70;

function residentMib(pid: number): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024;
}

describe.skipIf(obstacle !== null)(`a harmful container${because}`, () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await TestEngine.start('--bridge', 'none');
    await engine.importBusybox();
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });

  it('that floods its output, with one who listens, leaves memory and log within bounds', async () => {
    const before = residentMib(engine.pid);
    const script = `yes 0123456789012345678901234567890123456789 | head -c ${String(FLOOD_MIB * 1024 * 1024)}`;
    const limits = ['--log-opt', 'max-size=1m', '--log-opt', 'max-file=3'];
    await engine.dockerOk('run', '-d', '--name', 'flood', ...limits, 'busybox', 'sh', '-c', script);
    const attached = engine.shell('docker attach flood | wc -c');
    const waited = await engine.api('POST', '/containers/flood/wait');
    expect(waited.json).toEqual({ StatusCode: 0 });
    await attached;
    expect(residentMib(engine.pid)).toBeLessThan(before + GROWTH_MIB);
    const kept = engine.shell(`du -sm ${engine.dataRoot}/containers/*`);
    // What comes between two looks is above the bounds; without them all of it would be there, twice.
    expect(Number.parseInt((await kept).stdout, 10)).toBeLessThan(FLOOD_MIB * 1.5);
    await engine.dockerOk('rm', 'flood');
  });

  it('that leaves zombies and orphans ends whole, with and without an init', async () => {
    const word = `96${String(process.pid)}`;
    // Each inner shell leaves an orphan that becomes init's child, and a dead one that nobody waits for.
    const script = `for n in 1 2 3 4 5; do sh -c "(sleep ${word} &) ; sleep 0 &" ; done; exec sleep ${word}`;
    for (const init of [[], ['--init']]) {
      await engine.dockerOk('run', '-d', '--name', 'tree', ...init, 'busybox', 'sh', '-c', script);
      await until(async () => (await engine.docker(['top', 'tree'])).stdout.split(word).length > 6);
      await engine.dockerOk('stop', '-t', '0', 'tree');
      await engine.dockerOk('rm', 'tree');
      expect(execFileSync('sh', ['-c', `pgrep -fc 'sleep ${word}$' || true`], { encoding: 'utf8' }).trim()).toBe('0');
    }
  });

  it('that is stopped while execs run in it takes these along, and tells their callers', async () => {
    await engine.dockerOk('run', '-d', '--name', 'host', 'busybox', 'sleep', '300');
    const visits = [1, 2, 3].map(async () =>
      engine.docker(['exec', 'host', 'sh', '-c', 'trap "" TERM; echo in; while :; do sleep 1; done']),
    );
    await until(async () => (await engine.docker(['top', 'host'])).stdout.split('echo in').length > 3);
    await engine.dockerOk('stop', '-t', '0', 'host');
    for (const visit of visits) expect(await visit).toMatchObject({ code: 137, stdout: 'in\n' });
    await engine.dockerOk('rm', 'host');
  });

  it('whose fork bomb fills its bounds can still be looked at and ended', async () => {
    const bomb = 'b() { b | b & }; b; sleep 300';
    await engine.dockerOk('run', '-d', '--pids-limit', '40', '--name', 'bomb', 'busybox', 'sh', '-c', bomb);
    const exec = await engine.docker(['exec', 'bomb', 'true']);
    expect(exec.code).not.toBeNull();
    expect((await engine.api('GET', '/containers/bomb/json')).status).toBe(200);
    await engine.dockerOk('rm', '-f', 'bomb');
    expect((await engine.api('GET', '/containers/bomb/json')).status).toBe(404);
  });
});

describe.skipIf(obstacle !== null)(`a full disk${because}`, () => {
  let disk: string;
  beforeAll(() => {
    disk = mkdtempSync(join(tmpdir(), 'moored-full-'));
    mkdirSync(join(disk, 'data'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${String(DISK_MIB)}m`, 'moored-full', join(disk, 'data')]);
  });
  afterAll(() => {
    execFileSync('umount', ['-l', join(disk, 'data')]);
    rmSync(disk, { recursive: true });
  });

  const filler = (): string => join(disk, 'data', 'filler');
  function fill(): void {
    // To the last byte: a whole block may not fit any more where a small one does.
    // Again, should the daemon have given back something meanwhile.
    do execFileSync('sh', ['-c', `cat /dev/zero >> ${filler()} 2>/dev/null || true`]);
    while (statfsSync(join(disk, 'data')).bavail > 0);
  }

  it('of the log neither stops the container nor the daemon, nor keeps one from booting', async () => {
    await using engine = await TestEngine.start('--data-root', join(disk, 'data'), '--bridge', 'none');
    await engine.importBusybox();
    const script = 'n=0; while :; do n=$((n+1)); echo line $n; echo $n > /dev/shm/n; sleep 0.02; done';
    await engine.dockerOk('run', '-d', '--name', 'talker', 'busybox', 'sh', '-c', script);
    const spoken = async (): Promise<number> => Number(await engine.dockerOk('exec', 'talker', 'cat', '/dev/shm/n'));
    await until(async () => (await spoken()) > 0);
    fill();
    const then = await spoken();
    await until(async () => (await spoken()) > then + 50);
    expect((await engine.api('GET', '/containers/json')).json).toHaveLength(1);

    // A daemon that is killed on the full disk comes up on it and finds the container.
    await engine.end('SIGKILL');
    await engine.boot();
    const later = await spoken();
    await until(async () => (await spoken()) > later);
    const refused = await engine.docker(['create', '--name', 'more', 'busybox', 'true']);
    if (refused.code !== 0) expect(refused.stderr).toContain('no space left on device');

    rmSync(filler());
    await until(async () => (await engine.docker(['logs', '--tail', '1', 'talker'])).stdout !== '');
    expect((await engine.docker(['run', '--rm', 'busybox', 'echo', 'alive'])).stdout).toBe('alive\n');
    await engine.dockerOk('rm', '-f', 'talker');
  });

  it('lets a daemon boot that ended in good order, and lets it remove', async () => {
    await using engine = await TestEngine.start('--data-root', join(disk, 'data'), '--bridge', 'none');
    if ((await engine.dockerOk('images', '-q')) === '') await engine.importBusybox();
    await engine.dockerOk('create', '--name', 'kept', 'busybox', 'true');
    await engine.end('SIGTERM');
    fill();
    await engine.boot();
    await until(async () => (await engine.docker(['rm', 'kept'])).code === 0);
    rmSync(filler());
    expect((await engine.docker(['run', '--rm', 'busybox', 'echo', 'alive'])).stdout).toBe('alive\n');
  });

  it.each(['stop', 'kill', 'rm'])('can be emptied: %s of what has filled it', async (verb) => {
    await using engine = await TestEngine.start('--data-root', join(disk, 'data'), '--bridge', 'none');
    if ((await engine.dockerOk('images', '-q')) === '') await engine.importBusybox();
    const script = 'cat /dev/zero > /fills; while :; do cat /dev/zero >> /fills; sleep 0.01; done 2>/dev/null';
    const policy = ['--restart', 'always', '--stop-timeout', '0'];
    await engine.dockerOk('run', '-d', '--name', 'greedy', ...policy, 'busybox', 'sh', '-c', script);
    await until(() => statfsSync(join(disk, 'data')).bavail === 0);
    if (verb !== 'rm') {
      await engine.dockerOk(verb, 'greedy');
      await until(async () => (await engine.docker(['ps', '-q'])).stdout === '');
    }
    await engine.dockerOk('rm', '-f', 'greedy');
    expect(await engine.dockerOk('ps', '-aq')).toBe('');
    expect(statfsSync(join(disk, 'data')).bavail).toBeGreaterThan(0);
    expect((await engine.docker(['run', '--rm', 'busybox', 'echo', 'alive'])).stdout).toBe('alive\n');
  });
});
