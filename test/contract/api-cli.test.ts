/** The unmodified docker CLI against the REST front over an engine in memory: what it prints and how it ends. */
import { execFile, spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestApi } from '../support/api-server.ts';

const hasCli = spawnSync('docker', ['--version']).status === 0;
if (!hasCli) console.log('skipped: there is no docker CLI on the PATH');

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe.skipIf(!hasCli)('the docker CLI', () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await TestApi.start();
  });
  afterAll(async () => {
    await api[Symbol.asyncDispose]();
  });

  /** Runs the CLI with this stdin, which is then closed. */
  function docker(words: string, stdin = ''): Promise<Run> {
    return new Promise((resolve) => {
      const env = { ...process.env, DOCKER_HOST: `unix://${api.socketPath}` };
      const child = execFile(
        'docker',
        words.split(' '),
        { env, timeout: 20_000, killSignal: 'SIGKILL' },
        (error, stdout, stderr) =>
          resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr }),
      );
      child.stdin?.end(stdin);
    });
  }

  it('shows the server in version and info', async () => {
    const version = await docker('version');
    expect(version.stdout).toMatch(
      /Server: moored\n Engine:\n {2}Version: {10}0\.1\.0\n {2}API version: {6}1\.51 \(minimum version 1\.24\)/,
    );
    const info = await docker('info');
    expect(info.stderr).toBe('');
    expect(info.stdout).toMatch(/Server Version: 0\.1\.0\n Storage Driver: overlay2\n {2}Backing Filesystem: extfs\n/);
  });

  it('runs: output, exit codes, stdin with half-close', async () => {
    expect(await docker('run --rm busybox echo hi')).toEqual({ code: 0, stdout: 'hi\n', stderr: '' });
    expect((await docker('run --rm busybox exit 7')).code).toBe(7);
    expect(await docker('run -i --rm busybox cat', 'typed')).toEqual({
      code: 0,
      stdout: 'typed',
      stderr: 'cat: end of stdin\n',
    });
    expect(await docker('run --rm --pull never nosuch:1')).toMatchObject({ code: 125 });
    expect((await docker('ps -aq')).stdout).toBe('');
  });

  it('lives with a container: ps, logs, exec, stop, wait, rm', async () => {
    const { stdout: id } = await docker('run -d --name one busybox sleep 100');
    expect((await docker('ps --no-trunc -q')).stdout).toBe(id);
    expect(await docker('exec -i one cat', 'x')).toEqual({ code: 0, stdout: 'x', stderr: 'cat: end of stdin\n' });
    expect((await docker('exec one exit 5')).code).toBe(5);
    expect((await docker('stop one')).stdout).toBe('one\n');
    expect((await docker('wait one')).stdout).toBe('143\n');
    expect((await docker('rm one')).stdout).toBe('one\n');
    expect(await docker('rm one')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('No such container: one'),
    });
    await docker('run --name two busybox spray 10');
    const logs = await docker('logs --tail 2 two');
    expect([logs.stdout, logs.stderr]).toEqual(['line 8\n', 'line 9\n']);
    expect((await docker('system prune -f')).code).toBe(0);
  });

  it('handles images, networks and volumes', async () => {
    expect((await docker('images -q --no-trunc')).stdout).toMatch(/^sha256:b{64}\n$/);
    const pull = await docker('pull busybox');
    expect(pull.stdout).toContain('Status: Downloaded newer image for busybox:latest\n');
    expect((await docker('network ls --format {{.Name}}')).stdout).toBe('bridge\nhost\nnone\n');
    expect((await docker('volume create v1')).stdout).toBe('v1\n');
    expect((await docker('volume rm v1')).stdout).toBe('v1\n');
    expect((await docker('inspect nosuch')).stderr).toMatch(/No such object: nosuch/);
  });
});
