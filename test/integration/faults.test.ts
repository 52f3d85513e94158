import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../support/engine.ts';

/*
 * Bad input and faults: each gives Docker's status and text, leaves nothing behind, and the daemon lives on.
 */
let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

const createBody = (extra: object = {}): object => ({ Image: 'busybox', Cmd: ['true'], ...extra });

/** Mounts, links, namespaces and monitors that belong to this engine. */
function belongings(): readonly string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(engine.root));
  const links = execFileSync('ip', ['-o', 'link', 'show', 'master', engine.bridge], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line !== '');
  const monitors = execFileSync('sh', ['-c', `pgrep -af "conmon.*${engine.root}" || true`], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line !== '' && !line.includes('pgrep'));
  return [...mounts, ...links, ...monitors];
}

/** The kernel drops a namespace's links a moment after the namespace. */
async function nothingLeft(): Promise<void> {
  await until(() => belongings().length === 0);
}

describe('bad requests', () => {
  it.each([
    ['malformed JSON', '{"Image":', 400],
    ['garbage after the document', '{"Image":"busybox"} x', 400],
    ['a wrong type', '{"Image":"busybox","Tty":"yes"}', 400],
    ['a number where a list belongs', '{"Image":"busybox","Cmd":3}', 400],
    ['an unknown image', '{"Image":"nosuchimage"}', 404],
    ['no image', '{"Cmd":["true"]}', 400],
  ])('%s', async (_what, body, status) => {
    const answer = await engine.api('POST', '/v1.41/containers/create', body);
    expect(answer.status).toBe(status);
    expect((answer.json as { message: string }).message).not.toBe('');
    expect(answer.headers['content-type']).toBe('application/json');
  });

  it('names the missing image as the CLI expects, so that it pulls', async () => {
    const answer = await engine.api('POST', '/v1.41/containers/create', createBody({ Image: 'nosuch:tag' }));
    expect(answer.json).toEqual({ message: 'No such image: nosuch:tag' });
  });

  it('refuses an ambiguous prefix', async () => {
    const first = await engine.dockerOk('create', 'busybox', 'true');
    const made = [first];
    // Seventeen ids have two that share their first digit.
    while (!made.slice(0, -1).some((id) => id.startsWith(made.at(-1)?.[0] ?? '')))
      made.push(await engine.dockerOk('create', 'busybox', 'true'));
    const answer = await engine.api('GET', `/containers/${made.at(-1)?.[0] ?? ''}/json`);
    expect(answer.status).toBe(400);
    expect((answer.json as { message: string }).message).toMatch(/multiple IDs found with provided prefix/i);
    await engine.dockerOk('rm', ...made);
  });

  it('answers unknown paths with 404 page not found', async () => {
    const answer = await engine.api('GET', '/v1.41/nosuchthing');
    expect(answer.status).toBe(404);
    expect(answer.json).toEqual({ message: 'page not found' });
  });

  it('speaks up about API versions it does not serve', async () => {
    expect((await engine.api('GET', '/v1.99/info')).json).toEqual({
      message: 'client version 1.99 is too new. Maximum supported API version is 1.51',
    });
  });
});

describe('faults', () => {
  it('a host port that another program holds', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    const result = await engine.docker([
      'run',
      '-d',
      '--name',
      'port',
      '-p',
      `127.0.0.1:${String(port)}:80`,
      'busybox',
      'sleep',
      '300',
    ]);
    expect(result.code).toBe(125);
    expect(result.stderr).toMatch(/address already in use|port is already allocated/);
    expect(await engine.dockerOk('ps', '-a', '--filter', 'name=port', '--format', '{{.Status}}')).toBe('Created');
    await engine.dockerOk('rm', 'port');
    server.close();
    await nothingLeft();
  });

  it('a host port that another container holds', async () => {
    await engine.dockerOk('run', '-d', '--name', 'p1', '-p', '127.0.0.1:0:80', 'busybox', 'sleep', '300');
    const port = (await engine.dockerOk('port', 'p1', '80')).split(':')[1] ?? '';
    const result = await engine.docker(['run', '--rm', '-p', `127.0.0.1:${port}:80`, 'busybox', 'true']);
    expect(result.stderr).toMatch(
      /driver failed programming external connectivity on endpoint \S+ \([0-9a-f]{64}\).*port is already allocated/s,
    );
    await engine.dockerOk('rm', '-f', 'p1');
    await nothingLeft();
  });

  it('a runtime that fails leaves a clear error and nothing else', async () => {
    const script = `${engine.root}/broken-runtime`;
    writeFileSync(script, '#!/bin/sh\necho "the runtime is broken" >&2\nexit 1\n', { mode: 0o755 });
    await using broken = await TestEngine.start('--add-runtime', `broken=${script}`);
    await broken.importBusybox();
    const result = await broken.docker(['run', '--rm', '--runtime', 'broken', 'busybox', 'true']);
    expect(result.code).toBe(125);
    expect(result.stderr).toContain('OCI runtime create failed');
    expect(await broken.dockerOk('ps', '-aq')).toBe('');
    expect((await broken.docker(['run', '--rm', 'busybox', 'true'])).code).toBe(0);
  });

  it('an unknown runtime is named', async () => {
    const result = await engine.docker(['run', '--rm', '--runtime', 'nosuch', 'busybox', 'true']);
    expect(result.stderr).toMatch(/unknown or invalid runtime name: nosuch|Unknown runtime specified nosuch/i);
  });

  it('a full disk', async () => {
    const image = `${engine.root}/small.ext4`;
    const mountPoint = `${engine.root}/small`;
    mkdirSync(mountPoint);
    execFileSync('sh', [
      '-c',
      `truncate -s 24M ${image} && mkfs.ext4 -q ${image} && mount -o loop ${image} ${mountPoint}`,
    ]);
    try {
      await using full = await TestEngine.start('--data-root', mountPoint);
      await full.importBusybox();
      execFileSync('sh', [
        '-c',
        `head -c 16M /dev/urandom > ${engine.root}/big && tar -C ${engine.root} -cf ${engine.root}/big.tar big`,
      ]);
      const result = await full.docker(['import', `${engine.root}/big.tar`, 'big:1']);
      expect(result.code).toBe(1);
      expect(result.stderr).toContain('no space left on device');
      expect(await full.dockerOk('images', '-q', 'big')).toBe('');
      // The daemon lives, and what it had works.
      expect((await full.docker(['run', '--rm', 'busybox', 'echo', 'alive'])).stdout).toBe('alive\n');
    } finally {
      execFileSync('sh', ['-c', `umount ${mountPoint}; rm -f ${image} ${engine.root}/big ${engine.root}/big.tar`]);
    }
  });

  it('two hundred containers at once', async () => {
    const names = Array.from({ length: 200 }, (_, i) => `many${String(i)}`);
    const results: (number | undefined)[] = [];
    const work = [...names];
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        for (let name = work.pop(); name !== undefined; name = work.pop()) {
          await engine.api('POST', `/containers/create?name=${name}`, createBody({ Cmd: ['sh', '-c', 'exit 6'] }));
          const waiting = engine.api('POST', `/containers/${name}/wait?condition=next-exit`);
          const started = await engine.api('POST', `/containers/${name}/start`);
          expect(started.status, started.body).toBe(204);
          results.push((((await waiting).json as { StatusCode: number } | undefined) ?? { StatusCode: -1 }).StatusCode);
          await engine.api('GET', '/containers/json?all=1');
          expect((await engine.api('DELETE', `/containers/${name}`)).status).toBe(204);
        }
      }),
    );
    expect(results).toEqual(Array.from({ length: 200 }, () => 6));
    await nothingLeft();
  });
});
