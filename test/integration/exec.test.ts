import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../support/engine.ts';
import { framesOf, RawClient } from '../support/raw-client.ts';

let engine: TestEngine;
let shared: string;
beforeAll(async () => {
  shared = mkdtempSync(join(tmpdir(), 'exec-'));
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterEach(async () => {
  await engine.removeContainers();
  await until(() => readdirSync(execsDirectory()).length === 0);
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  rmSync(shared, { recursive: true });
});

interface Inspected {
  readonly Running: boolean;
  readonly ExitCode: number | null;
  readonly Pid: number;
}

function execsDirectory(): string {
  return join(engine.root, 'exec', 'monitor', 'execs');
}

async function running(name: string): Promise<void> {
  await engine.dockerOk(
    'run',
    '-d',
    '--name',
    name,
    '--network',
    'none',
    '-v',
    `${shared}:/shared`,
    'busybox',
    'sleep',
    '300',
  );
}

async function execOf(name: string, command: readonly string[], more: object = {}): Promise<string> {
  const spec = { Cmd: command, AttachStdout: true, AttachStderr: true, ...more };
  const { status, json, body } = await engine.api('POST', `/containers/${name}/exec`, spec);
  if (status !== 201) throw new Error(body);
  return (json as { readonly Id: string }).Id;
}

async function inspect(id: string): Promise<Inspected> {
  return (await engine.api('GET', `/exec/${id}/json`)).json as Inspected;
}

async function execIds(name: string): Promise<unknown> {
  return ((await engine.api('GET', `/containers/${name}/json`)).json as { readonly ExecIDs: unknown }).ExecIDs;
}

describe('an exec whose daemon is killed', () => {
  it('goes on, and its exit code is known afterwards', async () => {
    await running('lives');
    const id = await execOf('lives', ['sh', '-c', 'while [ ! -e /shared/go ]; do sleep 0.05; done; exit 7']);
    await engine.api('POST', `/exec/${id}/start`, { Detach: true });
    const before = await inspect(id);
    await engine.end('SIGKILL');
    await engine.boot();
    expect(await inspect(id)).toEqual(before);
    expect(before.Running).toBe(true);
    expect(await execIds('lives')).toEqual([id]);
    writeFileSync(join(shared, 'go'), '');
    const after = await until(async () => {
      const now = await inspect(id);
      return now.Running ? null : now;
    });
    expect(after).toMatchObject({ ExitCode: 7, Pid: before.Pid });
    expect(await execIds('lives')).toBeNull();
    const now = Math.floor(Date.now() / 1000) + 1;
    const events = await engine.api('GET', `/events?since=1&until=${String(now)}&filters={"event":["exec_die"]}`);
    expect(events.body).toContain(id);
    rmSync(join(shared, 'go'));
  });

  it('is not lost when it ends while there is no daemon', async () => {
    await running('ends');
    const id = await execOf(
      'ends',
      ['sh', '-c', 'read line; echo $line > /shared/heard; until [ -e /shared/end ]; do sleep 0.02; done; exit 9'],
      {
        AttachStdin: true,
      },
    );
    const client = await RawClient.open(engine.socketPath);
    client.start(`/exec/${id}/start`, {});
    await until(async () => (await inspect(id)).Pid > 0);
    const { Pid } = await inspect(id);
    client.socket.write('said before the end\n');
    await until(() => existsSync(join(shared, 'heard')));
    await engine.end('SIGKILL');
    writeFileSync(join(shared, 'end'), '');
    await until(() => !existsSync(`/proc/${String(Pid)}`));
    await engine.boot();
    expect(await inspect(id), engine.log()).toMatchObject({ Running: false, ExitCode: 9 });
    for (const name of ['heard', 'end']) rmSync(join(shared, name));
  });

  it('is told of once when its end had just been seen', async () => {
    await running('seen');
    const id = await execOf('seen', ['sh', '-c', 'exit 9']);
    await engine.api('POST', `/exec/${id}/start`, { Detach: true });
    await until(async () => !(await inspect(id)).Running);
    await engine.end('SIGKILL');
    await engine.boot();
    const now = Math.floor(Date.now() / 1000) + 1;
    const events = await engine.api('GET', `/events?since=1&until=${String(now)}&filters={"event":["exec_die"]}`);
    expect(events.body.split('\n').filter((line) => line.includes(id) && line.includes('"exitCode":"9"'))).toHaveLength(
      1,
    );
  });

  it('is not stopped by its output, which nobody hears any more', async () => {
    await running('loud');
    const id = await execOf('loud', ['sh', '-c', 'seq 1 100000; echo done > /shared/done; exit 4']);
    const client = await RawClient.open(engine.socketPath);
    client.socket.pause();
    client.start(`/exec/${id}/start`, {});
    await until(async () => (await inspect(id)).Pid > 0);
    await engine.end('SIGKILL');
    await until(() => existsSync(join(shared, 'done')));
    await engine.boot();
    expect(await until(async () => ((await inspect(id)).Running ? null : inspect(id)))).toMatchObject({ ExitCode: 4 });
    rmSync(join(shared, 'done'));
  });

  it('is not lost when it was just being started', async () => {
    await running('begun');
    for (let round = 0; round < 2; round += 1) {
      const id = await execOf('begun', ['sh', '-c', 'sleep 0.2; exit 5']);
      const client = await RawClient.open(engine.socketPath);
      client.start(`/exec/${id}/start`, {});
      await until(async () => {
        const { Running, ExitCode } = await inspect(id);
        return Running || ExitCode !== null;
      });
      await engine.end('SIGKILL');
      await engine.boot();
      const { status } = await engine.api('GET', `/exec/${id}/json`);
      // Either it never began, or its end is known.
      if (status !== 404) {
        expect(await until(async () => ((await inspect(id)).Running ? null : inspect(id)))).toMatchObject({
          ExitCode: 5,
        });
      }
    }
  });

  it('can be signalled and sized by the next one', async () => {
    await running('tty');
    const id = await execOf(
      'tty',
      ['sh', '-c', 'trap "stty size > /shared/size" WINCH; while :; do sleep 0.05; done'],
      {
        Tty: true,
      },
    );
    await engine.api('POST', `/exec/${id}/start`, { Detach: true, Tty: true });
    await engine.end('SIGKILL');
    await engine.boot();
    await until(async () => {
      expect((await engine.api('POST', `/exec/${id}/resize?h=31&w=97`)).status).toBe(200);
      return existsSync(join(shared, 'size')) && readFileSync(join(shared, 'size'), 'utf8') === '31 97\n';
    });
    await engine.dockerOk('kill', 'tty');
    await until(async () => !(await inspect(id)).Running);
    expect(await inspect(id)).toMatchObject({ ExitCode: 137 });
    rmSync(join(shared, 'size'));
  });
});

describe('exec', () => {
  it('tells its code before its stream ends, every time', async () => {
    await running('quick');
    for (let code = 1; code <= 12; code += 1) {
      const id = await execOf('quick', ['sh', '-c', `echo ${String(code)}; exit ${String(code)}`]);
      const client = await RawClient.open(engine.socketPath);
      client.start(`/exec/${id}/start`, {});
      const { body } = await client.ended();
      expect(framesOf(body)).toEqual([{ stream: 1, text: `${String(code)}\n` }]);
      expect(await inspect(id)).toMatchObject({ Running: false, ExitCode: code });
    }
  });

  it('takes a file by cat, both ways, unharmed', async () => {
    await running('pipe');
    const data = randomBytes(48 * 1024 * 1024);
    const file = join(shared, 'data');
    writeFileSync(file, data);
    const { stdout } = await engine.shell(`cat ${file} | docker exec -i pipe cat | sha256sum`);
    expect(stdout.split(' ')[0]).toBe(createHash('sha256').update(data).digest('hex'));
    rmSync(file);
  });

  it('hears the first bytes that come with its head', async () => {
    await running('early');
    const id = await execOf('early', ['cat'], { AttachStdin: true });
    const client = await RawClient.open(engine.socketPath);
    client.start(`/exec/${id}/start`, {}, 'with the head ');
    await client.head();
    client.socket.end('and after');
    expect(
      framesOf((await client.ended()).body)
        .map(({ text }) => text)
        .join(''),
    ).toBe('with the head and after');
  });

  it('ends with its container', async () => {
    await running('doomed');
    const id = await execOf('doomed', ['sleep', '300']);
    const client = await RawClient.open(engine.socketPath);
    client.start(`/exec/${id}/start`, {});
    await until(async () => (await inspect(id)).Pid > 0);
    await engine.dockerOk('kill', 'doomed');
    await client.ended();
    expect(await inspect(id)).toMatchObject({ Running: false, ExitCode: 137 });
  });

  it('goes on when its client vanishes', async () => {
    await running('left');
    const id = await execOf('left', ['sh', '-c', 'while :; do echo tick; sleep 0.01; done']);
    const client = await RawClient.open(engine.socketPath);
    client.start(`/exec/${id}/start`, {});
    await client.head();
    client.socket.destroy();
    const again = await execOf('left', ['true']);
    await engine.api('POST', `/exec/${again}/start`, {});
    expect(await inspect(id)).toMatchObject({ Running: true, ExitCode: null });
  });

  it('has the terminal of its creation, framed as its start says', async () => {
    await running('mixed');
    const id = await execOf('mixed', ['echo', 'hi'], { Tty: true });
    const client = await RawClient.open(engine.socketPath);
    client.start(`/exec/${id}/start`, { Tty: false });
    expect(framesOf((await client.ended()).body)).toEqual([{ stream: 1, text: 'hi\r\n' }]);
  });

  it('takes user, directory, environment and its file, privileges', async () => {
    await running('dressed');
    writeFileSync(join(shared, 'env'), '# words\nFROM_FILE=two\n');
    const options = ['-u', 'nobody', '-w', '/tmp', '-e', 'GIVEN=one', '--env-file', join(shared, 'env')];
    const said = await engine.dockerOk(
      'exec',
      ...options,
      'dressed',
      'sh',
      '-c',
      'echo $(id -un) $PWD $GIVEN $FROM_FILE',
    );
    expect(said).toBe('nobody /tmp one two');
    const capabilities = (...flags: string[]): Promise<string> =>
      engine.dockerOk('exec', ...flags, 'dressed', 'grep', 'CapEff', '/proc/self/status');
    expect(await capabilities('--privileged')).not.toBe(await capabilities());
    expect(await engine.dockerOk('exec', '-d', 'dressed', 'sh', '-c', 'echo detached > /tmp/said')).toBe('');
    await until(async () => (await engine.docker(['exec', 'dressed', 'cat', '/tmp/said'])).stdout === 'detached\n');
    rmSync(join(shared, 'env'));
  });

  it('refuses what cannot be, in Docker’s words', async () => {
    await running('strict');
    const messages = async (path: string, body: object): Promise<readonly [number, unknown]> => {
      const { status, json } = await engine.api('POST', path, body);
      return [status, (json as { readonly message: unknown }).message];
    };
    const create = '/containers/strict/exec';
    expect(await messages(create, { Cmd: [] })).toEqual([400, 'No exec command specified']);
    expect(await messages(create, { Cmd: ['true'], DetachKeys: 'ctrl-pp' })).toEqual([
      400,
      'Invalid escape keys (ctrl-pp) provided',
    ]);
    expect(await messages('/exec/nosuch/start', {})).toEqual([404, 'No such exec instance: nosuch']);
    const id = await execOf('strict', ['true']);
    expect((await engine.api('POST', `/exec/${id}/resize?h=1&w=1`)).status).toBe(409);
    await engine.api('POST', `/exec/${id}/start`, {});
    expect(await messages(`/exec/${id}/start`, {})).toEqual([409, `exec command ${id} has already run`]);
    await engine.dockerOk('pause', 'strict');
    expect((await messages(create, { Cmd: ['true'] }))[0]).toBe(409);
    await engine.dockerOk('unpause', 'strict');
  });
});
