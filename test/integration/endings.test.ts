import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../support/engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterEach(async () => {
  await engine.removeContainers();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

const RUN = ['run', '-d', '--network', 'none'];

/** Processes of the host whose command has `word` in it. */
function running(word: string): number {
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(word);
    } catch {
      return false;
    }
  }).length;
}

async function stateOf(name: string): Promise<string> {
  return engine.dockerOk('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}', name);
}

describe('the end of a container', () => {
  it('takes along what it started in the host’s pid namespace', async () => {
    const word = `98${String(process.pid)}`;
    const script = `for n in 1 2 3; do setsid sleep ${word} & done; sleep 0.3; exit 6`;
    await engine.dockerOk(...RUN, '--pid', 'host', '--name', 'tree', 'busybox', 'sh', '-c', script);
    await until(async () => (await stateOf('tree')) === 'exited 6 false');
    await until(() => running(word) === 0);
  });

  it('comes by force when signals are ignored, for a whole tree', async () => {
    const word = `97${String(process.pid)}`;
    const script = `trap "" TERM INT HUP; (trap "" TERM; sleep ${word}) & (setsid sleep ${word}) & wait; sleep ${word}`;
    await engine.dockerOk(...RUN, '--name', 'deaf', 'busybox', 'sh', '-c', script);
    await until(() => running(word) > 1);
    await engine.dockerOk('stop', '-t', '1', 'deaf');
    expect(await stateOf('deaf')).toBe('exited 137 false');
    await until(() => running(word) === 0);
  });

  it('comes to a fork bomb in its bounds', async () => {
    const bomb = 'b() { b | b & }; b; sleep 300';
    await engine.dockerOk(...RUN, '--pids-limit', '50', '--name', 'bomb', 'busybox', 'sh', '-c', bomb);
    await engine.dockerOk('rm', '-f', 'bomb');
    expect(await engine.dockerOk('ps', '-aq')).toBe('');
  });

  it('is told as one for lack of memory', async () => {
    await engine.dockerOk(
      ...RUN,
      '--memory',
      '16m',
      '--memory-swap',
      '16m',
      '--name',
      'hungry',
      'busybox',
      'sh',
      '-c',
      'exec tail /dev/zero',
    );
    await until(async () => (await stateOf('hungry')).startsWith('exited'));
    expect(await stateOf('hungry')).toBe('exited 137 true');
  });

  it.each(['STOP', '19'])('comes to one that was stopped by SIGSTOP (%s)', async (stop) => {
    await engine.dockerOk(...RUN, '--name', 'still', 'busybox', 'sh', '-c', 'sleep 300');
    await engine.dockerOk('kill', '-s', stop, 'still');
    expect(await stateOf('still')).toBe('running 0 false');
    await engine.dockerOk('stop', '-t', '0', 'still');
    expect(await stateOf('still')).toBe('exited 137 false');
  });

  it('comes to what runs when the engine ends without live-restore', async () => {
    await engine.dockerOk(
      ...RUN,
      '--name',
      'down',
      '--restart',
      'unless-stopped',
      '--stop-timeout',
      '0',
      'busybox',
      'sleep',
      '300',
    );
    const pid = Number(await engine.dockerOk('inspect', '-f', '{{.State.Pid}}', 'down'));
    await engine.end('SIGTERM');
    expect(() => process.kill(pid, 0)).toThrow();
    await engine.boot();
    await until(async () => (await stateOf('down')).startsWith('running'));
  });

  it('is waited for across a restart of the engine', async () => {
    await engine.dockerOk(
      ...RUN,
      '--name',
      'long',
      'busybox',
      'sh',
      '-c',
      'while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 11',
    );
    const lost = engine.api('POST', '/containers/long/wait').catch(() => 'lost');
    await until(async () => (await engine.api('GET', '/_ping')).status === 200);
    await engine.end('SIGKILL');
    expect(await lost).toBe('lost');
    await engine.boot();
    const waits = ['not-running', 'next-exit'].map((condition) =>
      engine.api('POST', `/containers/long/wait?condition=${condition}`),
    );
    await engine.dockerOk('exec', 'long', 'touch', '/tmp/go');
    for (const wait of waits) expect((await wait).json).toEqual({ StatusCode: 11 });
  });
});
