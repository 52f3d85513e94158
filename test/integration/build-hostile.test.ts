/** Dockerfiles and contexts of somebody who wants out: of the context, of the root, of the step, of the memory. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, TestEngine, until, type CommandResult } from '../support/engine.ts';
import { tarOf, type Member } from '../support/tar-builder.ts';

const SECRET = 'Geheimnis-20261122';

describe('a hostile build', () => {
  let host: string;
  let engine: TestEngine;

  beforeAll(async () => {
    host = mkdtempSync(join(tmpdir(), 'moored-hostile-'));
    writeFileSync(join(host, 'prey'), 'of the host');
    engine = await TestEngine.start();
    await engine.importBusybox();
    mkdirSync(join(engine.root, 'cli'), { recursive: true });
    const secrets = JSON.stringify({ token: Buffer.from(SECRET).toString('base64') });
    const HttpHeaders = { 'X-Moored-Build-Secrets': Buffer.from(secrets).toString('base64') };
    writeFileSync(join(engine.root, 'cli/config.json'), JSON.stringify({ HttpHeaders }));
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    rmSync(host, { recursive: true, force: true });
  });

  /** Builds a Dockerfile with the members of a context, as a tar of whatever kind. */
  const build = (dockerfile: string, members: readonly Member[] = []): Promise<CommandResult> =>
    run('docker', ['build', '--no-cache', '-t', 'hostile', '-'], {
      stdin: tarOf([{ name: 'Dockerfile', data: dockerfile }, ...members]),
      env: { ...engine.cliEnvironment, DOCKER_BUILDKIT: '0' },
    });
  const prey = (): string => readFileSync(join(host, 'prey'), 'utf8');

  it('takes nothing of the host by links of its context', async () => {
    const links: readonly Member[] = [
      { name: 'link', type: '2', linkName: join(host, 'prey') },
      { name: 'up', type: '2', linkName: '../'.repeat(30) },
    ];
    for (const source of ['link', `up${host}/prey`, `up/../..${host}/prey`]) {
      const { code, stderr } = await build(`FROM scratch\nCOPY ${source} /x\n`, links);
      expect([source, code, stderr]).toMatchObject([source, 1, expect.stringMatching(/not found|forbidden path/)]);
    }
    const mounted = await build('FROM busybox\nRUN --mount=type=bind,source=link,target=/x cat /x\n', links);
    expect(mounted.stderr).toContain('not found');
    const hard = await build('FROM scratch\nCOPY h /x\n', [{ name: 'h', type: '1', linkName: join(host, 'prey') }]);
    expect(hard.code).toBe(1);
  });

  it('writes nothing to the host by links of an image', async () => {
    const { code, stderr } = await build(
      `FROM busybox AS bad
RUN mkdir -p /d && ln -s ../../../../../../../../../../../..${host} /d/out && ln -s ${host}/prey /d/file
FROM bad
COPY f /d/out/prey
COPY f /d/out/new/
COPY f /d/file
ADD a.tar /d/out/
WORKDIR /d/out/made
RUN --mount=type=tmpfs,target=/d/out/tmp --mount=type=cache,target=/d/out/cache \\
    --mount=type=secret,id=token,target=/d/out/token test -s /d/out/token
`,
      [
        { name: 'f', data: 'hostile' },
        {
          name: 'a.tar',
          data: tarOf([
            { name: '../../prey', data: 'x' },
            { name: '/prey2', data: 'x' },
          ]),
        },
      ],
    );
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('rror')]);
    expect(prey()).toBe('of the host');
    expect(readdirSync(host)).toEqual(['prey']);
  });

  it.each([
    ['the root', 'target=/'],
    ['the root by another name', 'target=/tmp/../..'],
    ['the root from below', 'target=..'],
    ['nothing', 'source=f'],
    ['proc', 'target=/proc'],
  ])('mounts nothing over %s', async (_, words) => {
    const { code, stderr } = await build(`FROM busybox\nRUN --mount=type=bind,${words} ls /proc/1/root\n`, [
      { name: 'f', data: 'x' },
    ]);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/invalid mount|proc/)]);
  });

  it('has caches with names of any kind in directories of its own', async () => {
    const ids = ['../../../..', '/', '..', `/../../../..${host}`, '%2e%2e%2f'];
    const mounts = ids.map((id, index) => `--mount=type=cache,id=${id},target=/c${String(index)}`).join(' ');
    const { code, stderr } = await build(`FROM busybox\nRUN ${mounts} for d in /c?; do echo x > $d/prey; done\n`);
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('rror')]);
    expect(prey()).toBe('of the host');
    const names = readdirSync(join(engine.dataRoot, 'build/cache-mounts'));
    expect(names.every((name) => /^[0-9a-z]{25}$/.test(name))).toBe(true);
    const outside = await build('FROM busybox\nRUN --mount=type=cache,from=busybox,source=../../etc,target=/c ls /c\n');
    expect([outside.code, outside.stdout]).toEqual([0, expect.stringContaining('passwd')]);
  });

  it('leaves no secret in what anybody can ask for', async () => {
    const building = build(
      `FROM busybox
RUN --mount=type=secret,id=token,env=TOKEN --mount=type=secret,id=token test "$TOKEN" = ${SECRET.slice(0, 5)}\${TOKEN#?????}; \\
    touch /seen; while ! test -e /go; do sleep 0.05; done
RUN --mount=type=secret,id=token,env=TOKEN false
`,
    );
    await until(async () => {
      const id = (await engine.dockerOk('ps', '-q')).trim();
      return (
        id !== '' &&
        (await run('docker', ['exec', id, 'test', '-e', '/seen'], { env: engine.cliEnvironment })).code === 0
      );
    });
    const id = (await engine.dockerOk('ps', '-q', '--no-trunc')).trim();
    const told = [
      await engine.dockerOk('inspect', id),
      (await engine.shell('cat /proc/[0-9]*/cmdline')).stdout,
      await engine.dockerOk('events', '--since', '10m', '--until', '0s'),
      await engine.dockerOk('commit', id, 'taken').then(() => engine.dockerOk('inspect', 'taken')),
      (await engine.shell('docker save taken | tar xO | grep -ac Geheimnis')).stdout.replace('0\n', ''),
      await engine.dockerOk('diff', id),
    ];
    await engine.dockerOk('exec', id, 'touch', '/go');
    expect((await building).code).toBe(1);
    told.push(engine.log(), await engine.dockerOk('history', '--no-trunc', 'taken'));
    expect(told.map((text) => text.includes(SECRET.slice(0, 9)))).toEqual(told.map(() => false));
    const found = await engine.shell(`grep -rla ${SECRET} ${engine.dataRoot} || true`);
    expect(found.stdout).toBe('');
  });

  it('lets no configuration, stage or trigger grow beyond all bounds', async () => {
    const doubled = Array.from({ length: 40 }, () => 'ENV A=x$A$A').join('\n');
    expect((await build(`FROM scratch\n${doubled}\n`)).stderr).toMatch(/longer than/);
    const many = Array.from({ length: 5000 }, () => 'FROM scratch').join('\n');
    expect((await build(many)).stderr).toContain('more than 4000 instructions');
    expect((await build('FROM scratch\nONBUILD ONBUILD RUN x\n')).stderr).toContain('Chaining ONBUILD');
    // A busy machine is not busy three times.
    const durations: number[] = [];
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const start = performance.now();
      await build(`FROM scratch\nLABEL a=x${'\r'.repeat(60_000)}y\n`);
      durations.push(performance.now() - start);
    }
    expect(Math.min(...durations)).toBeLessThan(3000);
  });

  it('goes on for others while clients send nothing, and forgets those that go', async () => {
    const silent = Array.from({ length: 10 }, (): Socket => {
      const socket = connect(engine.socketPath).on('error', () => undefined);
      socket.write(
        'POST /build HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: 99999\r\n\r\n',
      );
      return socket;
    });
    try {
      expect((await build('FROM scratch\nLABEL a=b\n')).code).toBe(0);
    } finally {
      for (const socket of silent) socket.destroy();
    }
    await until(() => readdirSync(join(engine.dataRoot, 'build-contexts')).length === 0);
    expect(existsSync(join(host, 'prey'))).toBe(true);
  });
});
