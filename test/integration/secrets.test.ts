/** Named secrets without swarm, by the docker CLI on the real engine. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../support/engine.ts';

const WORD = 'Correct-Horse-Battery-Staple';
const LABEL = 'org.moored.secret';

describe('secrets', () => {
  let engine: TestEngine;

  beforeAll(async () => {
    engine = await TestEngine.start('--bridge', 'none');
    await engine.importBusybox();
    await create('db', WORD);
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });

  const create = async (name: string, text: string): Promise<string> => {
    const { code, stdout, stderr } = await engine.docker(['secret', 'create', name, '-'], { stdin: text });
    expect(stderr).toBe('');
    expect(code).toBe(0);
    return stdout.trim();
  };
  const failing = async (...args: readonly string[]): Promise<string> => {
    const { code, stderr } = await engine.docker(args);
    expect(code).not.toBe(0);
    return stderr.trim();
  };
  const storedAnywhere = (word: string): string => {
    const { stdout } = grep(word, engine.dataRoot);
    return stdout;
  };

  it('are made, listed, shown and removed by the unmodified CLI', async () => {
    const id = await create('short-lived', 'x');
    expect(id).toMatch(/^[0-9a-z]{25}$/);
    expect(await engine.dockerOk('secret', 'ls', '--format', '{{.Name}}')).toBe('db\nshort-lived');
    expect(await engine.dockerOk('secret', 'ls', '-q', '--filter', 'name=short')).toBe(id);
    const [shown] = JSON.parse(await engine.dockerOk('secret', 'inspect', 'short-lived')) as readonly [object];
    expect(shown).toMatchObject({ ID: id, Version: { Index: 1 }, Spec: { Name: 'short-lived', Labels: {} } });
    expect(JSON.stringify(shown)).not.toContain('Data');
    expect(await engine.dockerOk('secret', 'rm', 'short-lived')).toBe('short-lived');
    expect(await failing('secret', 'inspect', 'short-lived')).toMatch(/secret short-lived not found/);
    expect(await failing('secret', 'rm', 'short-lived')).toMatch(/secret short-lived not found/);
    const again = await engine.docker(['secret', 'create', 'db', '-'], { stdin: 'y' });
    expect(again.stderr.trim()).toBe(
      'Error response from daemon: rpc error: code = AlreadyExists desc = secret db already exists',
    );
  });

  it('leave swarm as it is: there is none', async () => {
    expect(await engine.dockerOk('info', '--format', '{{.Swarm.LocalNodeState}}')).toBe('inactive');
    expect((await engine.api('GET', '/configs')).status).toBe(503);
  });

  it('are files of the container, with owner and mode', async () => {
    const output = await engine.dockerOk(
      ...['run', '--rm', '-l', `${LABEL}.db=`, 'busybox', 'sh', '-c'],
      `cat /run/secrets/db; stat -c ' %u:%g %a' /run/secrets/db; grep /run/secrets /proc/mounts
       (echo x > /run/secrets/db) 2>&1; true`,
    );
    expect(output).toContain(`${WORD} 0:0 444`);
    expect(output).toMatch(/^tmpfs \/run\/secrets\/db tmpfs ro,nosuid,nodev,noexec,/m);
    expect(output).toContain('Read-only file system');
    const placed = await engine.dockerOk(
      ...['run', '--rm', '-u', '1000:1000', '-l', `${LABEL}.db=target=/etc/pw/db.conf,uid=1000,gid=1001,mode=0400`],
      ...['busybox', 'sh', '-c', `stat -c '%u:%g %a' /etc/pw/db.conf; cat /etc/pw/db.conf`],
    );
    expect(placed).toBe(`1000:1001 400\n${WORD}`);
  });

  it('belong to the ids inside where a container has a user namespace, and leave nothing there either', async () => {
    const labels = ['-l', 'org.moored.userns=auto', '-l', `${LABEL}.db=uid=5,gid=6,mode=0440`];
    const job = `stat -c '%u:%g %a' /run/secrets/db; cat /run/secrets/db`;
    expect(await engine.dockerOk('run', '--name', 'mapped', ...labels, 'busybox', 'sh', '-c', job)).toBe(
      `5:6 440\n${WORD}`,
    );
    expect(await engine.dockerOk('diff', 'mapped')).toBe('');
    await engine.dockerOk('rm', 'mapped');
  });

  it('leave nothing in diff, export, commit, cp, inspect, and nothing at all when the run is over', async () => {
    await engine.dockerOk('run', '-d', '--name', 'quiet', '-l', `${LABEL}.db=`, 'busybox', 'sleep', '1000');
    const id = await engine.dockerOk('inspect', '-f', '{{.Id}}', 'quiet');
    const place = join(engine.root, 'exec', 'containers', id, 'secrets');
    expect(readFileSync(join(place, '0'), 'utf8')).toBe(WORD);
    for (const state of ['running', 'stopped'] as const) {
      if (state === 'stopped') await engine.dockerOk('stop', '-t', '0', 'quiet');
      expect(await engine.dockerOk('diff', 'quiet'), state).toBe('');
      const tar = join(engine.root, `${state}.tar`);
      await engine.dockerOk('export', '-o', tar, 'quiet');
      expect(execFileSync('tar', ['-tf', tar], { encoding: 'utf8' }), state).not.toMatch(/^(\.\/)?run\b/m);
      expect(grep(WORD, tar).stdout, state).toBe('');
      await engine.dockerOk('commit', 'quiet', `quiet:${state}`);
      expect(await engine.dockerOk('run', '--rm', `quiet:${state}`, 'sh', '-c', 'ls -d /run /run/secrets || :')).toBe(
        '',
      );
      expect((await engine.docker(['cp', 'quiet:/', '-'])).stdout, state).not.toContain(WORD);
      expect(await engine.dockerOk('inspect', 'quiet'), state).not.toContain(WORD);
    }
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(place);
    await engine.dockerOk('rm', 'quiet');
    expect(storedAnywhere(WORD)).toBe('');
  });

  it('keep what a container puts beside them', async () => {
    const job = 'echo mine > /run/secrets/own';
    await engine.dockerOk('run', '--name', 'beside', '-l', `${LABEL}.db=`, 'busybox', 'sh', '-c', job);
    expect((await engine.dockerOk('diff', 'beside')).split('\n').sort()).toEqual([
      'A /run',
      'A /run/secrets',
      'A /run/secrets/own',
    ]);
    await engine.dockerOk('rm', 'beside');
  });

  it('stay while a container has them; a restart sees the new version', async () => {
    const { json } = await engine.api('POST', '/secrets/create', { Name: 'turn', Data: base64('old') });
    const { ID } = json as { readonly ID: string };
    const job = 'cat /run/secrets/turn; sleep 1000';
    await engine.dockerOk('run', '-d', '--name', 'user', '-l', `${LABEL}.turn=`, 'busybox', 'sh', '-c', job);
    await until(async () => (await engine.dockerOk('logs', 'user')) === 'old');
    const refused = await engine.api('DELETE', `/secrets/${ID}`);
    expect(refused).toMatchObject({
      status: 409,
      json: { message: "secret 'turn' is in use by the following container: user" },
    });
    const update = await engine.api('POST', `/secrets/${ID}/update?version=1`, { Name: 'turn', Data: base64('new') });
    expect(update.status).toBe(200);
    const late = await engine.api('POST', `/secrets/${ID}/update?version=1`, { Name: 'turn', Labels: { a: 'b' } });
    expect(late).toMatchObject({
      status: 400,
      json: { message: expect.stringContaining('update out of sequence') as string },
    });
    await engine.dockerOk('restart', '-t', '0', 'user');
    await until(async () => (await engine.dockerOk('logs', 'user')) === 'oldnew');
    await engine.dockerOk('rm', '-f', 'user');
    expect((await engine.api('DELETE', `/secrets/${ID}`)).status).toBe(204);
  });

  it('that are missing, or in the way, are refused at create', async () => {
    const make = async (...args: readonly string[]) => failing('create', ...args, 'busybox', 'true');
    expect(await make('-l', `${LABEL}.nope=`)).toContain('Error response from daemon: secret nope not found');
    expect(await make('-l', `${LABEL}.db=mode=x`)).toContain(`invalid label ${LABEL}.db: invalid mode specified: 'x'`);
    expect(await make('-l', `${LABEL}.db=target=/data`, '-v', '/data')).toContain('Duplicate mount point: /data');
    expect(await engine.dockerOk('ps', '-aq')).toBe('');
  });

  it('are not asked for by images', async () => {
    const tar = await engine.dockerOk('create', '-l', `${LABEL}.db=`, 'busybox', 'true');
    await engine.dockerOk('commit', tar, 'greedy');
    await engine.dockerOk('rm', tar);
    expect(await engine.dockerOk('run', '--rm', 'greedy', 'sh', '-c', 'ls /run/secrets 2>&1 || :')).toContain(
      'No such file',
    );
  });

  it('survive a killed engine, and the container that has them runs on', async () => {
    await engine.dockerOk('run', '-d', '--name', 'lasting', '-l', `${LABEL}.db=`, 'busybox', 'sleep', '1000');
    await engine.end('SIGKILL');
    await engine.boot();
    expect(await engine.dockerOk('exec', 'lasting', 'cat', '/run/secrets/db')).toBe(WORD);
    await engine.dockerOk('rm', '-f', 'lasting');
    expect(await engine.dockerOk('run', '--rm', '-l', `${LABEL}.db=`, 'busybox', 'cat', '/run/secrets/db')).toBe(WORD);
  });

  it('live where Compose binds files of its own, too', async () => {
    const file = join(engine.root, 'compose-secret');
    writeFileSync(file, 'composed');
    const output = await engine.dockerOk(
      ...['run', '--rm', '-l', `${LABEL}.db=`, '-v', `${file}:/run/secrets/composed:ro`],
      ...['busybox', 'sh', '-c', 'cat /run/secrets/db /run/secrets/composed'],
    );
    expect(output).toBe(`${WORD}composed`);
  });

  it('are nowhere: not in the data, the log, the events, or an answer', async () => {
    expect(storedAnywhere(WORD)).toBe('');
    expect(storedAnywhere(base64(WORD))).toBe('');
    expect(engine.log()).not.toContain(WORD);
    await create('told', WORD);
    const { body } = await engine.api('GET', `/events?since=0&until=${String(Date.now() / 1000)}`);
    expect(body).toContain('"Type":"secret"');
    expect(body).not.toContain(WORD);
    expect((await engine.api('GET', '/secrets')).body).not.toContain(WORD);
    expect(statSync(join(engine.dataRoot, 'secrets', 'key')).mode & 0o777).toBe(0o600);
  });
});

describe('a key that systemd hands in', () => {
  it('seals in place of one of our own, and is not written anywhere', async () => {
    const credentials = mkdtempSync(join(tmpdir(), 'moored-credentials-'));
    const key = 'ab'.repeat(32);
    writeFileSync(join(credentials, 'moored.secrets-key'), `${key}\n`, { mode: 0o400 });
    process.env['CREDENTIALS_DIRECTORY'] = credentials;
    try {
      await using engine = await TestEngine.start('--bridge', 'none');
      await engine.importBusybox();
      await engine.api('POST', '/secrets/create', { Name: 'x', Data: base64(WORD) });
      expect(existsSync(join(engine.dataRoot, 'secrets'))).toBe(false);
      expect(grep(key, engine.dataRoot).stdout).toBe('');
      const show = ['run', '--rm', '-l', `${LABEL}.x=`, 'busybox', 'cat', '/run/secrets/x'];
      expect(await engine.dockerOk(...show)).toBe(WORD);
      await engine.end();
      rmSync(join(credentials, 'moored.secrets-key'));
      await engine.boot();
      expect(engine.log()).toContain('a secret cannot be used');
      expect((await engine.docker(show)).stderr).toContain('secret x cannot be opened with the keys of');
    } finally {
      delete process.env['CREDENTIALS_DIRECTORY'];
      rmSync(credentials, { recursive: true });
    }
  });
});

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function grep(word: string, place: string): { readonly stdout: string } {
  try {
    return { stdout: execFileSync('grep', ['-rlaF', '--', word, place], { encoding: 'utf8' }) };
  } catch (error) {
    // 1: nothing found.
    if ((error as { readonly status?: number }).status === 1) return { stdout: '' };
    throw error;
  }
}
