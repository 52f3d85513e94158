import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peerAbsence, skipNote, startDockerPeer, type DockerPeer } from '../support/docker-peer.ts';
import { busyboxTar, TestEngine, until } from '../support/engine.ts';

/*
 * `docker checkpoint` and `docker start --checkpoint` by the docker CLI and by plain requests, beside dockerd; processes
 * really go into a checkpoint and come back where the host has a CRIU that works.
 */
const COUNTER = 'i=0; while true; do i=$((i+1)); echo $i > /n; sleep 0.05; done';
const EXPERIMENTAL_OFF =
  'This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to enable it.';

function absenceOfCriu(): string | null {
  const check = spawnSync('criu', ['check'], { encoding: 'utf8' });
  if (check.error !== undefined) return 'criu is not installed';
  return check.status === 0 ? null : `criu check failed: ${check.stderr.split('\n')[0] ?? ''}`;
}

const noCriu = absenceOfCriu();

let engine: TestEngine;

beforeAll(async () => {
  engine = await TestEngine.start('--experimental');
  await engine.importBusybox();
  const run = ['run', '-d', '--runtime', 'runc', '--network', 'none'];
  await engine.dockerOk(...run, '--name', 'counter', 'busybox', 'sh', '-c', COUNTER);
  await engine.dockerOk(...run, '-t', '--name', 'terminal', 'busybox', 'sleep', '1000');
  await engine.dockerOk('create', '--name', 'idle', '--network', 'none', 'busybox', 'sleep', '1000');
});

afterAll(async () => {
  await engine.dockerOk('rm', '-f', 'counter', 'terminal', 'idle');
  expect(engine.log()).not.toContain('could not be given back');
  await engine[Symbol.asyncDispose]();
});

function create(ref: string, body: unknown) {
  return engine.api('POST', `/containers/${ref}/checkpoints`, body);
}

function directoryOf(id: string): string {
  return join(engine.dataRoot, 'containers', id, 'checkpoints');
}

async function idOf(name: string): Promise<string> {
  return await engine.dockerOk('inspect', '-f', '{{.Id}}', name);
}

async function count(): Promise<number> {
  return Number(await engine.dockerOk('exec', 'counter', 'cat', '/n'));
}

describe('what is refused', () => {
  it('answers names, terminals and containers that do not run in Docker’s words', async () => {
    const idle = await idOf('idle');
    const answers: readonly (readonly [string, unknown, number, string])[] = [
      ['nosuch', { CheckpointID: 'one' }, 404, 'No such container: nosuch'],
      ['idle', { CheckpointID: 'one' }, 409, `container ${idle} is not running`],
      ['counter', { CheckpointID: 'x' }, 500, 'Invalid checkpoint ID (x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed'],
      [
        'counter',
        { CheckpointID: '../x' },
        500,
        'Invalid checkpoint ID (../x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed',
      ],
      ['counter', {}, 500, 'Invalid checkpoint ID (), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed'],
      ['terminal', { CheckpointID: 'one' }, 500, 'checkpoint not support on containers with tty'],
      [
        'counter',
        { CheckpointID: 5 },
        400,
        'invalid JSON: json: cannot unmarshal number into Go struct field CreateOptions.CheckpointID of type string',
      ],
    ];
    for (const [ref, body, status, message] of answers) {
      expect(await create(ref, body)).toMatchObject({ status, json: { message } });
    }
    expect(existsSync(directoryOf(idle))).toBe(false);
  });

  it('says why a runtime without CRIU cannot', async () => {
    const crun = spawnSync('crun', ['--version'], { encoding: 'utf8' });
    if (crun.error !== undefined || crun.stdout.includes('+CRIU')) {
      console.warn('crun is not there, or knows CRIU: its refusal is not tried');
      return;
    }
    await engine.dockerOk(
      'run',
      '-d',
      '--runtime',
      'crun',
      '--network',
      'none',
      '--name',
      'plain',
      'busybox',
      'sleep',
      '99',
    );
    const answer = await create('plain', { CheckpointID: 'one' });
    await engine.dockerOk('rm', '-f', 'plain');
    expect(answer.status).toBe(501);
    expect(answer.body).toContain('Cannot checkpoint container plain: this crun was built without CRIU');
  });

  it('says why this host cannot, and leaves nothing', async () => {
    if (noCriu === null) return;
    const answer = await create('counter', { CheckpointID: 'one' });
    expect(answer.status).toBe(501);
    expect(answer.body).toContain('Cannot checkpoint container counter: criu');
    expect(existsSync(directoryOf(await idOf('counter')))).toBe(false);
  });

  it('keeps removals in the directory, and tells of starts without a checkpoint', async () => {
    const idle = await idOf('idle');
    const out = await engine.api('DELETE', `/containers/idle/checkpoints/%2e%2e`);
    expect(out).toMatchObject({ status: 500, json: { message: 'checkpoint .. does not exist for container idle' } });
    expect(existsSync(join(engine.dataRoot, 'containers', idle))).toBe(true);
    expect(await engine.api('POST', '/containers/idle/start?checkpoint=nosuch')).toMatchObject({
      status: 500,
      json: { message: 'checkpoint nosuch does not exist for container /idle' },
    });
    expect(await engine.api('POST', '/containers/idle/start?checkpoint=nosuch&checkpoint-dir=/srv')).toMatchObject({
      status: 403,
      json: { message: 'custom checkpointdir is not supported' },
    });
    expect((await engine.api('POST', '/containers/counter/start?checkpoint=nosuch')).status).toBe(304);
  });
});

describe('the list', () => {
  it('is of the directories, there or elsewhere, and what is removed is gone', async () => {
    expect((await engine.api('GET', '/containers/idle/checkpoints')).json).toBeNull();
    const elsewhere = join(engine.root, 'elsewhere');
    for (const place of [directoryOf(await idOf('idle')), elsewhere]) {
      mkdirSync(join(place, 'fake'), { recursive: true });
      writeFileSync(join(place, 'file'), '');
    }
    expect(await engine.dockerOk('checkpoint', 'ls', 'idle')).toBe('CHECKPOINT NAME\nfake');
    const there = `--checkpoint-dir=${elsewhere}`;
    expect(await engine.dockerOk('checkpoint', 'ls', there, 'idle')).toBe('CHECKPOINT NAME\nfake');
    await engine.dockerOk('checkpoint', 'rm', there, 'idle', 'fake');
    expect(readdirSync(elsewhere)).toEqual(['file']);
    await engine.dockerOk('checkpoint', 'rm', 'idle', 'fake');
    expect(await engine.dockerOk('checkpoint', 'ls', 'idle')).toBe('CHECKPOINT NAME');
  });
});

describe.skipIf(noCriu !== null)(`processes${skipNote(noCriu)}`, () => {
  it('go on beside a checkpoint, end by one, and come back where they were', async () => {
    await until(async () => (await count().catch(() => 0)) > 3);
    await engine.dockerOk('checkpoint', 'create', '--leave-running', 'counter', 'early');
    const then = await count();
    await until(async () => (await count()) > then);
    await engine.dockerOk('checkpoint', 'create', 'counter', 'late');
    // The end has been seen when the answer is given.
    expect(await engine.dockerOk('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', 'counter')).toBe(
      'exited 137',
    );
    expect(await engine.dockerOk('checkpoint', 'ls', 'counter')).toBe('CHECKPOINT NAME\nearly\nlate');
    expect((await engine.docker(['checkpoint', 'create', 'counter', 'late'])).stderr).toContain('is not running');
    await engine.dockerOk('start', '--checkpoint', 'late', 'counter');
    const now = await count();
    expect(now).toBeGreaterThan(then);
    await until(async () => (await count()) > now);
    expect((await create('counter', { CheckpointID: 'late' })).json).toEqual({
      message: 'cannot checkpoint container counter: checkpoint with name late already exists for container counter',
    });
    // The client asks up to a whole second: the last one may be of this.
    const expected = ['create', 'start', 'checkpoint', 'checkpoint', 'die', 'start'];
    const words = ['--since', '5m', '--until', '0s', '--filter', 'container=counter', '--format', '{{.Action}}'];
    const actions = async (): Promise<readonly string[]> =>
      (await engine.dockerOk('events', ...words)).split('\n').filter((action) => !action.startsWith('exec_'));
    await until(async () => (await actions()).length >= expected.length);
    expect(await actions()).toEqual(expected);
  });

  it('write to the log again, and end as any other', async () => {
    const script = 'i=0; while true; do i=$((i+1)); echo line $i; sleep 0.05; done';
    await engine.dockerOk('run', '-d', '--runtime', 'runc', '--name', 'writer', 'busybox', 'sh', '-c', script);
    const lines = async (): Promise<number> => (await engine.dockerOk('logs', 'writer')).split('\n').length;
    await until(async () => (await lines()) > 2);
    const place = join(engine.root, 'images');
    await engine.dockerOk('checkpoint', 'create', `--checkpoint-dir=${place}`, 'writer', 'one');
    expect(readdirSync(join(place, 'one'))).toContain('inventory.img');
    await engine.dockerOk('start', 'writer');
    await engine.dockerOk('checkpoint', 'create', 'writer', 'two');
    const before = await lines();
    await engine.dockerOk('start', '--checkpoint', 'two', 'writer');
    await until(async () => (await lines()) > before + 2);
    await engine.dockerOk('rm', '-f', 'writer');
  });

  it('do not come out of what is no checkpoint', async () => {
    await engine.dockerOk('create', '--name', 'broken', '--runtime', 'runc', '--network', 'none', 'busybox', 'true');
    mkdirSync(join(directoryOf(await idOf('broken')), 'empty'), { recursive: true });
    const answer = await engine.api('POST', '/containers/broken/start?checkpoint=empty');
    expect(answer.status).toBe(400);
    expect(answer.body).toContain('OCI runtime restore failed: ');
    expect(await engine.dockerOk('inspect', '-f', '{{.State.Status}}', 'broken')).toBe('created');
    await engine.dockerOk('start', 'broken');
    await engine.dockerOk('rm', '-f', 'broken');
  });
});

describe('without experimental', () => {
  it('offers nothing of it', async () => {
    await using plain = await TestEngine.start();
    await plain.importBusybox();
    await plain.dockerOk('create', '--name', 'idle', '--network', 'none', 'busybox', 'true');
    for (const [method, path, body] of [
      ['GET', '/containers/nosuch/checkpoints', undefined],
      ['POST', '/containers/nosuch/checkpoints', { CheckpointID: 'one' }],
      ['DELETE', '/containers/nosuch/checkpoints/one', undefined],
    ] as const) {
      expect(await plain.api(method, path, body)).toMatchObject({ status: 501, json: { message: EXPERIMENTAL_OFF } });
    }
    expect(await plain.api('POST', '/containers/idle/start?checkpoint=one')).toMatchObject({
      status: 400,
      json: { message: 'checkpoint is only supported in experimental mode' },
    });
    await plain.dockerOk('rm', 'idle');
  });
});

describe.skipIf(peerAbsence !== null)(`beside dockerd${skipNote(peerAbsence)}`, () => {
  let peer: DockerPeer;

  beforeAll(async () => {
    peer = await startDockerPeer('--experimental');
    const imported = await peer.docker(['import', '-', 'busybox'], { stdin: await busyboxTar() });
    expect(imported.stderr).toBe('');
    await peer.docker(['create', '--name', 'idle', '--network', 'none', 'busybox', 'sleep', '1000']);
  });

  afterAll(async () => {
    await peer.docker(['rm', '-f', 'idle']);
    await peer[Symbol.asyncDispose]();
  });

  it.each([
    [['checkpoint', 'ls', 'idle']],
    [['checkpoint', 'ls', 'nosuch']],
    [['checkpoint', 'ls', '--checkpoint-dir', '/nonexistent', 'idle']],
    [['checkpoint', 'rm', 'idle', 'nosuch']],
    [['start', '--checkpoint', 'nosuch', 'idle']],
    [['start', '--checkpoint', 'nosuch', '--checkpoint-dir', '/srv', 'idle']],
    [['start', '--checkpoint', 'nosuch', 'nosuch']],
  ])('docker %j', async (words) => {
    const theirs = await peer.docker(words);
    expect(await engine.docker(words)).toEqual(theirs);
  });
});
