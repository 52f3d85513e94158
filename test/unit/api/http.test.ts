import { describe, expect, it } from 'vitest';
import { parseAnswer, TestApi } from '../../support/api-server.ts';
import { listen } from '../../../src/api/http/listener.ts';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { spawn } from 'node:child_process';

const LISTENER = new URL('../../../src/api/http/listener.ts', import.meta.url).href;
const PING = 'GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n';

describe('connections', () => {
  it('keeps the connection and answers pipelined requests in order', async () => {
    await using api = await TestApi.start();
    const peer = await api.open();
    peer.send(
      `${PING}GET /nosuch HTTP/1.1\r\nHost: d\r\n\r\nGET /volumes HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n`,
    );
    const text = (await peer.ended()).toString();
    expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(['200', '404', '200']);
    expect(text).toMatch(/OKHTTP\/1\.1 404/);
  });

  it('reads a head that arrives byte by byte', async () => {
    await using api = await TestApi.start();
    const peer = await api.open();
    for (const char of PING) peer.send(char);
    expect(await peer.until((text) => text.endsWith('OK'))).toContain('HTTP/1.1 200 OK');
    peer.socket.destroy();
  });

  it('reads chunked bodies and goes on with the next request behind them', async () => {
    await using api = await TestApi.start();
    const peer = await api.open();
    const body = '{"Name":"chunked"}';
    const halves = [body.slice(0, 5), body.slice(5)].map((part) => `${part.length.toString(16)};x=y\r\n${part}\r\n`);
    peer.send(
      `POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${halves.join('')}0\r\nTrailer: x\r\n\r\n${PING}`,
    );
    const text = await peer.until((received) => received.endsWith('OK'));
    expect(text).toMatch(/^HTTP\/1\.1 201 Created/);
    expect(text).toContain('"Name":"chunked"');
    peer.socket.destroy();
  });

  it('says 100 Continue only when somebody reads the body', async () => {
    await using api = await TestApi.start();
    const asked = await api.open();
    const head =
      'HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n';
    asked.send(`POST /volumes/create ${head}`);
    await asked.until((text) => text === 'HTTP/1.1 100 Continue\r\n\r\n');
    asked.send('{}');
    await asked.until((text) => text.includes('201 Created'));
    const unasked = await api.open();
    unasked.send(`POST /containers/nosuch/pause ${head}`);
    expect((await unasked.ended()).toString()).toMatch(/^HTTP\/1\.1 404/);
    asked.socket.destroy();
  });

  it('answers a client that has half-closed, and drops bodies nobody read', async () => {
    await using api = await TestApi.start();
    const half = await api.open();
    half.socket.end(PING);
    expect((await half.ended()).toString()).toMatch(/OK$/);
    const early = await api.open();
    early.send(`POST /containers/nosuch/pause HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\n\r\nhello${PING}`);
    expect(await early.until((text) => text.endsWith('OK'))).toMatch(/^HTTP\/1\.1 404/);
    early.socket.destroy();
  });

  it('cuts no long answer short that a slow client has not read yet', async () => {
    await using api = await TestApi.start();
    const big = 'x'.repeat(3_000_000);
    await api.call('POST', '/volumes/create', { body: { Name: 'big', Labels: { big } } });
    const peer = await api.open();
    // Slower than the time that an ended connection has.
    peer.socket.on('data', () => {
      peer.socket.pause();
      setTimeout(() => peer.socket.resume(), 25);
    });
    peer.send('GET /volumes HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n');
    expect((await peer.ended()).length).toBeGreaterThan(big.length);
  });

  it.each([
    ['both lengths', 'POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
    ['two lengths', 'POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400],
    ['no host', 'GET /x HTTP/1.1\r\n\r\n', 400],
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\n', 505],
    ['folded field', 'GET /x HTTP/1.1\r\nHost: d\r\nA: b\r\n c\r\n\r\n', 400],
    ['other coding', 'POST /x HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip\r\n\r\n', 501],
    ['a head without end', `GET /x HTTP/1.1\r\nA: ${'b'.repeat(1_100_000)}`, 431],
  ])('refuses %s and closes', async (_what, request, status) => {
    await using api = await TestApi.start();
    const peer = await api.open();
    peer.send(request);
    expect(parseAnswer(await peer.ended()).status).toBe(status);
  });

  it('speaks HTTP/1.0: no chunks, the end of the connection ends the body', async () => {
    await using api = await TestApi.start();
    const id = await api.create(['echo', 'hi']);
    await api.call('POST', `/containers/${id}/start`);
    await api.call('POST', `/containers/${id}/wait`);
    const peer = await api.open();
    peer.send(`GET /containers/${id}/logs?stdout=1 HTTP/1.0\r\n\r\n`);
    const text = (await peer.ended()).toString('latin1');
    expect(text).not.toContain('Transfer-Encoding');
    expect(text).toMatch(/\x01\0\0\0\0\0\0\x03hi\n$/);
  });

  it('serves 200 requests at once', async () => {
    await using api = await TestApi.start();
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const id = await api.create(['exit', String(i % 256)], {}, `n${String(i)}`);
        const waited = api.call('POST', `/containers/${id}/wait?condition=next-exit`);
        await api.call('POST', `/containers/${id}/start`);
        const [{ json }] = await Promise.all([waited, api.call('GET', '/containers/json?all=1&limit=10')]);
        return (await api.call('DELETE', `/containers/${id}`)).status === 204 ? json.StatusCode : -1;
      }),
    );
    expect(answers).toEqual(Array.from({ length: 200 }, (_, i) => i % 256));
    expect(api.engine.containers.list()).toEqual([]);
  }, 30_000);

  it('ends streams when the server closes', async () => {
    const api = await TestApi.start();
    const peer = await api.open();
    peer.send('GET /events HTTP/1.1\r\nHost: d\r\n\r\n');
    await peer.until((text) => text.includes('200 OK'));
    expect(api.server.busyCount).toBe(1);
    await api[Symbol.asyncDispose]();
    await peer.ended();
    expect(existsSync(api.socketPath)).toBe(false);
  });

  it('stops following events when the client goes away', async () => {
    await using api = await TestApi.start();
    const peer = await api.open();
    peer.send('GET /events HTTP/1.1\r\nHost: d\r\n\r\n');
    await peer.until((text) => text.includes('200 OK'));
    expect(api.engine.followers.size).toBe(1);
    peer.socket.destroy();
    await expect.poll(() => api.engine.followers.size).toBe(0);
  });
});

describe('listen', () => {
  const directory = mkdtempSync(join(tmpdir(), 'api-listen-'));
  const path = join(directory, 's.sock');

  it('makes the socket 0660, refuses one in use, replaces a dead one, keeps other files', async () => {
    const first = await listen({ kind: 'unix', path, gid: null }, (socket) => socket.destroy());
    expect(statSync(path).mode & 0o777).toBe(0o660);
    await expect(listen({ kind: 'unix', path, gid: null }, () => undefined)).rejects.toThrow(/address already in use/);
    await first.close();
    // A server that dies without cleaning up leaves its file.
    const dead = spawn(process.execPath, [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(path)},()=>process.kill(process.pid,'SIGKILL'))`,
    ]);
    await once(dead, 'exit');
    expect(existsSync(path)).toBe(true);
    const second = await listen({ kind: 'unix', path, gid: 0 }, (socket) => socket.destroy());
    await second.close();
    writeFileSync(path, 'precious');
    await expect(listen({ kind: 'unix', path, gid: null }, () => undefined)).rejects.toThrow(/not a socket/);
    rmSync(directory, { recursive: true });
  });

  it('listens on TCP and on a socket that was handed in', async () => {
    const tcp = await listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, (socket) => socket.destroy());
    expect(tcp.address).toMatch(/^tcp:\/\/127\.0\.0\.1:\d+$/);
    const port = Number(tcp.address.split(':').at(-1));
    await expect(listen({ kind: 'tcp', host: '127.0.0.1', port }, () => undefined)).rejects.toThrow(
      `listen tcp 127.0.0.1:${String(port)}: bind: address already in use`,
    );
    await tcp.close();
    const given = createServer().listen(0, '127.0.0.1');
    await once(given, 'listening');
    const { fd } = (given as unknown as { _handle: { fd: number } })._handle;
    const script = `import { listen } from ${JSON.stringify(LISTENER)};
      const listener = await listen({ kind: 'fd', fd: 3 }, (socket) => socket.end('hello'));
      process.stdout.write(listener.address);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit', fd],
    });
    const [address] = (await once(child.stdout!, 'data')) as [Buffer];
    const { port: inherited } = given.address() as AddressInfo;
    expect(address.toString()).toBe(`tcp://127.0.0.1:${String(inherited)}`);
    given.close();
    const [hello] = (await once(connect(inherited, '127.0.0.1'), 'data')) as [Buffer];
    expect(hello.toString()).toBe('hello');
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
});
