import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { TestEngine, until } from '../support/engine.ts';
import { RawClient } from '../support/raw-client.ts';

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

/** A browser's end of an attach. */
class Attached {
  readonly socket: WebSocket;
  readonly binary: boolean[] = [];
  readonly pongs: string[] = [];
  text = '';
  code: number | null = null;

  constructor(path: string) {
    this.socket = new WebSocket(`ws+unix://${engine.socketPath}:${path}`);
    this.socket.on('message', (message: Buffer, isBinary) => {
      this.binary.push(isBinary);
      this.text += message.toString();
    });
    this.socket.on('pong', (words) => this.pongs.push(words.toString()));
    this.socket.on('error', () => undefined);
    this.socket.on('close', (code) => (this.code = code));
  }

  async open(): Promise<this> {
    await until(() => this.socket.readyState === WebSocket.OPEN);
    return this;
  }

  async closed(): Promise<number | null> {
    await until(() => this.socket.readyState === WebSocket.CLOSED);
    return this.code;
  }
}

async function started(name: string, options: readonly string[], ...command: readonly string[]): Promise<void> {
  await engine.dockerOk('run', '-d', '--name', name, '--network', 'none', ...options, 'busybox', ...command);
}

describe('attach over a WebSocket', () => {
  it('carries input and output, answers pings, and closes in good order at the end', async () => {
    await started('echo', ['-i'], 'sh', '-c', 'read a; echo "out $a"; read b; echo "err $b" >&2');
    const client = await new Attached('/v1.51/containers/echo/attach/ws?stream=1&stdin=1&stdout=1&stderr=1').open();
    client.socket.send('one\n');
    await until(() => client.text.includes('out one\n'));
    client.socket.ping('are you there');
    await until(() => client.pongs.length > 0);
    client.socket.send(Buffer.from('t'), { fin: false });
    client.socket.send(Buffer.from('wo\n'), { fin: true });
    expect(await client.closed()).toBe(1000);
    expect(client.text).toBe('out one\nerr two\n');
    expect(client.pongs).toEqual(['are you there']);
    expect(new Set(client.binary)).toEqual(new Set([true]));
  });

  it('gives all streams before 1.42, and those asked for from then on; text before 1.28', async () => {
    const script = 'read go; echo out; echo err >&2; sleep 0.2';
    await started('both', ['-i'], 'sh', '-c', script);
    const old = await new Attached('/v1.27/containers/both/attach/ws?stream=1').open();
    const chosen = await new Attached('/v1.42/containers/both/attach/ws?stream=1&stderr=1').open();
    old.socket.send('go\n');
    await Promise.all([old.closed(), chosen.closed()]);
    expect(old.text.split('\n').sort()).toEqual(['', 'err', 'out']);
    expect(new Set(old.binary)).toEqual(new Set([false]));
    expect(chosen.text).toBe('err\n');
  });

  it('ends a stdin that is for one client when the client closes', async () => {
    const created = await engine.api('POST', '/containers/create?name=once', {
      Image: 'busybox',
      Cmd: ['cat'],
      OpenStdin: true,
      StdinOnce: true,
      HostConfig: { NetworkMode: 'none' },
    });
    expect(created.status).toBe(201);
    const client = await new Attached('/v1.51/containers/once/attach/ws?stream=1&stdin=1&stdout=1').open();
    await engine.dockerOk('start', 'once');
    client.socket.send('kept');
    await until(() => client.text === 'kept');
    client.socket.close();
    await client.closed();
    expect(await engine.dockerOk('wait', 'once')).toBe('0');
  });

  it('takes the end of the client’s half of the connection for the end of stdin, and goes on telling', async () => {
    const created = await engine.api('POST', '/containers/create?name=half', {
      Image: 'busybox',
      Cmd: ['sh', '-c', 'cat; echo after the end'],
      OpenStdin: true,
      StdinOnce: true,
      HostConfig: { NetworkMode: 'none' },
    });
    expect(created.status).toBe(201);
    const client = await RawClient.open(engine.socketPath);
    client.socket.write(
      'GET /v1.51/containers/half/attach/ws?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\n' +
        'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    );
    expect(await client.head()).toContain('101');
    await engine.dockerOk('start', 'half');
    // A final binary frame, masked with zeros, and no close frame behind it.
    client.socket.end(Buffer.concat([Buffer.from([0x82, 0x80 | 5, 0, 0, 0, 0]), Buffer.from('typed')]));
    const { body } = await client.ended();
    expect(body.toString('latin1')).toContain('typed');
    expect(body.toString('latin1')).toContain('after the end\n');
    // The close frame: 1000.
    expect([...body.subarray(-4)]).toEqual([0x88, 2, 0x03, 0xe8]);
    expect(await engine.dockerOk('wait', 'half')).toBe('0');
    // Nothing waits for an answer that cannot come, as the library would for thirty seconds.
    const asked = performance.now();
    await engine.end();
    expect(performance.now() - asked).toBeLessThan(20_000);
    await engine.boot();
  });

  it('refuses a message that is too long, and lets the container be', async () => {
    await started('stays', ['-i'], 'cat');
    const client = await new Attached('/v1.51/containers/stays/attach/ws?stream=1&stdin=1').open();
    client.socket.send(Buffer.alloc(33 * 1024 * 1024));
    expect(await client.closed()).toBe(1009);
    expect(await engine.dockerOk('inspect', '-f', '{{.State.Running}}', 'stays')).toBe('true');
  });

  it('tells what is wrong before it shakes hands', async () => {
    await started('plain', [], 'sleep', '300');
    const status = async (path: string, fields: Record<string, string> = {}): Promise<readonly [number, unknown]> => {
      const answer = await engine.api('GET', path, undefined, fields);
      return [answer.status, (answer.json as { readonly message: unknown }).message];
    };
    expect(await status('/containers/nosuch/attach/ws')).toEqual([404, 'No such container: nosuch']);
    expect(await status('/containers/plain/attach/ws')).toEqual([400, 'not websocket protocol']);
    const keys = new Attached('/v1.51/containers/plain/attach/ws?stream=1&detachKeys=ctrl-pp');
    await keys.closed();
    expect(keys.code).toBe(1006);
  });
});
