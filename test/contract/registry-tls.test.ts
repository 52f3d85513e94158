import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemClock } from '../../src/base/clock.ts';
import { parseReference } from '../../src/engine/oci/reference.ts';
import { readBody, Transport } from '../../src/engine/registry/transport.ts';
import { makeRegistryClient } from '../support/registry-client.ts';
import { startProxy } from '../support/misbehaving-proxy.ts';
import { syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';

/*
 * TLS with a certificate that nobody knows, as registries in cellars have it.
 */
describe('a registry with its own certificate', () => {
  let directory: string;
  let server: Server;
  let host: string;
  let image: SyntheticImage;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'moored-tls-'));
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
    const subject = ['-subj', '/CN=test', '-addext', 'subjectAltName=IP:127.0.0.1'];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-days',
        '1',
        ...subject,
        '-keyout',
        key,
        '-out',
        cert,
      ],
      { stdio: 'ignore' },
    );
    image = await syntheticImage([{ a: '1' }]);
    server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, answer) => {
      const isManifest = request.url?.includes('/manifests/') ?? false;
      answer.writeHead(200, isManifest ? { 'content-type': image.manifestMediaType } : {});
      answer.end(isManifest && request.method === 'GET' ? image.manifest : '');
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(0, '127.0.0.1', () => resolve());
    await promise;
    host = `127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    mkdirSync(join(directory, 'certs.d', host), { recursive: true });
    execFileSync('cp', [cert, join(directory, 'certs.d', host, 'ca.crt')]);
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true });
  });

  const ask = async (certificatesDirectory: string | null): Promise<string> => {
    await using transport = new Transport({
      clock: new SystemClock(),
      userAgent: 'docker/test',
      proxies: { http: '', https: '', none: '' },
      certificatesDirectory,
      random: () => 0,
    });
    const url = `https://${host}/v2/x/manifests/1`;
    const { body } = await transport.send({
      method: 'GET',
      url,
      headers: {},
      trust: { host, verifyTls: true },
      retries: 0,
      signal: undefined,
    });
    return (await readBody(body, 10_000)).toString();
  };

  it('is refused in Go’s words, until its authority lies in certs.d', async () => {
    await expect(ask(null)).rejects.toMatchObject({
      kind: 'unavailable',
      message: `Get "https://${host}/v2/x/manifests/1": tls: failed to verify certificate: x509: certificate signed by unknown authority`,
    });
    expect(await ask(join(directory, 'certs.d'))).toBe(image.manifest.toString());
  });

  it('is taken unchecked on this machine', async () => {
    await using client = makeRegistryClient();
    const { descriptor } = await client.resolve(parseReference(`${host}/x:1`), { auth: null });
    expect(descriptor.digest).toBe(image.digest);
  });
});

describe('proxies', () => {
  it('carry plain HTTP for other hosts, and nothing for this machine or exempt ones', async () => {
    await using proxy = await startProxy(null, () => ({ kind: 'answer', status: 200, body: 'by proxy' }));
    await using transport = new Transport({
      clock: new SystemClock(),
      userAgent: 'docker/test',
      proxies: { http: `http://${proxy.host}`, https: '', none: '.exempt.invalid,127.0.0.1' },
      certificatesDirectory: null,
      random: () => 0,
    });
    const ask = async (url: string): Promise<string> => {
      const exchange = {
        method: 'GET',
        url,
        headers: {},
        trust: { host: 'x', verifyTls: true },
        retries: 0,
        signal: undefined,
      } as const;
      return (await readBody((await transport.send(exchange)).body, 100)).toString();
    };
    expect(await ask('http://registry.invalid/v2/')).toBe('by proxy');
    expect(proxy.requests.map(({ path }) => path)).toEqual(['http://registry.invalid/v2/']);
    await expect(ask('http://a.exempt.invalid/v2/')).rejects.toThrow('no such host');
    await expect(ask('http://127.0.0.1:1/v2/')).rejects.toThrow('connection refused');
    expect(proxy.requests).toHaveLength(1);
  });
});
