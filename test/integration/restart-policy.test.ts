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

async function run(name: string, policy: string, ...command: readonly string[]): Promise<void> {
  const options = ['--restart', policy, '--stop-timeout', '0', '--network', 'none'];
  await engine.dockerOk('run', '-d', '--name', name, ...options, 'busybox', ...command);
}

/** `status exit-code restart-count`. */
async function stateOf(name: string): Promise<string> {
  return engine.dockerOk('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}', name);
}

/** Waits for a pause that is long enough to look into. */
async function resting(name: string, count: number): Promise<void> {
  await until(async () => {
    const [status, , restarts] = (await stateOf(name)).split(' ');
    return status === 'restarting' && Number(restarts) >= count;
  });
}

describe('restart policies', () => {
  it('give up after the retries of on-failure', async () => {
    await run('few', 'on-failure:3', 'sh', '-c', 'exit 4');
    await until(async () => (await stateOf('few')) === 'exited 4 3');
    await run('fine', 'on-failure:3', 'true');
    await until(async () => (await stateOf('fine')) === 'exited 0 0');
  });

  it('show a container that waits for its next start, and let it be stopped, removed and killed', async () => {
    for (const name of ['one', 'two', 'three']) await run(name, 'always', 'sh', '-c', 'exit 3');
    for (const name of ['one', 'two', 'three']) await resting(name, 4);
    expect(await engine.dockerOk('ps', '--filter', 'name=one', '--format', '{{.Status}}')).toMatch(
      /^(Restarting \(3\)|Up) .*/,
    );
    await resting('one', 5);
    await engine.dockerOk('stop', 'one');
    expect(await stateOf('one')).toMatch(/^exited 3 \d+$/);
    await resting('two', 5);
    await engine.dockerOk('rm', '-f', 'two');
    await resting('three', 5);
    await engine.dockerOk('kill', 'three');
    expect(await stateOf('three')).toMatch(/^exited 3 \d+$/);
    expect(await engine.dockerOk('ps', '-a', '--format', '{{.Names}}')).toBe('three\none');
  });

  it('are called off by a kill, as by dockerd: by any signal where no stop signal was given', async () => {
    const deaf = 'trap "" HUP; trap "exit 9" USR1; while :; do sleep 0.05; done';
    await run('any', 'always', 'sh', '-c', deaf);
    await engine.dockerOk(
      'run',
      '-d',
      '--name',
      'own',
      '--restart',
      'always',
      '--stop-signal',
      'TERM',
      '--network',
      'none',
      'busybox',
      'sh',
      '-c',
      deaf,
    );
    for (const name of ['any', 'own']) {
      await until(async () =>
        (await engine.dockerOk('exec', name, 'sh', '-c', 'grep SigCgt /proc/1/status')).includes('2'),
      );
      await engine.dockerOk('kill', '-s', 'HUP', name);
      await engine.dockerOk('kill', '-s', 'USR1', name).catch(() => undefined);
    }
    await until(async () => (await stateOf('any')) === 'exited 9 0');
    await until(async () => (await stateOf('own')).endsWith(' 1'));
  });

  it('mean what Docker says when the engine comes up again', async () => {
    await run('always', 'always', 'sleep', '300');
    await run('unless', 'unless-stopped', 'sleep', '300');
    await run('kept', 'unless-stopped', 'sleep', '300');
    await engine.dockerOk('stop', 'always', 'unless');
    await engine.end('SIGTERM');
    await engine.boot();
    await until(async () => (await stateOf('always')).startsWith('running'));
    expect(await stateOf('unless')).toBe('exited 137 0');
    await until(async () => (await stateOf('kept')).startsWith('running'));
  });

  it('count on over a killed engine', async () => {
    await run('counted', 'on-failure:6', 'sh', '-c', 'exit 1');
    await resting('counted', 3);
    await engine.end('SIGKILL');
    await engine.boot();
    await until(async () => (await stateOf('counted')) === 'exited 1 6');
  });
});

describe('--rm', () => {
  it('is kept by an engine that was killed while the container ran', async () => {
    await engine.dockerOk(
      'run',
      '-d',
      '--rm',
      '--name',
      'brief',
      '-v',
      '/data',
      '--network',
      'none',
      'busybox',
      'sleep',
      '300',
    );
    const pid = Number(await engine.dockerOk('inspect', '-f', '{{.State.Pid}}', 'brief'));
    await engine.end('SIGKILL');
    process.kill(pid, 'SIGKILL');
    await engine.boot();
    await until(async () => (await engine.dockerOk('ps', '-aq')) === '');
    await until(async () => (await engine.dockerOk('volume', 'ls', '-q')) === '');
  });

  it('tells who waits for the removal the exit code', async () => {
    const id = await engine.dockerOk(
      'run',
      '-d',
      '--rm',
      '--network',
      'none',
      'busybox',
      'sh',
      '-c',
      'sleep 0.3; exit 7',
    );
    const waits = ['removed', 'next-exit', 'not-running'].map((condition) =>
      engine.api('POST', `/containers/${id}/wait?condition=${condition}`),
    );
    for (const wait of waits) expect((await wait).json).toEqual({ StatusCode: 7 });
    expect((await engine.api('GET', `/containers/${id}/json`)).status).toBe(404);
  });
});
