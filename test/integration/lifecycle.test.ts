import { spawn } from 'node:child_process';
import { once } from 'node:events';
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

const docker = (...args: readonly string[]): ReturnType<TestEngine['docker']> => engine.docker(args);

describe('life cycle', () => {
  it('goes from created over running to exited, with the codes Docker shows', async () => {
    await engine.dockerOk('create', '--name', 'c1', 'busybox', 'sh', '-c', 'echo started; exit 3');
    expect(await engine.dockerOk('inspect', '-f', '{{.State.Status}} {{.State.StartedAt}}', 'c1')).toBe(
      'created 0001-01-01T00:00:00Z',
    );
    const started = await docker('start', '-a', 'c1');
    expect(started).toEqual({ code: 3, stdout: 'started\n', stderr: '' });
    expect(await engine.dockerOk('wait', 'c1')).toBe('3');
    expect(await engine.dockerOk('ps', '-a', '--filter', 'name=c1', '--format', '{{.Status}}')).toMatch(
      /^Exited \(3\) (Less than a second|\d+ seconds?) ago$/,
    );
    expect(await engine.dockerOk('logs', 'c1')).toBe('started');
  });

  it('stops by signal, kills after the time, and starts again', async () => {
    await engine.dockerOk(
      'run',
      '-d',
      '--name',
      'polite',
      'busybox',
      'sh',
      '-c',
      'trap "exit 5" TERM; touch /tmp/ready; while :; do sleep 0.1; done',
    );
    // Before its trap is set, the first process of a pid namespace takes no notice of TERM.
    await until(async () => (await docker('exec', 'polite', 'test', '-e', '/tmp/ready')).code === 0);
    await engine.dockerOk('stop', 'polite');
    expect(await engine.dockerOk('inspect', '-f', '{{.State.ExitCode}}', 'polite')).toBe('5');
    await engine.dockerOk('run', '-d', '--name', 'deaf', 'busybox', 'sleep', '300');
    await engine.dockerOk('stop', '-t', '0', 'deaf');
    expect(await engine.dockerOk('inspect', '-f', '{{.State.ExitCode}} {{.State.Running}}', 'deaf')).toBe('137 false');
    await engine.dockerOk('restart', '-t', '0', 'deaf');
    expect(await engine.dockerOk('inspect', '-f', '{{.State.Running}}', 'deaf')).toBe('true');
    expect(await engine.dockerOk('kill', '-s', 'KILL', 'deaf')).toBe('deaf');
    expect(await engine.dockerOk('wait', 'deaf')).toBe('137');
  });

  it('answers 304 to a second start and stop, 409 to a kill of what does not run', async () => {
    await engine.dockerOk('run', '-d', '--name', 'r1', 'busybox', 'sleep', '300');
    expect((await engine.api('POST', '/v1.41/containers/r1/start')).status).toBe(304);
    expect((await engine.api('POST', '/v1.41/containers/r1/stop?t=0')).status).toBe(204);
    expect((await engine.api('POST', '/v1.41/containers/r1/stop?t=0')).status).toBe(304);
    expect((await engine.api('POST', '/v1.41/containers/r1/kill')).status).toBe(409);
  });

  it('refuses a taken name, a running removal and unknown ones in Docker’s words', async () => {
    const id = await engine.dockerOk('run', '-d', '--name', 'n1', 'busybox', 'sleep', '300');
    const again = await docker('run', '--name', 'n1', 'busybox', 'true');
    expect(again.code).toBe(125);
    expect(again.stderr).toContain(
      `Conflict. The container name "/n1" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
    );
    const removal = await docker('rm', 'n1');
    expect(removal.code).toBe(1);
    expect(removal.stderr).toMatch(/running/);
    expect((await docker('rm', 'nosuch')).stderr).toBe('Error response from daemon: No such container: nosuch\n');
    expect((await engine.api('GET', '/containers/nosuch/json')).status).toBe(404);
  });

  it('waits for next-exit and removal', async () => {
    await engine.dockerOk('create', '--name', 'w1', '--rm', 'busybox', 'sh', '-c', 'exit 4');
    const nextExit = engine.api('POST', '/v1.41/containers/w1/wait?condition=next-exit');
    const removed = engine.api('POST', '/v1.41/containers/w1/wait?condition=removed');
    expect((await engine.api('POST', '/v1.41/containers/w1/start')).status).toBe(204);
    expect((await nextExit).json).toMatchObject({ StatusCode: 4 });
    expect((await removed).json).toMatchObject({ StatusCode: 4 });
    expect((await engine.api('GET', '/containers/w1/json')).status).toBe(404);
    expect((await engine.api('POST', '/containers/x/wait?condition=never')).status).toBe(400);
  });

  it('attaches to a running container and detaches by its keys', async () => {
    await engine.dockerOk('run', '-dit', '--name', 'a1', 'busybox', 'sh');
    const client = spawn('script', ['-qec', 'docker attach a1', '/dev/null'], {
      env: engine.cliEnvironment,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let seen = '';
    client.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    client.stdin.write('echo $((40+2))\n');
    await until(() => seen.includes('42'));
    client.stdin.write('\x10\x11');
    await once(client, 'exit');
    expect(await engine.dockerOk('inspect', '-f', '{{.State.Running}}', 'a1')).toBe('true');
  });

  it('restarts by policy and counts', async () => {
    await engine.dockerOk('run', '-d', '--name', 'again', '--restart', 'on-failure:2', 'busybox', 'sh', '-c', 'exit 1');
    await until(
      async () =>
        (await engine.dockerOk('inspect', '-f', '{{.State.Status}} {{.RestartCount}}', 'again')) === 'exited 2',
    );
    expect(await engine.dockerOk('inspect', '-f', '{{.State.ExitCode}}', 'again')).toBe('1');
  });
});

describe('logs', () => {
  it('tail, since, timestamps and follow', async () => {
    await engine.dockerOk(
      'run',
      '--name',
      'l1',
      'busybox',
      'sh',
      '-c',
      'for i in 1 2 3 4 5; do echo line $i; done; echo e >&2',
    );
    expect(await docker('logs', 'l1')).toEqual({
      code: 0,
      stdout: 'line 1\nline 2\nline 3\nline 4\nline 5\n',
      stderr: 'e\n',
    });
    expect(
      (await docker('logs', '--tail', '2', 'l1')).stdout + (await docker('logs', '--tail', '2', 'l1')).stderr,
    ).toBe('line 5\ne\n');
    expect(await engine.dockerOk('logs', '-t', '--tail', '1', 'l1')).toBe('');
    expect((await docker('logs', '-t', '--tail', '1', 'l1')).stderr).toMatch(
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z e\n$/,
    );
    expect((await docker('logs', '--since', '2999-01-01T00:00:00Z', 'l1')).stdout).toBe('');
    expect((await docker('logs', '-f', 'l1')).stdout).toContain('line 5');
  });

  it('follows until the container ends and loses nothing', async () => {
    await engine.dockerOk(
      'run',
      '-d',
      '--name',
      'f1',
      'busybox',
      'sh',
      '-c',
      'i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done',
    );
    const followed = await docker('logs', '-f', 'f1');
    expect(followed.stdout).toBe(Array.from({ length: 2000 }, (_, i) => `${String(i)}\n`).join(''));
  });
});

describe('events', () => {
  it('come in Docker’s order for run --rm', async () => {
    const since = Math.floor(Date.now() / 1000);
    await engine.dockerOk('run', '--rm', '--name', 'ev', 'busybox', 'true');
    const until_ = String(Math.floor(Date.now() / 1000) + 1);
    const text = await engine.dockerOk(
      'events',
      '--since',
      String(since),
      '--until',
      until_,
      '--filter',
      'container=ev',
      '--filter',
      'type=container',
      '--format',
      '{{.Action}}',
    );
    const actions = text.split('\n').filter((action) => !['attach', 'resize'].includes(action));
    expect(actions).toEqual(['create', 'start', 'die', 'destroy']);
  });
});
