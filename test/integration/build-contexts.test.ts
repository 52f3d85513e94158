/** Contexts in all forms in which the docker CLI and the API bring them. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { run, TestEngine, until, type CommandResult } from '../support/engine.ts';
import { makeRepository, serveRepositories } from '../support/git-daemon.ts';

let engine: TestEngine;
let scratch: string;
let files: Server;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'contexts-'));
  mkdirSync(join(scratch, 'app/sub'), { recursive: true });
  for (const [name, text] of [
    ['Dockerfile', 'FROM scratch\nCOPY . /c/\n'],
    ['.dockerignore', '**/*.log\n!keep.log\nDockerfile\n.dockerignore\n'],
    ['a', 'a'],
    ['keep.log', 'k'],
    ['sub/b.log', 'b'],
  ] as const)
    writeFileSync(join(scratch, 'app', name), text);
  files = createServer((incoming, answer) => {
    if (incoming.url === '/D') answer.end('FROM scratch\nLABEL from=address\n');
    else answer.writeHead(200, { 'content-type': 'application/gzip' }).end(tarOfApp('-z'));
  }).listen(0, '127.0.0.1');
  [engine] = await Promise.all([TestEngine.start(), once(files, 'listening')]);
});

afterEach(() => {
  expect(contextsLeft()).toEqual([]);
});

afterAll(async () => {
  files.close();
  await engine[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true });
});

function contextsLeft(): readonly string[] {
  return readdirSync(join(engine.dataRoot, 'build-contexts'));
}

function tarOfApp(...flags: readonly string[]): Buffer {
  return spawnSync('tar', ['-C', join(scratch, 'app'), ...flags, '-cf', '-', '.']).stdout;
}

async function build(args: readonly string[], stdin?: string | Buffer): Promise<CommandResult> {
  const env = { ...engine.cliEnvironment, DOCKER_BUILDKIT: '0' };
  return run('docker', ['build', '-q', ...args], { ...(stdin === undefined ? {} : { stdin }), env });
}

/** What is in `/c` of the image that was built. */
async function copied(built: CommandResult): Promise<readonly string[]> {
  expect([built.code, built.code === 0 ? '' : built.stderr]).toEqual([0, '']);
  const id = built.stdout.trim();
  expect(id).toMatch(/^sha256:/);
  const container = await engine.dockerOk('create', id, 'none');
  const { stdout } = await engine.shell(`docker export ${container} | tar -t`);
  return stdout.split('\n').filter((name) => /^c\/./.test(name));
}

describe('docker build', () => {
  it('of a directory sends what its list lets through', async () => {
    expect(await copied(await build([join(scratch, 'app')]))).toEqual(['c/a', 'c/keep.log', 'c/sub/']);
  });

  it.each([
    ['plain', '--no-auto-compress'],
    ['gzip', '-z'],
    ['bzip2', '-j'],
    ['xz', '-J'],
    ['zstd', '--zstd'],
  ])('of a %s tar on its input builds all that is in it but the lists themselves', async (_, flag) => {
    // zstd is not known to the CLI: it is sent as it is by the API.
    const stdin = tarOfApp(flag);
    const all = ['c/a', 'c/keep.log', 'c/sub/', 'c/sub/b.log'];
    if (flag !== '--zstd') {
      expect(await copied(await build(['-'], stdin))).toEqual(all);
      return;
    }
    const answer = await engine.api('POST', '/v1.45/build?q=1', stdin, { 'content-type': 'application/x-tar' });
    expect([answer.status, answer.body]).toEqual([200, expect.stringMatching(/sha256:/)]);
  });

  it('of a Dockerfile on its input, with a directory and without', async () => {
    const alone = await build(['-'], 'FROM scratch\nLABEL a=b\n');
    expect(await engine.dockerOk('inspect', '-f', '{{.Config.Labels}}', alone.stdout.trim())).toBe('map[a:b]');
    const both = await build(['-f', '-', join(scratch, 'app')], 'FROM scratch\nCOPY . /c/\n');
    expect(await copied(both)).toEqual(['c/a', 'c/keep.log', 'c/sub/']);
  });

  it('of a git repository, which the engine fetches', async () => {
    makeRepository(join(scratch, 'repositories/app')).commit({
      'd/Dockerfile': 'FROM scratch\nCOPY . /c/\n',
      'd/.dockerignore': 'gone\n',
      'd/gone': 'x',
      'd/kept': 'y',
    });
    await using server = await serveRepositories(join(scratch, 'repositories'));
    const remote = encodeURIComponent(`git://127.0.0.1:${String(server.port)}/app#:d`);
    const answer = await engine.api('POST', `/v1.45/build?q=1&remote=${remote}`);
    const id = /sha256:[0-9a-f]{64}/.exec(answer.body)?.[0] ?? answer.body;
    expect(await copied({ code: 0, stdout: id, stderr: '' })).toEqual(['c/.dockerignore', 'c/Dockerfile', 'c/kept']);
  });

  it('of an address, which the engine fetches', async () => {
    const address = files.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const ask = async (name: string) =>
      engine.api('POST', `/v1.45/build?t=${name}&remote=http://127.0.0.1:${String(address.port)}/${name}`);
    const text = await ask('D');
    expect(text.body).not.toContain('error');
    const tar = await ask('t');
    expect(tar.body).toContain('Downloading context');
    expect(tar.body).toContain('Successfully tagged t:latest');
  });
});

describe('what is no context', () => {
  it.each([
    ['garbage', Buffer.alloc(4096, 'x'), 'archive/tar: invalid tar header'],
    ['nothing', Buffer.alloc(0), 'Cannot locate specified Dockerfile: Dockerfile'],
  ])('%s is answered before anything is built', async (_, body, words) => {
    const answer = await engine.api('POST', '/v1.45/build', body, { 'content-type': 'application/x-tar' });
    expect([answer.status >= 400, answer.json]).toEqual([true, { message: words }]);
  });

  it('is answered in the middle of a long body', async () => {
    const body = Buffer.concat([tarOfApp().subarray(0, 1024), Buffer.alloc(20_000_000, 'x')]);
    writeFileSync(join(scratch, 'long'), body);
    const { stdout } = await engine.shell(
      `curl -s --unix-socket ${engine.socketPath} -H 'content-type: application/x-tar' --data-binary @${scratch}/long http://d/v1.45/build`,
    );
    expect(stdout).toContain('archive/tar: ');
  });

  it('leaves nothing when its client goes away', async () => {
    const outgoing = request({
      socketPath: engine.socketPath,
      method: 'POST',
      path: '/v1.45/build',
      headers: { 'content-type': 'application/x-tar' },
      agent: false,
    });
    outgoing.on('error', () => undefined);
    outgoing.write(tarOfApp().subarray(0, 1024));
    await until(() => contextsLeft().length === 1);
    outgoing.destroy();
    await until(() => contextsLeft().length === 0);
    expect(await engine.dockerOk('ps', '-aq', '--filter', 'status=running')).toBe('');
  });

  it('is gone after the engine was killed in the middle', async () => {
    const outgoing = request({ socketPath: engine.socketPath, method: 'POST', path: '/v1.45/build', agent: false });
    outgoing.setHeader('content-type', 'application/x-tar');
    outgoing.on('error', () => undefined);
    outgoing.write(tarOfApp().subarray(0, 1024));
    await until(() => contextsLeft().length === 1);
    await engine.end('SIGKILL');
    expect(contextsLeft()).toHaveLength(1);
    await engine.boot();
    expect(contextsLeft()).toEqual([]);
  });
});
