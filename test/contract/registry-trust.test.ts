import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createPlainServer } from 'node:http';
import { createServer, type Server } from 'node:https';
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { Readable } from 'node:stream';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../src/base/clock.ts';
import { Authorizer, pullScope, pushScope, type Demand } from '../../src/engine/registry/authorizer.ts';
import type { RegistryAuth } from '../../src/engine/registry/client.ts';
import { Certificates } from '../../src/engine/registry/certificates.ts';
import { readBody, Transport, type TransportOptions } from '../../src/engine/registry/transport.ts';
import { digestOf } from '../../src/engine/oci/digest.ts';
import { parseReference } from '../../src/engine/oci/reference.ts';
import { outwardAddress, TestAuthority, type Certificate } from '../support/certificates.ts';
import { makeRegistryClient } from '../support/registry-client.ts';
import { registryAbsence, startRegistry } from '../support/registry.ts';

/*
 * TLS as registries in cellars have it, over the real transport. `certs.d` is a folder of the test's own.
 */
let directory: string;
let own: TestAuthority;
let other: TestAuthority;
let good: Certificate;
const none = { http: '', https: '', none: '' };

beforeAll(() => {
  own = new TestAuthority('own');
  other = new TestAuthority('other');
  good = own.issue('good', 'IP:127.0.0.1,DNS:localhost');
});
afterAll(() => {
  own[Symbol.dispose]();
  other[Symbol.dispose]();
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'moored-certs-'));
  return () => rmSync(directory, { recursive: true });
});

const makeTransport = (options: Partial<TransportOptions> = {}): Transport =>
  new Transport({
    clock: new SystemClock(),
    userAgent: 'docker/test',
    proxies: none,
    certificatesDirectory: directory,
    random: () => 0,
    ...options,
  });

async function ask(transport: Transport, url: string, verifyTls = true, trusted = new URL(url).host): Promise<string> {
  const trust = { host: trusted, verifyTls };
  const answer = await transport.send({ method: 'GET', url, headers: {}, trust, retries: 0, signal: undefined });
  return `${String(answer.status)} ${(await readBody(answer.body, 10_000)).toString()}`;
}

function place(host: string, name: string, from: string): void {
  mkdirSync(join(directory, host), { recursive: true });
  cpSync(from, join(directory, host, name));
}

async function tlsServer({ certificate, key }: Certificate) {
  const server: Server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (_, answer) =>
    answer.end('hello'),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const port = String((server.address() as AddressInfo).port);
  return {
    host: `127.0.0.1:${port}`,
    port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

describe('authorities', () => {
  it('count from when their file is there until it has gone, without a restart', async () => {
    await using server = await tlsServer(good);
    await using transport = makeTransport();
    const url = `https://${server.host}/v2/`;
    const refused = {
      kind: 'unavailable',
      message: `Get "${url}": tls: failed to verify certificate: x509: certificate signed by unknown authority`,
    };
    await expect(ask(transport, url)).rejects.toMatchObject(refused);
    place(server.host, 'ca.crt', own.certificate);
    expect(await ask(transport, url)).toBe('200 hello');
    place(server.host, 'ca.crt', other.certificate);
    await expect(ask(transport, url)).rejects.toMatchObject(refused);
    place(server.host, 'second.crt', own.certificate);
    expect(await ask(transport, url)).toBe('200 hello');
    rmSync(join(directory, server.host), { recursive: true });
    await expect(ask(transport, url)).rejects.toMatchObject(refused);
    expect(await ask(transport, url, false)).toBe('200 hello');
  });

  it('may change while many ask at once', async () => {
    await using server = await tlsServer(good);
    await using transport = makeTransport();
    const url = `https://${server.host}/v2/`;
    place(server.host, 'ca.crt', own.certificate);
    const all = async (): Promise<readonly string[]> =>
      await Promise.all(Array.from({ length: 20 }, async () => ask(transport, url)));
    const before = all();
    place(server.host, 'more.crt', other.certificate);
    const after = [await before, await all()].flat();
    expect(new Set(after)).toEqual(new Set(['200 hello']));
  });

  it('of certs.d stand beside those of the system', async () => {
    place('r.example', 'ca.crt', other.certificate);
    const bundle = join(directory, 'bundle.pem');
    writeFileSync(bundle, own.pem);
    const system = new Certificates(directory, [join(directory, 'absent'), bundle]);
    const { authorities } = await system.read(['r.example']);
    expect(authorities.map((pem) => pem.trim())).toEqual([own.pem.trim(), other.pem.trim()]);
    const before = await system.versionOf(['r.example']);
    writeFileSync(bundle, own.pem + other.pem);
    expect(await system.versionOf(['r.example'])).not.toBe(before);
    // Without any bundle Node's own roots are better than nothing.
    expect((await new Certificates(directory, []).read(['r.example'])).authorities.length).toBeGreaterThan(50);
  });

  it('of the registry count for the token server that it names', async () => {
    await using server = await tlsServer(good);
    await using transport = makeTransport();
    place('r.example:5000', 'ca.crt', own.certificate);
    expect(await ask(transport, `https://${server.host}/`, true, 'r.example:5000')).toBe('200 hello');
    await expect(ask(transport, `https://${server.host}/`, true, 'q.example')).rejects.toThrow('unknown authority');
  });

  it('that are no certificates are passed over, as in Go', async () => {
    await using server = await tlsServer(good);
    await using transport = makeTransport();
    place(server.host, 'ca.crt', own.certificate);
    writeFileSync(
      join(directory, server.host, 'junk.crt'),
      'junk\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    );
    expect(await ask(transport, `https://${server.host}/`)).toBe('200 hello');
  });
});

describe('client certificates', () => {
  const broken: readonly (readonly [string, readonly string[], string])[] = [
    [
      'a certificate without its key',
      ['a.cert'],
      'missing key a.key for client certificate a.cert. CA certificates must use the extension .crt',
    ],
    ['a key without its certificate', ['a.key'], 'missing client certificate a.cert for key a.key'],
    ['a key of another certificate', ['a.cert', 'other.key'], 'tls: private key does not match public key'],
    ['a certificate that is none', ['junk.cert', 'a.key'], 'tls: failed to find any PEM data in certificate input'],
  ];
  it.each(broken)('%s is told in Docker’s words', async (_, files, text) => {
    await using transport = makeTransport();
    const stranger = other.issue('stranger', 'DNS:s');
    const sources: Readonly<Record<string, string>> = {
      'a.cert': good.certificate,
      'a.key': good.key,
      'other.key': stranger.key,
      'junk.cert': good.key,
    };
    for (const file of files) place('127.0.0.1:1', file.replace(/^(?:other|junk)/, 'a'), sources[file] ?? '');
    await expect(ask(transport, 'https://127.0.0.1:1/v2/')).rejects.toMatchObject({
      kind: 'invalid-argument',
      message: expect.stringContaining(text) as string,
    });
  });

  it('that cannot be read are told', async () => {
    await using transport = makeTransport();
    mkdirSync(join(directory, '127.0.0.1:1', 'ca.crt'), { recursive: true });
    await expect(ask(transport, 'https://127.0.0.1:1/v2/')).rejects.toThrow(/ca\.crt: is a directory$/);
  });

  it.skipIf(registryAbsence !== null)(
    'are shown to a registry that wants one, whichever of several it likes',
    async () => {
      await using registry = await startRegistry({ tls: { ...good, clientAuthority: own.certificate } });
      await using transport = makeTransport();
      const url = `https://${registry.host}/v2/`;
      place(registry.host, 'ca.crt', own.certificate);
      await expect(ask(transport, url)).rejects.toThrow(`Get "${url}": remote error: tls: `);
      const [stranger, friend] = [other.issue('stranger', 'DNS:s'), own.issue('friend', 'DNS:f')];
      place(registry.host, '1.cert', stranger.certificate);
      place(registry.host, '1.key', stranger.key);
      await expect(ask(transport, url)).rejects.toThrow(`Get "${url}": remote error: tls: `);
      place(registry.host, '2.cert', friend.certificate);
      place(registry.host, '2.key', friend.key);
      expect(await ask(transport, url)).toBe('200 {}');
      expect(await ask(transport, url)).toBe('200 {}');
    },
  );
});

describe('TLS that fails is named', () => {
  it.each([
    ['IP:192.0.2.9,DNS:other.example', '127.0.0.1', 'certificate is valid for 192.0.2.9, not 127.0.0.1'],
    ['DNS:a.example,DNS:b.example', 'localhost', 'certificate is valid for a.example, b.example, not localhost'],
    [
      'DNS:other.example',
      '127.0.0.1',
      "cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs",
    ],
    ['IP:127.0.0.1', 'localhost', 'certificate is not valid for any names, but wanted to match localhost'],
  ])('a certificate for %s at %s', async (alternatives, name, text) => {
    await using server = await tlsServer(own.issue('wrong', alternatives));
    await using transport = makeTransport();
    place(`${name}:${server.port}`, 'ca.crt', own.certificate);
    const url = `https://${name}:${server.port}/v2/`;
    await expect(ask(transport, url)).rejects.toMatchObject({
      kind: 'unavailable',
      message: `Get "${url}": tls: failed to verify certificate: x509: ${text}`,
    });
  });

  it('a certificate of the day before yesterday', async () => {
    await using server = await tlsServer(own.issue('old', 'IP:127.0.0.1', -1));
    await using transport = makeTransport();
    place(server.host, 'ca.crt', own.certificate);
    const url = `https://${server.host}/v2/`;
    await expect(ask(transport, url)).rejects.toMatchObject({
      kind: 'unavailable',
      message: `Get "${url}": tls: failed to verify certificate: x509: certificate has expired or is not yet valid`,
    });
    expect(await ask(transport, url, false)).toBe('200 hello');
  });

  it('HTTP where HTTPS was asked for, and a server that only knows old TLS', async () => {
    const plain = createPlainServer((_, answer) => answer.end('x'));
    const old = createServer(
      {
        cert: readFileSync(good.certificate),
        key: readFileSync(good.key),
        minVersion: 'TLSv1',
        maxVersion: 'TLSv1.1',
        ciphers: 'ALL:@SECLEVEL=0',
      },
      (_, answer) => answer.end('x'),
    );
    await using transport = makeTransport();
    for (const [server, text] of [
      [plain, 'http: server gave HTTP response to HTTPS client'],
      [old, 'remote error: tls: protocol version not supported'],
    ] as const) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
      try {
        const url = `https://127.0.0.1:${String((server.address() as AddressInfo).port)}/v2/`;
        await expect(ask(transport, url, false)).rejects.toThrow(`Get "${url}": ${text}`);
      } finally {
        server.closeAllConnections();
        server.close();
      }
    }
  });
});

describe.skipIf(outwardAddress === null)(
  `uploads${outwardAddress === null ? ' (skipped: no address but the loopback)' : ''}`,
  () => {
    it('that a proxy before the registry sends on by HTTP stay within TLS; elsewhere they end', async () => {
      const host = outwardAddress ?? '';
      const seen: string[] = [];
      let location = '';
      const { certificate, key } = own.issue('outward', `IP:${host}`);
      const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (request, answer) => {
        seen.push(`${request.method ?? ''} ${request.url ?? ''}`);
        request.resume();
        if (request.url === '/v2/') answer.end();
        else if (request.method === 'HEAD') answer.writeHead(404).end();
        else if (request.method === 'POST') answer.writeHead(202, { location }).end();
        else answer.writeHead(201).end();
      });
      await new Promise<void>((resolve) => server.listen(0, host, () => resolve()));
      const domain = `${host}:${String((server.address() as AddressInfo).port)}`;
      place(domain, 'ca.crt', own.certificate);
      try {
        await using client = makeRegistryClient({ certificatesDirectory: directory });
        const blob = {
          digest: digestOf(Buffer.from('x')),
          sizeBytes: 1,
          open: async () => Readable.from([Buffer.from('x')]),
        };
        const push = async () => client.pushBlob(parseReference(`${domain}/x:1`), blob, { auth: null, mountFrom: [] });
        location = `http://${host}/v2/x/blobs/uploads/7?_state=s`;
        expect(await push()).toEqual({ kind: 'uploaded' });
        expect(seen.at(-1)).toBe(`PUT /v2/x/blobs/uploads/7?_state=s&digest=${encodeURIComponent(blob.digest)}`);
        location = 'http://evil.invalid/v2/x/blobs/uploads/7?_state=secret';
        await expect(push()).rejects.toThrow('registry sends an upload to http://evil.invalid, without TLS');
        location = 'file:///etc/shadow?secret';
        await expect(push()).rejects.toThrow('registry sends an upload to file:, which is not HTTP');
        location = 'https://127.0.0.1:1/bucket?X-Amz-Signature=secret';
        const failure = await client
          .offerBlob(parseReference(`${domain}/x:1`), blob.digest, { auth: null, mountFrom: ['y'] })
          .catch((error: unknown) => error);
        expect(String(failure)).not.toContain('secret');
      } finally {
        server.closeAllConnections();
        await new Promise<void>((resolve) => server.close(() => resolve()));
      }
    });
  },
);

describe('redirects', () => {
  it('do not leave TLS, unless the registry is insecure', async () => {
    await using plain = await serverOf(createPlainServer((_, answer) => answer.end('plain')));
    const keys = { cert: readFileSync(good.certificate), key: readFileSync(good.key) };
    await using secure = await serverOf(
      createServer(keys, (_, answer) => answer.writeHead(307, { location: `http://${plain.host}/blob` }).end()),
    );
    await using transport = makeTransport();
    place(secure.host, 'ca.crt', own.certificate);
    await expect(ask(transport, `https://${secure.host}/`)).rejects.toMatchObject({
      kind: 'forbidden',
      message: expect.stringContaining(`plain HTTP at ${plain.host}`) as string,
    });
    expect(await ask(transport, `https://${secure.host}/`, false)).toBe('200 plain');
  });

  it('go nowhere but to HTTP', async () => {
    await using server = await serverOf(
      createPlainServer((_, answer) => answer.writeHead(302, { location: 'file:///etc/passwd' }).end()),
    );
    await using transport = makeTransport();
    await expect(ask(transport, `http://${server.host}/`)).rejects.toThrow('unsupported protocol scheme "file"');
  });
});

describe('token servers', () => {
  const auth = { username: 'u', password: 'p' };
  const asker = (transport: Transport) => new Authorizer(transport, new SystemClock());
  const demand = (realm: string, verifyTls: boolean, who: RegistryAuth | null): Demand => ({
    challenges: [{ scheme: 'bearer', parameters: { realm } }],
    scopes: [pullScope('a/b'), pushScope('c')],
    auth: who,
    trust: { host: 'r.example', verifyTls },
    signal: undefined,
  });

  it('without TLS get no secret for a registry with it', async () => {
    const asked: string[] = [];
    await using server = await serverOf(
      createPlainServer((request, answer) => {
        asked.push(request.url ?? '');
        answer.end('{"token":"t"}');
      }),
    );
    await using transport = makeTransport();
    const realm = `http://${server.host}/token`;
    for (const secret of [auth, { identityToken: 'i' }]) {
      await expect(asker(transport).headerFor(demand(realm, true, secret))).rejects.toMatchObject({
        kind: 'forbidden',
        message: expect.stringContaining(
          `refused to send credentials to the token server http://${server.host}`,
        ) as string,
      });
    }
    expect(asked).toEqual([]);
    expect(await asker(transport).headerFor(demand(realm, true, null))).toBe('Bearer t');
    expect(await asker(transport).headerFor(demand(realm, false, auth))).toBe('Bearer t');
    expect(asked.at(-1)).toBe('/token?account=u&scope=repository%3Aa%2Fb%3Apull&scope=repository%3Ac%3Apull%2Cpush');
  });
});

describe('proxies', () => {
  it('carry HTTPS through CONNECT, with their own credentials; the target’s certificate still counts', async () => {
    await using server = await tlsServer(own.issue('far', 'DNS:far.invalid'));
    const seen: string[] = [];
    await using proxy = await tunnelTo(Number(server.port), seen);
    const proxies = { http: '', https: `http://us%40er:pass@${proxy.host}`, none: '' };
    await using transport = makeTransport({ proxies });
    place('far.invalid:5000', 'ca.crt', own.certificate);
    expect(await ask(transport, 'https://far.invalid:5000/v2/')).toBe('200 hello');
    expect(seen[0]).toContain('CONNECT far.invalid:5000 HTTP/1.1');
    expect(seen[0]?.toLowerCase()).toContain(
      `proxy-authorization: basic ${Buffer.from('us@er:pass').toString('base64')}`.toLowerCase(),
    );
    await expect(ask(transport, 'https://near.invalid:5000/v2/')).rejects.toThrow('unknown authority');
  });

  it('that refuse are named without their password', async () => {
    await using proxy = await serverOf(createPlainServer());
    const proxies = { http: `http://u:hidden@${proxy.host}`, https: `http://u:hidden@${proxy.host}`, none: '' };
    await using transport = makeTransport({ proxies });
    const refused = await ask(transport, 'https://far.invalid/v2/').catch((error: unknown) => String(error));
    expect(refused).toContain('Get "https://far.invalid/v2/": ');
    expect(refused).not.toContain('hidden');
  });
});

async function serverOf(server: Server | ReturnType<typeof createPlainServer>) {
  server.on('connect', (_request, socket) => socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  return {
    host: `127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A proxy whose every tunnel ends at one port of this machine. */
async function tunnelTo(port: number, seen: string[]) {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.once('data', (head) => {
      seen.push(head.toString());
      const onward = connect(port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        socket.pipe(onward).pipe(socket);
      });
      sockets.add(onward);
      onward.on('error', () => socket.destroy());
      socket.on('error', () => onward.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  return {
    host: `127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
