import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../support/fake-clock.ts';
import { parseReference } from '../../src/engine/oci/reference.ts';
import { makeImageRoom } from '../support/image-room.ts';
import { startProxy, type Misbehaviour, type MisbehavingProxy } from '../support/misbehaving-proxy.ts';
import { makeRegistryClient } from '../support/registry-client.ts';
import { syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';

/*
 * Registries, mirrors and what stands before them as they should not be: the real client over real sockets.
 */
const anonymous = { auth: null };
const say = (status: number, body: string | Buffer = '', headers: Readonly<Record<string, string>> = {}) =>
  ({ kind: 'answer', status, body, headers }) as const;

/** Answers a request as an honest registry that holds one image would. */
function honest(image: SyntheticImage, path: string): Misbehaviour {
  const blobs = new Map<string, Buffer>([
    [image.id, image.config],
    ...image.layers.map((one) => [one.digest, one.blob] as const),
  ]);
  const [, kind, name = ''] = /\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? [];
  const blob = kind === 'blobs' ? blobs.get(name) : undefined;
  if (path === '/v2/') return say(200);
  if (kind === 'manifests') return say(200, image.manifest, { 'content-type': image.manifestMediaType });
  return blob === undefined ? say(404) : say(200, blob);
}

/** A server that writes bytes by hand; `answer` is called with each request's head. */
async function rawServer(answer: (socket: Socket, head: string, count: number) => void) {
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    let seen = '';
    socket.on('data', (chunk: Buffer) => {
      // A client's hello: no TLS here.
      if (chunk[0] === 0x16) socket.destroy();
      seen += chunk.toString('latin1');
      for (let end = seen.indexOf('\r\n\r\n'); end >= 0; end = seen.indexOf('\r\n\r\n')) {
        const head = seen.slice(0, end);
        seen = seen.slice(end + 4);
        count += 1;
        answer(socket, head, count);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  return {
    host: `127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    sockets,
    get count() {
      return count;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function read(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('a mirror that lies', () => {
  /** Pulls `r.invalid/x:1` by way of a lying mirror and an honest one. */
  async function pulledPast(
    lie: (path: string, image: SyntheticImage) => Misbehaviour | null,
  ): Promise<MisbehavingProxy> {
    const image = await syntheticImage([{ a: '1' }, { b: '2' }]);
    await using lying = await startProxy(null, ({ path }) => lie(path, image) ?? honest(image, path));
    await using good = await startProxy(null, ({ path }) => honest(image, path));
    await using registry = makeRegistryClient({
      mirrorsByPrefix: [{ prefix: 'r.invalid', mirrors: [`http://${lying.host}`, `http://${good.host}`] }],
    });
    await using room = await makeImageRoom({ registry });
    const shown = await room.pull('r.invalid/x:1');
    expect(shown.at(-1)?.status).toBe('Status: Downloaded newer image for r.invalid/x:1');
    expect(room.images.get('r.invalid/x:1').id).toBe(image.id);
    expect(JSON.stringify(shown)).not.toContain('Retrying in');
    expect(good.requests.length).toBeGreaterThan(0);
    return lying;
  }
  const wrong = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte, index) => (index === 5 ? byte ^ 1 : byte)));

  it.each<[string, (path: string, image: SyntheticImage) => Misbehaviour | null]>([
    [
      'a layer of its own',
      (path, image) =>
        path.endsWith(image.layers[1]?.digest ?? '?')
          ? say(200, wrong(image.layers[1]?.blob ?? Buffer.alloc(0)))
          : null,
    ],
    ['a short layer', (path, image) => (path.endsWith(image.layers[0]?.digest ?? '?') ? say(200, 'x') : null)],
    [
      'a long layer',
      (path, image) => (path.endsWith(image.layers[0]?.digest ?? '?') ? say(200, Buffer.alloc(100_000)) : null),
    ],
    ['a config of its own', (path, image) => (path.endsWith(image.id) ? say(200, wrong(image.config)) : null)],
    ['every blob its login page', (path) => (path.includes('/blobs/') ? say(200, '<html>') : null)],
    ['its login page for everything', () => say(200, '<html>', { 'content-type': 'text/html' })],
    [
      'another manifest than it names',
      (path, image) =>
        path.includes('/manifests/')
          ? say(200, wrong(image.manifest), {
              'docker-content-digest': image.digest,
              'content-type': image.manifestMediaType,
            })
          : null,
    ],
  ])('with %s gives way to the next', async (_, lie) => {
    const lying = await pulledPast(lie);
    const counts = Map.groupBy(lying.requests, ({ method, path }) => `${method} ${path}`);
    for (const [what, all] of counts) if (!what.endsWith('/v2/')) expect([what, all.length]).toEqual([what, 1]);
  });

  it('as the last that is there ends the pull', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    await using lying = await startProxy(null, ({ path }) =>
      path.includes(image.layers[0]?.digest ?? '?') ? say(200, 'x') : honest(image, path),
    );
    await using registry = makeRegistryClient({
      mirrorsByPrefix: [{ prefix: 'r.invalid', mirrors: [`http://${lying.host}`] }],
    });
    await using room = await makeImageRoom({ registry, maxDownloadAttempts: 1 });
    await expect(room.pull('r.invalid/x:1')).rejects.toThrow();
    expect(lying.requests.filter(({ path }) => path.includes('/blobs/sha256')).length).toBeLessThan(5);
  });
});

describe('a mirror that is a registry too', () => {
  it('keeps names and credentials of the two apart', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    const basic = { 'www-authenticate': 'Basic realm="x"' };
    await using both = await startProxy(null, ({ path, headers }) =>
      headers.authorization === undefined && path.includes('/y/') ? say(401, '', basic) : honest(image, path),
    );
    await using registry = makeRegistryClient({
      mirrorsByPrefix: [{ prefix: 'r.invalid', mirrors: [`http://${both.host}/proxy`] }],
    });
    const [far, near] = [parseReference('r.invalid/x:1'), parseReference(`${both.host}/y:1`)];
    const config = { mediaType: '', digest: image.id, size: image.config.length };
    const secret = { auth: { username: 'r', password: 'secret-of-r' } };
    await registry.resolve(far, secret);
    await registry.resolve(near, { auth: { username: 'near', password: 'pw' } });
    await read(await registry.fetchBlob(far, config, 0, secret));
    expect(both.requests.at(-1)?.path).toBe(`/v2/proxy/x/blobs/${image.id}`);
    const shown = both.requests.map(({ headers }) => headers.authorization ?? '');
    expect(shown.filter((header) => header.includes(Buffer.from('r:secret-of-r').toString('base64')))).toEqual([]);
  });
});

describe('headers that are made to hurt', () => {
  it('do not keep the engine busy', async () => {
    const link = `${'<?'.repeat(15_000)}>; rel=prev`;
    const challenge = `Bearer${' '.repeat(30_000)}"`;
    await using server = await startProxy(null, ({ path }) =>
      path === '/v2/'
        ? say(200)
        : path.includes('/tags/')
          ? say(200, '{"tags":["a"]}', { link })
          : say(401, '', { 'www-authenticate': challenge }),
    );
    await using registry = makeRegistryClient();
    const started = performance.now();
    await expect(registry.resolve(parseReference(`${server.host}/x:1`), anonymous)).rejects.toThrow();
    expect(await registry.tags(parseReference(`${server.host}/x`), anonymous)).toEqual(['a']);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('end the answer where they are endless', async () => {
    await using server = await rawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      for (let at = 0; at < 2000; at += 1) socket.write(`x-flood-${String(at)}: ${'y'.repeat(100)}\r\n`);
    });
    await using registry = makeRegistryClient();
    await expect(registry.resolve(parseReference(`${server.host}/x:1`), anonymous)).rejects.toThrow(
      'net/http: server response headers exceeded the limit; aborted',
    );
  });

  it('name a next page that is this page: the list ends in an error', async () => {
    await using server = await startProxy(null, ({ path }) =>
      path === '/v2/'
        ? say(200)
        : path.startsWith('/v2/_catalog')
          ? say(200, '{"repositories":["x"]}', { link: '<http://evil.invalid/v2/_catalog?n=1000>; rel="next"' })
          : path.includes('/tags/')
            ? say(200, '{"tags":["a"]}', { link: '<http://evil.invalid/elsewhere?last=a>; rel="next"' })
            : say(404),
    );
    await using registry = makeRegistryClient();
    await expect(registry.tags(parseReference(`${server.host}/x`), anonymous)).rejects.toThrow('tag list never ends');
    await expect(registry.search(server.host, 'none', { ...anonymous, limit: 5 })).rejects.toThrow(
      'list of repositories never ends',
    );
    // Only the query of the link counted: nobody else was asked.
    expect(server.requests.filter(({ path }) => path.includes('last=a')).length).toBe(1);
  });
});

describe('bodies', () => {
  it('that nobody wants are not read to an end that never comes', async () => {
    let sent = 0;
    await using server = await rawServer((socket, head) => {
      if (head.includes(' /v2/ ')) {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
        return;
      }
      socket.write('HTTP/1.1 302 Found\r\nlocation: /v2/\r\ntransfer-encoding: chunked\r\n\r\n');
      const more = (): void => {
        while (!socket.destroyed && socket.write(`4000\r\n${'x'.repeat(0x4000)}\r\n`)) sent += 0x4000;
        sent += 0x4000;
      };
      socket.on('drain', more);
      more();
    });
    await using registry = makeRegistryClient();
    await expect(registry.tags(parseReference(`${server.host}/x`), anonymous)).rejects.toThrow();
    await expect.poll(() => [...server.sockets].filter((socket) => socket.writableNeedDrain).length).toBe(0);
    // What the sockets' buffers took beside what was read.
    expect(sent).toBeLessThan(32 * 1024 * 1024);
  });

  it('of refusals end in time, whatever trickles', async () => {
    const clock = new FakeClock();
    await using server = await rawServer((socket, head) => {
      const isPing = head.includes(' /v2/ ');
      socket.write(`HTTP/1.1 ${isPing ? 200 : 403} X\r\ncontent-length: ${isPing ? '0' : '1000'}\r\n\r\n`);
      if (!isPing) socket.write('x');
    });
    await using registry = makeRegistryClient({ clock });
    const blob = { mediaType: '', digest: `sha256:${'0'.repeat(64)}` as never, size: 10 };
    const refused = registry.fetchBlob(parseReference(`${server.host}/x:1`), blob, 0, anonymous);
    refused.catch(() => undefined);
    await expect.poll(() => server.count).toBeGreaterThan(1);
    await expect.poll(() => clock.pendingCount).toBe(1);
    await clock.advance(60_000);
    await expect(refused).rejects.toThrow('403');
  });

  it('are read from servers of HTTP/1.0, and with trailers', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    const type = `content-type: ${image.manifestMediaType}`;
    await using server = await rawServer((socket, head) => {
      if (head.includes('/manifests/')) {
        const size = image.manifest.length.toString(16);
        socket.write(`HTTP/1.1 200 OK\r\n${type}\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n`);
        if (!head.startsWith('HEAD')) socket.write(`${size}\r\n${image.manifest.toString()}\r\n0\r\nx-sum: 7\r\n\r\n`);
        return;
      }
      socket.write('HTTP/1.0 200 OK\r\n\r\n');
      socket.end(head.includes('/blobs/') ? image.config : '');
    });
    await using registry = makeRegistryClient();
    const reference = parseReference(`${server.host}/x:1`);
    expect((await registry.resolve(reference, anonymous)).descriptor.digest).toBe(image.digest);
    const config = { mediaType: '', digest: image.id, size: image.config.length };
    expect(await read(await registry.fetchBlob(reference, config, 0, anonymous))).toEqual(image.config);
  });

  it('that a proxy compressed are read, and no further than they may be long', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    let body = gzipSync(image.manifest);
    await using server = await startProxy(null, ({ path }) =>
      path === '/v2/'
        ? say(200)
        : say(200, body, { 'content-type': image.manifestMediaType, 'content-encoding': 'gzip' }),
    );
    await using registry = makeRegistryClient();
    const reference = parseReference(`${server.host}/x:1`);
    expect((await registry.resolve(reference, anonymous)).descriptor.digest).toBe(image.digest);
    body = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    await expect(registry.resolve(reference, anonymous)).rejects.toThrow('response body cannot be decompressed');
    body = Buffer.from('nothing of the kind');
    await expect(registry.resolve(reference, anonymous)).rejects.toThrow('response body cannot be decompressed');
  });
});

describe('connections', () => {
  it('that the server closed while they were kept are made anew, once', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    const hungUpOn: string[] = [];
    const served = new WeakSet<Socket>();
    await using server = await rawServer((socket, head) => {
      // Each connection serves one request, says that it will be kept, and is closed under the second.
      if (served.has(socket)) {
        hungUpOn.push(head.split(' ', 2).join(' '));
        socket.destroy();
        return;
      }
      served.add(socket);
      const body = head.includes('/manifests/') ? image.manifest : Buffer.alloc(0);
      socket.write(
        `HTTP/1.1 200 OK\r\ncontent-type: ${image.manifestMediaType}\r\ncontent-length: ${String(body.length)}\r\n\r\n`,
      );
      if (!head.startsWith('HEAD')) socket.write(body);
    });
    await using registry = makeRegistryClient({ clock: new FakeClock() });
    const resolved = await registry.resolve(parseReference(`${server.host}/x:1`), anonymous);
    expect(resolved.descriptor.digest).toBe(image.digest);
    expect(hungUpOn.length).toBeGreaterThan(0);
  });

  it('that are taken and never answered are given up as dockerd does; the next is asked', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    const clock = new FakeClock();
    await using hanging = await rawServer(() => undefined);
    await using good = await startProxy(null, ({ path }) => honest(image, path));
    await using registry = makeRegistryClient({
      clock,
      mirrors: [`http://${hanging.host}`, `http://${good.host}`],
    });
    const resolving = registry.resolve(parseReference('x:1'), anonymous);
    await expect.poll(() => hanging.count).toBe(1);
    await clock.advance(15_000);
    expect((await resolving).descriptor.digest).toBe(image.digest);
    const direct = registry.resolve(parseReference(`${hanging.host}/x:1`), anonymous);
    direct.catch(() => undefined);
    await expect.poll(() => hanging.count).toBe(2);
    await clock.advance(15_000);
    await expect(direct).rejects.toThrow('context deadline exceeded (Client.Timeout exceeded while awaiting headers)');
  });
});
