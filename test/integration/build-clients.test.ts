/** Builds as clients ask for them: the CLI from a pipe, quietly, with secrets in a field; docker-py; Compose; what is left. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, TestEngine, until, type CommandResult } from '../support/engine.ts';

let engine: TestEngine;
let scratch: string;
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'build-clients-'));
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true });
});

const environment = (): NodeJS.ProcessEnv => ({
  ...engine.cliEnvironment,
  DOCKER_BUILDKIT: '0',
  COMPOSE_DOCKER_CLI_BUILD: '0',
});
const docker = (args: readonly string[], stdin?: string): Promise<CommandResult> =>
  run('docker', args, { env: environment(), ...(stdin === undefined ? {} : { stdin }) });
const build = (dockerfile: string, ...flags: readonly string[]): Promise<CommandResult> =>
  docker(['build', '--network', 'none', ...flags, '-'], dockerfile);
const containers = async (): Promise<unknown> => (await engine.api('GET', '/containers/json?all=1')).json;

describe('the docker CLI', () => {
  it('builds a Dockerfile from a pipe, and says only the id when it is to be quiet', async () => {
    const { code, stdout, stderr } = await build('FROM busybox\nRUN echo hi\n', '-q', '-t', 'quiet');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^sha256:[0-9a-f]{64}\n$/)]);
    expect(await engine.dockerOk('inspect', '-f', '{{.Id}}', 'quiet'), stderr).toBe(stdout.trim());
  });

  it('ends as the command of a failing step does', async () => {
    const { code, stdout, stderr } = await build('FROM busybox\nRUN echo last words; exit 41\n', '-q');
    expect(code).toBe(41);
    expect(stdout + stderr).toContain('last words');
    expect(stderr).toContain("The command '/bin/sh -c echo last words; exit 41' returned a non-zero code: 41");
  });

  it('brings secrets in a field of its configuration, and no layer has them', async () => {
    const cli = join(scratch, 'cli');
    mkdirSync(cli);
    const secrets = Buffer.from(JSON.stringify({ token: Buffer.from('geheim').toString('base64') })).toString('base64');
    writeFileSync(join(cli, 'config.json'), JSON.stringify({ HttpHeaders: { 'X-Moored-Build-Secrets': secrets } }));
    const dockerfile =
      'FROM busybox\nRUN --mount=type=secret,id=token,required=true wc -c < /run/secrets/token > /size\n';
    const { code, stderr } = await docker(
      ['--config', cli, 'build', '--network', 'none', '-t', 'secret', '-'],
      dockerfile,
    );
    expect(code, stderr).toBe(0);
    expect(await engine.dockerOk('run', '--rm', '--network', 'none', 'secret', 'cat', '/size')).toBe('6');
    const { stdout } = await engine.shell('docker save secret | tar -xO | grep -c geheim');
    expect(stdout.trim()).toBe('0');
    const without = await build(dockerfile.replace('/size', '/size2'));
    expect([without.code === 0, without.stderr]).toEqual([false, expect.stringContaining('token')]);
  });

  it('leaves nothing when it is interrupted', async () => {
    const child = spawn('docker', ['build', '--network', 'none', '-'], {
      env: environment(),
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    child.stdin.end('FROM busybox\nRUN echo begun; sleep 1000\n');
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until(() => said.includes('begun'));
    const ended = once(child, 'exit');
    child.kill('SIGINT');
    await ended;
    await until(async () => ((await containers()) as readonly unknown[]).length === 0);
  });

  it('shows the cache and prunes it', async () => {
    await build('FROM busybox\nRUN echo cached > /c\n', '-t', 'cached');
    const rows = async (): Promise<readonly { readonly Description: string }[]> =>
      ((await engine.api('GET', '/system/df')).json as { BuildCache: readonly { Description: string }[] }).BuildCache;
    expect((await rows()).some(({ Description: text }) => text.includes('echo cached'))).toBe(true);
    await engine.dockerOk('rmi', 'cached');
    const since = String(Math.floor(Date.now() / 1000) - 1);
    const { code, stdout } = await docker(['builder', 'prune', '-af']);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/Total( reclaimed space)?:/)]);
    expect((await rows()).some(({ Description: text }) => text.includes('echo cached'))).toBe(false);
    const until_ = String(Math.floor(Date.now() / 1000) + 1);
    const events = await engine.dockerOk(
      'events',
      '--since',
      since,
      '--until',
      until_,
      '--filter',
      'event=prune',
      '--format',
      '{{.Type}}',
    );
    expect(events).toContain('builder');
  });
});

it('docker-py builds, reads the stream and tells failures', async (context) => {
  if (spawnSync('/usr/bin/python3', ['-c', 'import docker']).status !== 0)
    context.skip('python3-docker is not installed');
  const script = new URL('../support/clients/docker_py_builds.py', import.meta.url).pathname;
  const { code, stdout, stderr } = await run('/usr/bin/python3', [script], { env: environment() });
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    tags: ['py:1'],
    labels: { from: 'call' },
    aux: true,
    steps: 6,
    failure: [
      "The command '/bin/sh -c exit 5' returned a non-zero code: 5",
      [{ code: 5, message: "The command '/bin/sh -c exit 5' returned a non-zero code: 5" }],
    ],
    refusal: [400, true],
    raw: ['stream'],
    cache: true,
    pruned: ['CachesDeleted', 'SpaceReclaimed'],
  });
});

it('Compose builds what its services need', async (context) => {
  if (spawnSync('docker-compose', ['version']).status !== 0) context.skip('docker-compose is not installed');
  const project = join(scratch, 'project');
  mkdirSync(project);
  writeFileSync(
    join(project, 'Dockerfile'),
    'FROM busybox\nARG WHO\nRUN echo "hello $WHO" > /hello\nCMD ["cat", "/hello"]\n',
  );
  const service =
    'image: composed\n    network_mode: none\n    build:\n      context: .\n      network: none\n      args:\n        WHO: compose';
  writeFileSync(join(project, 'docker-compose.yml'), `version: "3.4"\nservices:\n  app:\n    ${service}\n`);
  const compose = (...args: readonly string[]): Promise<CommandResult> =>
    run('docker-compose', ['-f', join(project, 'docker-compose.yml'), ...args], { env: environment() });
  const { code, stderr } = await compose('build');
  expect(code, stderr).toBe(0);
  expect(await engine.dockerOk('run', '--rm', '--network', 'none', 'composed')).toBe('hello compose');
  await engine.dockerOk('rmi', 'composed');
});
