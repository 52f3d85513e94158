import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../support/engine.ts';

/*
 * What an unmodified docker CLI prints and how it ends. The expected texts are what dockerd makes the same CLI print.
 */
let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

const docker = (...args: readonly string[]): ReturnType<TestEngine['docker']> => engine.docker(args);
const runOnce = (...args: readonly string[]): ReturnType<TestEngine['docker']> => docker('run', '--rm', ...args);

describe('docker run', () => {
  it('gives output on the right streams and the exit code', async () => {
    expect(await runOnce('busybox', 'sh', '-c', 'echo out; echo err >&2; exit 7')).toEqual({
      code: 7,
      stdout: 'out\n',
      stderr: 'err\n',
    });
  });

  it.each([
    ['a program that is not there', ['nosuch'], 127, /exec: "nosuch": executable file not found in \$PATH/],
    ['a path that is not there', ['/no/such'], 127, /no such file or directory/],
    ['a file that is not executable', ['/etc/passwd'], 126, /permission denied/],
    ['a directory', ['/tmp'], 126, /is a directory|permission denied/],
  ])('%s', async (_what, command, code, text) => {
    const result = await runOnce('busybox', ...command);
    expect(result.code).toBe(code);
    expect(result.stderr).toMatch(text);
    expect(result.stderr).toMatch(/^docker: Error response from daemon: /);
  });

  it('reports a signal as 128 + its number', async () => {
    expect((await runOnce('--init', 'busybox', 'sh', '-c', 'kill -9 $$')).code).toBe(137);
  });
  it('passes environment, directory, user, entrypoint and host name', async () => {
    expect((await runOnce('-e', 'A=1', 'busybox', 'sh', '-c', 'echo $A $HOME $PATH')).stdout).toBe(
      '1 /root /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n',
    );
    expect((await runOnce('-w', '/new/dir', 'busybox', 'pwd')).stdout).toBe('/new/dir\n');
    expect((await runOnce('-u', 'nobody', 'busybox', 'id')).stdout).toBe(
      'uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)\n',
    );
    expect((await runOnce('-u', '1000:10', 'busybox', 'id')).stdout).toBe('uid=1000 gid=10(wheel) groups=10(wheel)\n');
    expect((await runOnce('--entrypoint', 'echo', 'busybox', 'x', 'y')).stdout).toBe('x y\n');
    expect((await runOnce('--hostname', 'box7', 'busybox', 'hostname')).stdout).toBe('box7\n');
  });

  it('refuses users that the image does not know', async () => {
    const result = await runOnce('-u', 'ghost', 'busybox', 'true');
    expect(result.code).toBe(125);
    expect(result.stderr).toContain('unable to find user ghost: no matching entries in passwd file');
  });

  it('pipes stdin and sees its end', async () => {
    const result = await engine.docker(['run', '--rm', '-i', 'busybox', 'wc', '-l'], { stdin: 'a\nb\nc\n' });
    expect(result).toEqual({ code: 0, stdout: '3\n', stderr: '' });
  });

  it('keeps output flowing after stdin was half-closed', async () => {
    const result = await engine.docker(
      ['run', '--rm', '-i', 'busybox', 'sh', '-c', 'cat; echo after; sleep 0.2; echo late'],
      { stdin: 'first\n' },
    );
    expect(result.stdout).toBe('first\nafter\nlate\n');
  });

  it('carries megabytes in both directions unharmed', async () => {
    const payload = Buffer.alloc(3 << 20, 'moored-');
    const result = await engine.docker(['run', '--rm', '-i', 'busybox', 'sh', '-c', 'md5sum | cut -c1-32'], {
      stdin: payload,
    });
    expect(result.stdout.trim()).toBe(createHash('md5').update(payload).digest('hex'));
    expect((await runOnce('busybox', 'sh', '-c', 'yes 0123456789 | head -n 200000')).stdout).toHaveLength(2_200_000);
  });

  it('gives a terminal with -t, with carriage returns', async () => {
    expect((await runOnce('-t', 'busybox', 'sh', '-c', 'tty; echo x')).stdout).toBe('/dev/pts/0\r\nx\r\n');
  });

  it('mounts bind directories and volumes', async () => {
    expect(
      (await runOnce('-v', `${engine.root}/bind:/data`, 'busybox', 'sh', '-c', 'echo x > /data/f; cat /data/f')).stdout,
    ).toBe('x\n');
    expect((await runOnce('-v', `${engine.root}/bind:/data:ro`, 'busybox', 'touch', '/data/g')).stderr).toContain(
      'Read-only file system',
    );
    expect((await runOnce('-v', 'vol1:/data', 'busybox', 'sh', '-c', 'echo v > /data/f')).code).toBe(0);
    expect((await runOnce('-v', 'vol1:/data', 'busybox', 'cat', '/data/f')).stdout).toBe('v\n');
    expect(await engine.dockerOk('volume', 'ls', '-q')).toBe('vol1');
    expect(await engine.dockerOk('volume', 'rm', 'vol1')).toBe('vol1');
  });

  it('fills an empty volume with what the image has there, and --rm takes anonymous ones away', async () => {
    expect((await runOnce('-v', 'vol2:/etc', 'busybox', 'cat', '/etc/group')).stdout).toContain('wheel');
    await engine.dockerOk('volume', 'rm', 'vol2');
    expect((await runOnce('-v', '/anon', 'busybox', 'true')).code).toBe(0);
    expect(await engine.dockerOk('volume', 'ls', '-q')).toBe('');
  });

  it('offers network none and host', async () => {
    expect((await runOnce('--network', 'none', 'busybox', 'sh', '-c', 'ls /sys/class/net')).stdout).toBe('lo\n');
    const host = await runOnce('--network', 'host', 'busybox', 'sh', '-c', 'ls /sys/class/net');
    expect(host.stdout).toContain(engine.bridge);
  });

  it('leaves nothing of the container behind', async () => {
    await runOnce('busybox', 'true');
    expect(await engine.dockerOk('ps', '-aq')).toBe('');
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(`${engine.root}/data`);
  });
});

describe('isolation', () => {
  it('filters system calls and keeps Docker’s default capabilities', async () => {
    const status = (await runOnce('busybox', 'grep', '-E', '^(Seccomp|CapEff):', '/proc/self/status')).stdout;
    expect(status).toContain('Seccomp:\t2');
    expect(status).toContain('CapEff:\t00000000a80425fb');
  });

  it('lets privileged ones do everything', async () => {
    const status = (await runOnce('--privileged', 'busybox', 'grep', '-E', '^(Seccomp|CapEff):', '/proc/self/status'))
      .stdout;
    expect(status).toContain('Seccomp:\t0');
    // What the daemon itself does not have it cannot hand on.
    const own = /^CapBnd:\t(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    expect(status).toContain(`CapEff:\t${own ?? ''}`);
  });

  it('limits memory and processes', async () => {
    const result = await runOnce(
      '-m',
      '32m',
      '--pids-limit',
      '20',
      'busybox',
      'sh',
      '-c',
      'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null',
    );
    expect(result.stdout).toBe('33554432\n20\n');
  });
});

describe('exec', () => {
  it('runs in the container with its own exit code, user, environment and stdin', async () => {
    await engine.dockerOk('run', '-d', '--name', 'ex', 'busybox', 'sleep', '300');
    expect(await docker('exec', 'ex', 'sh', '-c', 'echo hi; exit 9')).toEqual({ code: 9, stdout: 'hi\n', stderr: '' });
    expect(
      (await docker('exec', '-e', 'X=y', '-w', '/tmp', '-u', '1000', 'ex', 'sh', '-c', 'echo $X; pwd; id -u')).stdout,
    ).toBe('y\n/tmp\n1000\n');
    expect((await engine.docker(['exec', '-i', 'ex', 'cat'], { stdin: 'typed\n' })).stdout).toBe('typed\n');
    expect((await docker('exec', '-t', 'ex', 'tty')).stdout).toBe('/dev/pts/0\r\n');
    const missing = await docker('exec', 'ex', 'nosuch');
    expect(missing.code).toBe(127);
    expect(missing.stderr + missing.stdout).toContain('exec: "nosuch": executable file not found in $PATH');
    const denied = await docker('exec', 'ex', '/etc/passwd');
    expect(denied.code).toBe(126);
    await engine.dockerOk('rm', '-f', 'ex');
    expect((await docker('exec', 'ex', 'true')).stderr).toBe('Error response from daemon: No such container: ex\n');
  });

  it('is refused where nothing runs or all is paused', async () => {
    await engine.dockerOk('run', '-d', '--name', 'ex2', 'busybox', 'sleep', '300');
    const id = await engine.dockerOk('inspect', '-f', '{{.Id}}', 'ex2');
    await engine.dockerOk('pause', 'ex2');
    expect((await docker('exec', 'ex2', 'true')).stderr).toContain('is paused, unpause the container before exec');
    await engine.dockerOk('unpause', 'ex2');
    await engine.dockerOk('kill', 'ex2');
    await engine.dockerOk('wait', 'ex2');
    expect((await docker('exec', 'ex2', 'true')).stderr).toBe(
      `Error response from daemon: container ${id} is not running\n`,
    );
    await engine.dockerOk('rm', 'ex2');
  });
});
