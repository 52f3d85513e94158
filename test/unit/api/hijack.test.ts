import { describe, expect, it } from 'vitest';
import { framesOf, TestApi, type Peer } from '../../support/api-server.ts';

const UPGRADE = 'Connection: Upgrade\r\nUpgrade: tcp\r\n';

function bodyOf(peer: Peer): Buffer {
  return peer.bytes.subarray(peer.bytes.indexOf('\r\n\r\n') + 4);
}

async function attach(api: TestApi, id: string, fields: string, early = ''): Promise<Peer> {
  const peer = await api.open();
  peer.send(
    `POST /v1.51/containers/${id}/attach?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: d\r\n${fields}\r\n${early}`,
  );
  return peer;
}

describe('taking a connection over', () => {
  it('answers 101 in dockerd’s words, loses no early stdin, and keeps output flowing after the half-close', async () => {
    await using api = await TestApi.start();
    const id = await api.create(['cat'], { OpenStdin: true });
    const peer = await attach(api, id, UPGRADE, 'early ');
    await peer.until((text) => text.includes('\r\n\r\n'));
    expect(peer.text.split('\r\n\r\n')[0]!.split('\r\n')).toEqual([
      'HTTP/1.1 101 UPGRADED',
      'Content-Type: application/vnd.docker.multiplexed-stream',
      'Connection: Upgrade',
      'Upgrade: tcp',
    ]);
    await api.call('POST', `/containers/${id}/start`);
    peer.send('late');
    peer.socket.end();
    await peer.ended();
    const frames = framesOf(bodyOf(peer));
    expect(
      frames
        .filter(({ stream }) => stream === 1)
        .map(({ text }) => text)
        .join(''),
    ).toBe('early late');
    expect(frames.at(-1)).toEqual({ stream: 2, text: 'cat: end of stdin\n' });
  });

  it('answers 200 without length and chunks when no upgrade is asked', async () => {
    await using api = await TestApi.start();
    const id = await api.create(['cat'], { OpenStdin: true });
    const peer = await attach(api, id, 'Content-Length: 0\r\n', 'x');
    peer.socket.end();
    await api.call('POST', `/containers/${id}/start`);
    await peer.ended();
    const head = peer.text.split('\r\n\r\n')[0]!;
    expect(head).toBe('HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.multiplexed-stream');
    expect(framesOf(bodyOf(peer))[0]).toEqual({ stream: 1, text: 'x' });
  });

  it('is raw with a terminal, and says raw-stream to clients of before 1.42', async () => {
    await using api = await TestApi.start();
    const tty = await api.create(['echo', 'hi'], { Tty: true });
    const peer = await attach(api, tty, UPGRADE);
    await peer.until((text) => text.includes('\r\n\r\n'));
    await api.call('POST', `/containers/${tty}/start`);
    await peer.ended();
    expect(peer.text).toContain('application/vnd.docker.raw-stream');
    expect(bodyOf(peer).toString()).toBe('hi\n');
    const old = await api.open();
    old.send(`POST /v1.41/containers/${tty}/attach?logs=1&stdout=1 HTTP/1.1\r\nHost: d\r\n${UPGRADE}\r\n`);
    expect((await old.ended()).toString()).toContain('application/vnd.docker.raw-stream');
  });

  it('tells errors as JSON before it takes over', async () => {
    await using api = await TestApi.start();
    const peer = await attach(api, 'nosuch', UPGRADE);
    const text = await peer.until((received) => received.endsWith('}\n'));
    expect(text).toMatch(/^HTTP\/1\.1 404 Not Found\r\n/);
    expect(text).toMatch(/\{"message":"No such container: nosuch"\}\n$/);
    peer.socket.destroy();
  });

  it('cuts the JSON body of exec start from the stdin that follows at once', async () => {
    await using api = await TestApi.start();
    const id = await api.create(['sleep']);
    await api.call('POST', `/containers/${id}/start`);
    const { json } = await api.call('POST', `/containers/${id}/exec`, {
      body: { Cmd: ['cat'], AttachStdin: true, AttachStdout: true, AttachStderr: true },
    });
    const peer = await api.open();
    const body = '{"Detach":false,"Tty":false}';
    peer.send(
      `POST /v1.51/exec/${String(json.Id)}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: ${String(body.length)}\r\n${UPGRADE}\r\n${body}typed at once`,
    );
    peer.socket.end();
    await peer.ended();
    expect(framesOf(bodyOf(peer))).toEqual([
      { stream: 1, text: 'typed at once' },
      { stream: 2, text: 'cat: end of stdin\n' },
    ]);
    expect((await api.call('GET', `/exec/${String(json.Id)}/json`)).json).toMatchObject({
      Running: false,
      ExitCode: 0,
    });
    expect((await api.call('POST', `/exec/${String(json.Id)}/start`, { body: {} })).status).toBe(409);
  });

  it('carries a megabyte of stdin through and back', async () => {
    await using api = await TestApi.start();
    const id = await api.create(['cat'], { OpenStdin: true, Tty: true });
    const peer = await attach(api, id, UPGRADE);
    await api.call('POST', `/containers/${id}/start`);
    const sent = Buffer.alloc(1024 * 1024, 'abcdefghijklmnop');
    peer.send(sent);
    peer.socket.end();
    await peer.ended();
    expect(bodyOf(peer).subarray(0, sent.length).equals(sent)).toBe(true);
  });

  it('ends the attachment of a client that has gone when output can no longer be given to it', async () => {
    await using api = await TestApi.start();
    const id = await api.create(['cat'], { OpenStdin: true });
    const gone = await api.open();
    gone.send(`POST /containers/${id}/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\n${UPGRADE}\r\n`);
    await gone.until((text) => text.includes('\r\n\r\n'));
    const typing = await attach(api, id, UPGRADE);
    await api.call('POST', `/containers/${id}/start`);
    expect(api.server.busyCount).toBe(2);
    gone.socket.destroy();
    for (const word of ['one', 'two']) {
      typing.send(word);
      await typing.until((text) => text.includes(word));
    }
    await expect.poll(() => api.server.busyCount).toBe(1);
    typing.socket.end();
    await typing.ended();
  });
});

describe('wait', () => {
  it('sends status and fields at once', async () => {
    await using api = await TestApi.start();
    const id = await api.create(['exit', '3']);
    const peer = await api.open();
    peer.send(`POST /containers/${id}/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n`);
    expect(await peer.until((text) => text.endsWith('\r\n\r\n'))).toMatch(/^HTTP\/1\.1 200 OK/);
    await api.call('POST', `/containers/${id}/start`);
    expect((await peer.ended()).toString()).toMatch(/\r\n\{"StatusCode":3\}\n\r\n0\r\n\r\n$/);
  });

  it('waits for the removal, refuses unknown conditions', async () => {
    await using api = await TestApi.start();
    const id = await api.create(['exit', '4'], { HostConfig: { AutoRemove: true } });
    const removed = api.call('POST', `/containers/${id}/wait?condition=removed`);
    await api.call('POST', `/containers/${id}/start`);
    expect((await removed).json).toEqual({ StatusCode: 4 });
    const other = await api.create(['true']);
    expect((await api.call('POST', `/containers/${other}/wait?condition=x`)).json).toEqual({
      message: 'invalid condition: "x"',
    });
  });
});
