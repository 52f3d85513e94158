import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../support/engine.ts';
import { framesOf, RawClient } from '../support/raw-client.ts';

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

const ALL = 'stream=1&stdin=1&stdout=1&stderr=1';

async function run(name: string, options: readonly string[], ...command: readonly string[]): Promise<string> {
  return engine.dockerOk('run', '-d', '--name', name, '--network', 'none', ...options, 'busybox', ...command);
}

async function attach(name: string, query: string, version = 'v1.51'): Promise<RawClient> {
  const client = await RawClient.open(engine.socketPath);
  client.start(`/${version}/containers/${name}/attach?${query}`, null);
  return client;
}

describe('attach', () => {
  it('answers as dockerd does, with and without Upgrade, by version and terminal', async () => {
    await run('plain', [], 'sleep', '300');
    await run('tty', ['-t'], 'sleep', '300');
    const head = async (name: string, version: string, fields?: string): Promise<string> => {
      const client = await RawClient.open(engine.socketPath);
      client.start(`/${version}/containers/${name}/attach?stream=1&stdout=1`, null, '', fields);
      const text = await client.head();
      client.socket.destroy();
      return text;
    };
    const upgraded = (type: string): string =>
      `HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.${type}-stream\r\nConnection: Upgrade\r\nUpgrade: tcp`;
    expect(await head('plain', 'v1.41')).toBe(upgraded('raw'));
    expect(await head('plain', 'v1.42')).toBe(upgraded('multiplexed'));
    expect(await head('tty', 'v1.42')).toBe(upgraded('raw'));
    expect(await head('plain', 'v1.41', 'Content-Length: 0\r\n')).toBe(
      'HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream',
    );
  });

  it('with the log has neither a gap nor a double line where the log ends and life begins', async () => {
    const counting = 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo $i; done';
    // It ends when all are there: who comes later would wait for the next start.
    await run('count', [], 'sh', '-c', `${counting}; until [ -e /go ]; do sleep 0.1; done`);
    await until(async () => (await engine.dockerOk('logs', '--tail', '1', 'count')) !== '');
    const clients = [];
    for (let i = 0; i < 3; i += 1) clients.push(await attach('count', 'logs=1&stream=1&stdout=1'));
    for (const client of clients) await client.head();
    await engine.dockerOk('exec', 'count', 'touch', '/go');
    const expected = `${Array.from({ length: 20_000 }, (_, i) => String(i + 1)).join('\n')}\n`;
    for (const client of clients) {
      const text = framesOf((await client.ended()).body)
        .map((frame) => frame.text)
        .join('');
      expect(text === expected).toBe(true);
    }
  });

  it('gives everybody everything, also beside one that reads nothing', async () => {
    await engine.dockerOk('create', '--name', 'many', '--network', 'none', 'busybox', 'seq', '1', '20000');
    const stuck = await attach('many', 'stream=1&stdout=1');
    await stuck.head();
    stuck.socket.pause();
    const others = [await attach('many', 'stream=1&stdout=1'), await attach('many', 'stream=1&stdout=1')];
    for (const other of others) await other.head();
    await engine.dockerOk('start', 'many');
    const expected = `${Array.from({ length: 20_000 }, (_, i) => String(i + 1)).join('\n')}\n`;
    for (const other of others) {
      expect(framesOf((await other.ended()).body)).toEqual([{ stream: 1, text: expected }]);
    }
    stuck.socket.destroy();
  });

  it('leaves a container be whose client vanishes', async () => {
    await run('left', ['-i'], 'sh', '-c', 'while :; do echo tick; sleep 0.01; done');
    for (const cut of [1, 40, 200]) {
      const client = await attach('left', ALL);
      await client.until((bytes) => bytes.length >= cut);
      client.socket.destroy();
    }
    expect(await engine.dockerOk('inspect', '-f', '{{.State.Running}}', 'left')).toBe('true');
    const again = await attach('left', ALL);
    await again.until((bytes) => bytes.includes('tick'));
    again.socket.destroy();
  });

  it('keeps a stdin that is not for one client, and ends one that is', async () => {
    await run('kept', ['-i'], 'sh', '-c', 'read a; read b; echo "$a $b"');
    const first = await attach('kept', ALL);
    await first.head();
    first.socket.end('one\n');
    await until(async () => (await engine.api('GET', '/containers/kept/json')).status === 200);
    const second = await attach('kept', ALL);
    await second.head();
    second.socket.write('two\n');
    expect(framesOf((await second.ended()).body)).toEqual([{ stream: 1, text: 'one two\n' }]);
    const once = await engine.docker(['run', '-i', '--rm', '--network', 'none', 'busybox', 'wc', '-c'], {
      stdin: 'four',
    });
    expect(once.stdout.trim()).toBe('4');
  });

  it('forwards a started detach sequence that is none, and obeys the client’s own keys', async () => {
    await run('keys', ['-it'], 'cat');
    const client = await attach('keys', `${ALL}&detachKeys=a,b`);
    await client.head();
    client.socket.write('xay\r');
    await client.until((bytes) => bytes.includes('xay\r\nxay'));
    client.socket.write('ab');
    await client.ended();
    const { status, json } = await engine.api('POST', '/containers/keys/attach?stream=1&detachKeys=ctrl-pp');
    expect([status, json]).toEqual([400, { message: 'Invalid detach keys (ctrl-pp) provided' }]);
    expect(await engine.dockerOk('inspect', '-f', '{{.State.Running}}', 'keys')).toBe('true');
  });

  it('ends with the process also where a policy starts it again, as docker run does', async () => {
    const args = ['run', '--name', 'again', '--network', 'none', '--restart', 'on-failure:2', 'busybox'];
    const first = await engine.docker([...args, 'sh', '-c', 'echo hi; exit 3']);
    expect(first).toEqual({ code: 3, stdout: 'hi\n', stderr: '' });
    await until(async () => (await engine.dockerOk('logs', 'again')) === 'hi\nhi\nhi');
  });

  it('carries a big file through a container, both ways, by the CLI', async () => {
    const size = 64 * 1024 * 1024;
    const { stdout } = await engine.shell(
      `head -c ${String(size)} /dev/zero | docker run -i --rm --network none --log-driver none busybox cat | sha256sum`,
    );
    expect(stdout.split(' ')[0]).toBe(createHash('sha256').update(Buffer.alloc(size)).digest('hex'));
  });

  it('is refused while paused, and given the log alone when nothing runs', async () => {
    await run('held', [], 'sleep', '300');
    await engine.dockerOk('pause', 'held');
    expect((await engine.api('POST', '/containers/held/attach?stream=1')).status).toBe(409);
    await engine.dockerOk('unpause', 'held');
    await engine.dockerOk('run', '--name', 'over', '--network', 'none', 'busybox', 'echo', 'said');
    const client = await attach('over', 'logs=1&stdout=1');
    expect(framesOf((await client.ended()).body)).toEqual([{ stream: 1, text: 'said\n' }]);
  });
});
