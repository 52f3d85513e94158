import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../support/engine.ts';

const COUNT = 20;
const numbers = (count: number): string => Array.from({ length: count }, (_, i) => `${String(i)}\n`).join('');

let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

describe('a daemon that is killed', () => {
  it('adopts twenty logging containers and loses no line and no exit code', async () => {
    const names = Array.from({ length: COUNT }, (_, i) => `s${String(i)}`);
    const gate = `${engine.root}/gate`;
    await engine.dockerOk('volume', 'create', 'gate');
    await Promise.all(
      names.map((name, i) =>
        engine.dockerOk(
          'run',
          '-d',
          '--name',
          name,
          '-v',
          `${gate}:/gate`,
          'busybox',
          'sh',
          '-c',
          `i=0; while [ $i -lt 150 ]; do echo $i; i=$((i+1)); usleep 5000; done; while [ ! -e /gate/${name} ]; do sleep 0.05; done; exit ${String(i)}`,
        ),
      ),
    );
    await engine.end('SIGKILL');
    // Half of them end while nobody looks.
    for (const name of names.slice(0, COUNT / 2)) writeFileSync(`${gate}/${name}`, '');
    await engine.boot();
    expect((await engine.dockerOk('ps', '-aq')).split('\n')).toHaveLength(COUNT);

    const last = names[COUNT - 1]!;
    expect(await engine.dockerOk('exec', last, 'echo', 'alive')).toBe('alive');
    const follower = spawn('docker', ['logs', '-f', last], {
      env: engine.cliEnvironment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const followerClosed = once(follower, 'close');
    let followed = '';
    follower.stdout.on('data', (chunk: Buffer) => (followed += chunk.toString()));
    for (const name of names.slice(COUNT / 2)) writeFileSync(`${gate}/${name}`, '');
    for (const [i, name] of names.entries()) {
      expect(await engine.dockerOk('wait', name)).toBe(String(i));
      expect((await engine.docker(['logs', name])).stdout).toBe(numbers(150));
    }
    await followerClosed;
    expect(followed).toBe(numbers(150));
    await engine.dockerOk('rm', ...names);
  });

  it('stops and kills what it adopted, and restarts by policy', async () => {
    await engine.dockerOk('run', '-d', '--name', 'kept', 'busybox', 'sleep', '300');
    await engine.dockerOk('run', '-d', '--name', 'always', '--restart', 'always', 'busybox', 'sleep', '300');
    const pid = Number(await engine.dockerOk('inspect', '-f', '{{.State.Pid}}', 'always'));
    await engine.end('SIGKILL');
    process.kill(pid, 'SIGKILL');
    await engine.boot();
    await engine.dockerOk('stop', '-t', '0', 'kept');
    expect(await engine.dockerOk('inspect', '-f', '{{.State.ExitCode}}', 'kept')).toBe('137');
    await until(async () =>
      (await engine.dockerOk('inspect', '-f', '{{.State.Running}} {{.State.Pid}}', 'always')).startsWith('true'),
    );
    expect(Number(await engine.dockerOk('inspect', '-f', '{{.State.Pid}}', 'always'))).not.toBe(pid);
    await engine.dockerOk('rm', '-f', 'kept', 'always');
  });

  it('says what happened when the monitor of a container was killed', async () => {
    const id = await engine.dockerOk('run', '-d', '--name', 'orphan', 'busybox', 'sleep', '300');
    const monitors = readdirSync('/proc').filter(
      (entry) => /^\d+$/.test(entry) && commandLine(entry).includes('conmon') && commandLine(entry).includes(id),
    );
    expect(monitors.length).toBeGreaterThan(0);
    for (const monitor of monitors) process.kill(Number(monitor), 'SIGKILL');
    await until(async () => (await engine.dockerOk('inspect', '-f', '{{.State.Status}}', 'orphan')) === 'exited');
    expect(await engine.dockerOk('inspect', '-f', '{{.State.ExitCode}}', 'orphan')).toBe('137');
    expect(await engine.dockerOk('inspect', '-f', '{{.State.Error}}', 'orphan')).not.toBe('');
    await engine.dockerOk('rm', 'orphan');
  });
});

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
