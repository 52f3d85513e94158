import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { SystemClock } from '../../src/base/clock.ts';
import { readBody, Transport, type Exchange, type TransportOptions } from '../../src/engine/registry/transport.ts';
import { FakeClock } from '../support/fake-clock.ts';

interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

type Reply = (received: Received, answer: ServerResponse) => void;

/** A server that keeps what it was sent. */
async function serverThat(reply: Reply) {
  const received: Received[] = [];
  const server = createServer((request, answer) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const one = { method, url, headers, body: Buffer.concat(chunks).toString() };
      received.push(one);
      reply(one, answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  return {
    base: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    received,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const makeTransport = (options: Partial<TransportOptions> = {}): Transport =>
  new Transport({
    clock: new SystemClock(),
    userAgent: 'docker/test',
    proxies: { http: '', https: '', none: '' },
    certificatesDirectory: null,
    random: () => 0,
    ...options,
  });

const exchange = (fields: Pick<Exchange, 'method' | 'url'> & Partial<Exchange>): Exchange => ({
  headers: {},
  trust: { host: 'x', verifyTls: true },
  retries: 0,
  signal: undefined,
  ...fields,
});

describe('bodies', () => {
  it.each(['PUT', 'PATCH', 'POST'] as const)('are streamed by %s, of known length or in chunks', async (method) => {
    await using server = await serverThat((_, answer) => answer.writeHead(201).end('kept'));
    await using transport = makeTransport();
    const parts = ['one ', 'two ', 'three'];
    for (const headers of [{ 'content-length': '13' }, {}]) {
      const body = Readable.from(parts.map((part) => Buffer.from(part)));
      const answer = await transport.send(exchange({ method, url: `${server.base}/u`, headers, body }));
      expect([answer.status, (await readBody(answer.body, 100)).toString()]).toEqual([201, 'kept']);
    }
    expect(server.received.map(({ method: used, body }) => [used, body])).toEqual([
      [method, 'one two three'],
      [method, 'one two three'],
    ]);
    expect(server.received[0]?.headers['content-length']).toBe('13');
    expect(server.received[1]?.headers['transfer-encoding']).toBe('chunked');
  });

  it('that are streams are sent once, others as often as is asked', async () => {
    await using server = await serverThat((_, answer) => answer.writeHead(503).end());
    await using transport = makeTransport();
    const url = `${server.base}/u`;
    await transport.send(exchange({ method: 'PUT', url, body: Readable.from([Buffer.from('x')]), retries: 2 }));
    expect(server.received).toHaveLength(1);
    await transport.send(exchange({ method: 'PUT', url, body: Buffer.from('x'), retries: 2 }));
    expect(server.received).toHaveLength(4);
  });

  it('that cannot be read fail the request', async () => {
    await using server = await serverThat((_, answer) => answer.writeHead(201).end());
    await using transport = makeTransport();
    const body = new Readable({ read: () => undefined });
    const sending = transport.send(exchange({ method: 'PUT', url: `${server.base}/u`, body }));
    body.destroy(new Error('the file has gone'));
    await expect(sending).rejects.toThrow('the file has gone');
  });

  it('go where they are sent on within their origin only', async () => {
    await using elsewhere = await serverThat((_, answer) => answer.writeHead(201).end());
    await using server = await serverThat(({ url }, answer) => {
      const location = { '/far': `${elsewhere.base}/u`, '/near': '/u', '/seen': '/u' }[url];
      if (location === undefined) answer.writeHead(201).end();
      else answer.writeHead(url === '/seen' ? 303 : 307, { location }).end();
    });
    await using transport = makeTransport();
    const put = async (path: string): Promise<number> => {
      const url = `${server.base}${path}`;
      return (await transport.send(exchange({ method: 'PUT', url, body: Buffer.from('x') }))).status;
    };
    expect([await put('/near'), await put('/far'), await put('/seen')]).toEqual([201, 307, 303]);
    expect(server.received.at(1)).toMatchObject({ method: 'PUT', url: '/u', body: 'x' });
    expect(elsewhere.received).toEqual([]);
  });
});

describe('patience', () => {
  it('lasts as long as Retry-After says, in seconds or by a date', async () => {
    for (const format of ['seconds', 'date'] as const) {
      const clock = new FakeClock();
      const inSevenSeconds = new Date(Number(clock.now() / 1_000_000n) + 7000).toUTCString();
      let asked = 0;
      await using server = await serverThat((_, answer) => {
        asked += 1;
        const header = { 'retry-after': format === 'date' ? inSevenSeconds : '7' };
        answer.writeHead(asked === 1 ? 503 : 200, asked === 1 ? header : {}).end('ok');
      });
      await using transport = makeTransport({ clock });
      const sending = transport.send(exchange({ method: 'GET', url: server.base, retries: 1 }));
      await expect.poll(() => clock.pendingCount).toBe(1);
      await clock.advance(5900);
      expect(asked).toBe(1);
      await clock.advance(1100);
      const { status, body } = await sending;
      expect([format, status, (await readBody(body, 10)).toString()]).toEqual([format, 200, 'ok']);
    }
  });

  it('ends with a small answer that trickles', async () => {
    const clock = new FakeClock();
    const held: ServerResponse[] = [];
    await using server = await serverThat((_, answer) => {
      held.push(answer);
      answer.writeHead(200).write('{"tok');
    });
    await using transport = makeTransport({ clock });
    const answer = await transport.send(exchange({ method: 'GET', url: server.base, bodyWithinMs: 60_000 }));
    const refused = expect(readBody(answer.body, 1000)).rejects.toMatchObject({
      kind: 'unavailable',
      message: `Get "${server.base}": net/http: timeout awaiting the end of the response`,
    });
    for (let seconds = 0; seconds < 60; seconds += 20) {
      held[0]?.write('e');
      await clock.advance(20_000);
    }
    await refused;
  });
});
