import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseReference } from '../../src/engine/oci/reference.ts';
import type { RegistryAuth } from '../../src/engine/registry/client.ts';
import { CredentialsFile } from '../../src/engine/registry/credentials.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { startProxy, type Misbehaviour, type ProxiedRequest } from '../support/misbehaving-proxy.ts';
import { RecordingLogger } from '../support/recording-logger.ts';
import { makeRegistryClient } from '../support/registry-client.ts';
import { pushImage, registryAbsence, startRegistry, type TestRegistry } from '../support/registry.ts';
import { syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';
import { startTokenServer, type TokenServer } from '../support/token-server.ts';

const reply = (status: number, body = '', headers: Readonly<Record<string, string>> = {}): Misbehaviour => ({
  kind: 'answer',
  status,
  body,
  headers,
});

async function read(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe.skipIf(registryAbsence !== null)(`docker-registry behind a token server ${registryAbsence ?? ''}`, () => {
  let plain: TestRegistry;
  let tokens: TokenServer;
  let registry: TestRegistry;
  let image: SyntheticImage;
  const alice: RegistryAuth = { username: 'alice', password: 'secret-of-alice' };

  beforeAll(async () => {
    plain = await startRegistry();
    image = await syntheticImage([{ a: '1' }, { b: '2' }]);
    await pushImage(plain.host, 'open/one', '1', image);
    await pushImage(plain.host, 'team/one', '1', image);
    tokens = await startTokenServer({
      users: { alice: 'secret-of-alice', bob: 'b' },
      allows: (user, repository, action) => user === 'alice' || (action === 'pull' && repository.startsWith('open/')),
    });
    registry = await startRegistry({ yaml: tokens.yaml, data: join(plain.directory, 'data') });
  });
  afterAll(async () => {
    for (const one of [registry, tokens, plain]) await one[Symbol.asyncDispose]();
  });

  const named = (name: string) => parseReference(`${registry.host}/${name}`);

  it('gives to anybody what anybody may have, and the rest to users', async () => {
    await using client = makeRegistryClient();
    expect((await client.resolve(named('open/one:1'), { auth: null })).descriptor.digest).toBe(image.digest);
    for (const auth of [null, { username: 'bob', password: 'b' }]) {
      await expect(client.resolve(named('team/one:1'), { auth })).rejects.toMatchObject({
        kind: 'not-found',
        message: expect.stringMatching(
          /^pull access denied for .*\/team\/one, repository does not exist or may require 'docker login': denied: /,
        ) as string,
      });
    }
    expect((await client.resolve(named('team/one:1'), { auth: alice })).descriptor.digest).toBe(image.digest);
    await expect(
      client.resolve(named('team/one:1'), { auth: { username: 'alice', password: 'wrong' } }),
    ).rejects.toMatchObject({
      kind: 'unauthorized',
      message: expect.stringContaining('unauthorized: incorrect username or password') as string,
    });
  });

  it('logs in for an identity token, which opens what the password does', async () => {
    await using client = makeRegistryClient();
    const identityToken = await client.authenticate(registry.host, alice);
    expect(identityToken).toBe(tokens.identityTokens.get('alice'));
    const before = tokens.requests.length;
    const auth = { username: '<token>', identityToken };
    expect((await client.resolve(named('team/one:1'), { auth })).descriptor.digest).toBe(image.digest);
    expect(tokens.requests.slice(before)).toEqual([
      { method: 'POST', user: 'alice', scopes: ['repository:team/one:pull'], status: 200 },
    ]);
    await expect(client.authenticate(registry.host, { username: 'alice', password: 'x' })).rejects.toMatchObject({
      kind: 'unauthorized',
    });
  });

  it('renews a token that ran out in the middle of a pull', async () => {
    const clock = new FakeClock();
    await using client = makeRegistryClient({ clock });
    await client.resolve(named('team/one:1'), { auth: alice });
    const before = tokens.requests.length;
    await clock.advance(299_000);
    for (const { digest, blob, mediaType } of image.layers) {
      const descriptor = { digest, mediaType, size: blob.length };
      const bytes = await read(await client.fetchBlob(named('team/one:1'), descriptor, 0, { auth: alice }));
      expect(bytes.equals(blob)).toBe(true);
    }
    expect(tokens.requests.length).toBe(before + 1);
  });

  it('takes a registry token as it is', async () => {
    await using client = makeRegistryClient();
    const before = tokens.requests.length;
    await expect(
      client.resolve(named('open/one:1'), { auth: { registryToken: 'no.such.token' } }),
    ).rejects.toMatchObject({ kind: 'unauthorized' });
    expect(tokens.requests.length).toBe(before);
  });
});

describe('token servers', () => {
  const challenge = (realm: string): Readonly<Record<string, string>> => ({
    'www-authenticate': `Bearer realm="${realm}",service="s"`,
  });
  const holding = (image: SyntheticImage, realm: string) => (request: ProxiedRequest) => {
    if (request.headers.authorization !== 'Bearer t1') return reply(401, '{}', challenge(realm));
    const isManifest = request.path.includes('/manifests/');
    return isManifest && request.method === 'GET'
      ? {
          kind: 'answer' as const,
          status: 200,
          body: image.manifest,
          headers: { 'content-type': image.manifestMediaType },
        }
      : reply(200);
  };

  it.each([400, 401, 404, 405])('that answer %i to POST are asked by GET where there is a password', async (status) => {
    const image = await syntheticImage([{ a: '1' }]);
    await using client = makeRegistryClient();
    await using tokens = await startProxy(null, ({ method }) =>
      method === 'POST' ? reply(status, '{"details":"not this way"}') : reply(200, '{"token":"t1"}'),
    );
    await using registry = await startProxy(null, (request) => holding(image, `http://${tokens.host}/token`)(request));
    const reference = parseReference(`${registry.host}/x/y:1`);
    const both = { username: 'u', password: 'p', identityToken: 'i' };
    expect((await client.resolve(reference, { auth: both })).descriptor.digest).toBe(image.digest);
    expect(tokens.requests.map(({ method }) => method)).toEqual(['POST', 'GET']);
    expect(tokens.requests.at(-1)?.headers.authorization).toBe('Basic dTpw');
    await expect(client.resolve(reference, { auth: { identityToken: 'i' } })).rejects.toThrow();
    expect(tokens.requests.map(({ method }) => method)).toEqual(['POST', 'GET', 'POST']);
  });

  it.each<[string, Misbehaviour, string, string]>([
    ['401', reply(401, '{"details":"who?"}'), 'unauthorized', 'unauthorized: who?'],
    ['403', reply(403, '{"errors":[{"code":"DENIED","message":"not you"}]}'), 'forbidden', 'denied: not you'],
    ['404', reply(404, '{"errors":[{"code":"NAME_UNKNOWN","message":"gone"}]}'), 'internal', 'name unknown: gone'],
    [
      '429',
      reply(429, '{"details":"slow down"}', { 'retry-after': '3600' }),
      'unavailable',
      'toomanyrequests: slow down',
    ],
    ['500', reply(500, 'boom'), 'unavailable', 'received unexpected HTTP status: 500 Internal Server Error'],
    ['no JSON', reply(200, '<html>'), 'data-loss', 'invalid character'],
    ['no token', reply(200, '{}'), 'internal', 'authorization server did not include a token in the response'],
    [
      'a token of two lines',
      reply(200, '{"token":"t1\\r\\nx-evil: 1"}'),
      'unavailable',
      'invalid authorization header',
    ],
    ['too much', reply(200, `{"token":"${'t'.repeat(100_000)}"}`), 'data-loss', 'response body is larger'],
    ['half an answer', { kind: 'hang-up' }, 'unavailable', 'EOF'],
    [
      'an address elsewhere, for ever',
      reply(307, '', { location: '/token' }),
      'unavailable',
      'stopped after 10 redirects',
    ],
  ])('that answer %s end the request, which is named without secrets', async (_, answer, kind, text) => {
    const image = await syntheticImage([{ a: '1' }]);
    await using client = makeRegistryClient();
    await using tokens = await startProxy(null, () => answer);
    await using registry = await startProxy(null, (request) => holding(image, `http://${tokens.host}/token`)(request));
    const reference = parseReference(`${registry.host}/x/y:1`);
    const auth = { username: 'u', password: 'secret-p' };
    const failure = (await client.resolve(reference, { auth }).catch((error: unknown) => error)) as Error;
    expect(failure).toMatchObject({ kind, message: expect.stringContaining(text) as string });
    expect(failure.message).toMatch(/^Head "http/);
    expect(failure.message).not.toMatch(/secret-p|dTpzZWNyZXQtcA|x-evil/);
    expect(tokens.requests.length).toBeLessThan(20);
  });

  it('that hang let the client go', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    await using client = makeRegistryClient();
    await using tokens = await startProxy(null, () => ({ kind: 'hang' }));
    await using registry = await startProxy(null, (request) => holding(image, `http://${tokens.host}/token`)(request));
    const stop = new AbortController();
    const asked = client.resolve(parseReference(`${registry.host}/x/y:1`), { auth: null, signal: stop.signal });
    await expect.poll(() => tokens.requests.length).toBe(1);
    stop.abort(new Error('enough'));
    await expect(asked).rejects.toThrow('enough');
  });

  it('are asked where only a HEAD of an image says so', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    await using client = makeRegistryClient();
    await using tokens = await startProxy(null, () => reply(200, '{"token":"t1"}'));
    await using registry = await startProxy(null, (request) =>
      request.path === '/v2/' ? reply(200) : holding(image, `http://${tokens.host}/token`)(request),
    );
    const reference = parseReference(`${registry.host}/x/y:1`);
    expect((await client.resolve(reference, { auth: null })).descriptor.digest).toBe(image.digest);
  });

  it.each(['ftp://x/', 'nonsense', 'file:///etc/passwd'])('at %s are not asked', async (realm) => {
    const image = await syntheticImage([{ a: '1' }]);
    await using client = makeRegistryClient();
    await using registry = await startProxy(null, (request) => holding(image, realm)(request));
    await expect(client.resolve(parseReference(`${registry.host}/x/y:1`), { auth: null })).rejects.toThrow(
      `unable to use bearer realm "${realm}"`,
    );
  });
});

describe('the machine’s credentials', () => {
  let directory: string;
  let path: string;
  const basic = (user: string): string => `Basic ${Buffer.from(`${user}:pw-${user}`).toString('base64')}`;
  const pair = (user: string): string => Buffer.from(`${user}:pw-${user}`).toString('base64');
  const asked = async (
    text: string,
    auth: RegistryAuth | null = null,
  ): Promise<{ readonly shown: string | undefined; readonly logger: RecordingLogger }> => {
    const logger = new RecordingLogger();
    let shown: string | undefined;
    await using registry = await startProxy(null, ({ headers, path: asked }) => {
      if (asked === '/v2/') return reply(401, '', { 'www-authenticate': 'Basic realm="x"' });
      shown = headers.authorization;
      return reply(404, '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}');
    });
    const content = text.replaceAll('HOST', registry.host);
    writeFileSync(path, content, { mode: 0o600 });
    await using client = makeRegistryClient({ logger, credentials: new CredentialsFile(path, logger) });
    await client.resolve(parseReference(`${registry.host}/team/a:1`), { auth }).catch(() => undefined);
    return { shown, logger };
  };
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'moored-credentials-'));
    path = join(directory, 'auth.json');
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  it('serve a request that brings none; the longest key that covers it counts', async () => {
    const auths = {
      HOST: { auth: pair('all') },
      'HOST/team': { username: 'team', password: 'pw-team' },
      'HOST/tea': { auth: pair('tea') },
      'other.example': { auth: pair('other') },
    };
    expect((await asked(JSON.stringify({ auths }))).shown).toBe(basic('team'));
    expect((await asked(JSON.stringify({ auths: { 'http://HOST/v2/': auths.HOST } }))).shown).toBe(basic('all'));
    expect((await asked(JSON.stringify({ auths }), { username: 'own', password: 'pw-own' })).shown).toBe(basic('own'));
    expect((await asked(JSON.stringify({ auths: { 'other.example': auths.HOST } }))).shown).toBeUndefined();
  });

  it.each([
    '{',
    '[]',
    '{"auths":{"HOST":{"username":7}}}',
    '{"auths":7}',
    `{"auths":{}, "x": "pw-secret" ${'}'.repeat(3)}`,
  ])('are not used, and not told, when the file says %j', async (text) => {
    const { shown, logger } = await asked(text);
    expect(shown).toBeUndefined();
    const told = JSON.stringify(logger.lines);
    expect(told).toContain('not in the format');
    expect(told).not.toContain('pw-');
  });

  it('are not used where others may read or change the file, and used again once they may not', async () => {
    const logger = new RecordingLogger();
    const file = new CredentialsFile(path, logger);
    const repository = { domain: 'r.example', path: 'a' };
    writeFileSync(path, JSON.stringify({ auths: { 'r.example': { auth: pair('u') } } }));
    for (const mode of [0o644, 0o604, 0o620, 0o602]) {
      chmodSync(path, mode);
      expect(await file.find(repository)).toBeNull();
    }
    expect(JSON.stringify(logger.lines)).toContain('others than root may read or change it');
    for (const mode of [0o600, 0o400, 0o640]) {
      chmodSync(path, mode);
      expect(await file.find(repository)).toEqual({ username: 'u', password: 'pw-u' });
    }
    writeFileSync(path, JSON.stringify({ auths: { 'r.example': { auth: pair('other') } } }));
    expect(await file.find(repository)).toEqual({ username: 'other', password: 'pw-other' });
    rmSync(path);
    expect(await file.find(repository)).toBeNull();
  });

  it('are there for all that come while the file is read', async () => {
    const file = new CredentialsFile(path, new RecordingLogger());
    writeFileSync(path, JSON.stringify({ auths: { 'r.example': { auth: pair('u') } } }), { mode: 0o600 });
    const repository = { domain: 'r.example', path: 'a' };
    const found = await Promise.all(Array.from({ length: 20 }, async () => file.find(repository)));
    expect(found.map((auth) => auth?.username)).toEqual(Array.from({ length: 20 }, () => 'u'));
  });

  it('say that helpers are no use here', async () => {
    const { shown, logger } = await asked(JSON.stringify({ credsStore: 'pass', auths: { HOST: { auth: pair('u') } } }));
    expect(shown).toBe(basic('u'));
    expect(JSON.stringify(logger.lines)).toContain('credential helpers are not used');
  });
});
