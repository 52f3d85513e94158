import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { parseReference } from '../../src/engine/oci/reference.ts';
import type { RegistryAuth } from '../../src/engine/registry/client.ts';
import { FakeClock } from '../support/fake-clock.ts';
import {
  startProxy,
  type Misbehaviour,
  type MisbehavingProxy,
  type ProxiedRequest,
} from '../support/misbehaving-proxy.ts';
import { makeRegistryClient } from '../support/registry-client.ts';
import { syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';

type Decide = (request: ProxiedRequest) => Misbehaviour | null;

const anonymous = { auth: null };
const answer = (
  status: number,
  body: string | Buffer = '',
  headers: Readonly<Record<string, string>> = {},
): Misbehaviour => ({
  kind: 'answer',
  status,
  body,
  headers,
});
const isPing = ({ path }: ProxiedRequest): boolean => path === '/v2/';

/** A registry that holds one image as `x/y:1`, answering by hand. */
function holding(image: SyntheticImage): Decide {
  return ({ path, method }) => {
    if (path === '/v2/') return answer(200);
    if (/\/manifests\/(1|sha256:.*)$/.test(path)) {
      const headers = { 'content-type': image.manifestMediaType, 'docker-content-digest': image.digest };
      return answer(200, method === 'HEAD' ? '' : image.manifest, headers);
    }
    const blob = [image.config, ...image.layers.map((layer) => layer.blob)].find((bytes) =>
      path.endsWith(digestText(image, bytes)),
    );
    return blob === undefined ? answer(404) : answer(200, blob);
  };
}

function digestText(image: SyntheticImage, bytes: Buffer): string {
  return bytes === image.config ? image.id : (image.layers.find((layer) => layer.blob === bytes)?.digest ?? '?');
}

async function registryThat(decide: Decide, job: (proxy: MisbehavingProxy) => Promise<void>): Promise<void> {
  await using proxy = await startProxy(null, decide);
  await job(proxy);
}

async function read(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('a registry that is not there', () => {
  it('reads as dockerd says it', async () => {
    await using client = makeRegistryClient();
    for (const host of ['127.0.0.1:1', 'localhost:1']) {
      await expect(client.resolve(parseReference(`${host}/x:1`), anonymous)).rejects.toMatchObject({
        kind: 'unavailable',
        message: `Get "http://${host}/v2/": dial tcp 127.0.0.1:1: connect: connection refused`,
      });
    }
  });

  it('hangs up', async () => {
    await using client = makeRegistryClient();
    await registryThat(
      () => ({ kind: 'hang-up' }),
      async ({ host }) => {
        await expect(client.resolve(parseReference(`${host}/x:1`), anonymous)).rejects.toThrow(
          `Get "http://${host}/v2/": EOF`,
        );
      },
    );
  });
});

describe('a registry in trouble', () => {
  it('says 500 once; 429 and 503 are asked again, as long as the server likes', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    const clock = new FakeClock();
    await using client = makeRegistryClient({ clock });
    const plain = holding(image);
    let refusals = 0;
    const decide: Decide = (request) => {
      if (request.method !== 'GET' || isPing(request)) return plain(request);
      refusals += 1;
      if (refusals === 1) return answer(429, '', { 'retry-after': '7' });
      return refusals === 2 ? answer(503) : plain(request);
    };
    await registryThat(decide, async ({ host }) => {
      const resolving = client.resolve(parseReference(`${host}/x/y:1`), anonymous);
      await expect.poll(() => refusals).toBe(1);
      await expect.poll(() => clock.pendingCount).toBe(1);
      await clock.advance(6999);
      expect(refusals).toBe(1);
      await clock.advance(1);
      await expect.poll(() => refusals).toBe(2);
      await expect.poll(() => clock.pendingCount).toBe(1);
      await clock.advance(1000);
      expect((await resolving).descriptor.digest).toBe(image.digest);
    });
    await registryThat(
      (request) => (isPing(request) ? answer(200) : answer(500, 'boom')),
      async ({ host, requests }) => {
        await expect(client.resolve(parseReference(`${host}/x/y:1`), anonymous)).rejects.toMatchObject({
          kind: 'unavailable',
          message: 'received unexpected HTTP status: 500 Internal Server Error',
        });
        expect(requests.map(({ method }) => method)).toEqual(['GET', 'HEAD', 'GET']);
      },
    );
  });

  it('does not wait longer than a user would', async () => {
    await using client = makeRegistryClient({ clock: new FakeClock() });
    await registryThat(
      (request) => (isPing(request) ? answer(200) : answer(429, '{"details":"slow down"}', { 'retry-after': '3600' })),
      async ({ host }) => {
        await expect(client.resolve(parseReference(`${host}/x/y:1`), anonymous)).rejects.toThrow(
          'toomanyrequests: slow down',
        );
      },
    );
  });

  it('sends what was not asked for', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    const other = await syntheticImage([{ a: '2' }]);
    await using client = makeRegistryClient();
    await registryThat(
      (request) =>
        isPing(request) ? answer(200) : answer(200, other.manifest, { 'content-type': other.manifestMediaType }),
      async ({ host }) => {
        await expect(client.resolve(parseReference(`${host}/x/y@${image.digest}`), anonymous)).rejects.toMatchObject({
          kind: 'data-loss',
          message: `manifest verification failed for digest ${image.digest}`,
        });
      },
    );
    await registryThat(
      (request) => (isPing(request) ? answer(200) : answer(200, Buffer.alloc(5 * 1024 * 1024))),
      async ({ host }) => {
        await expect(client.resolve(parseReference(`${host}/x/y:1`), anonymous)).rejects.toThrow('larger than');
      },
    );
  });

  it('knows no ranges: what we have is dropped; a wrong range is refused', async () => {
    const image = await syntheticImage([{ a: Buffer.alloc(100_000, 'q') }], { format: 'none' });
    await using client = makeRegistryClient();
    const layer = image.layers[0]!;
    const descriptor = { mediaType: '', digest: layer.digest, size: layer.blob.length };
    await registryThat(holding(image), async ({ host }) => {
      const stream = await client.fetchBlob(parseReference(`${host}/x/y:1`), descriptor, 90_000, anonymous);
      expect((await read(stream)).equals(layer.blob.subarray(90_000))).toBe(true);
    });
    await registryThat(
      (request) => (isPing(request) ? answer(200) : answer(206, layer.blob, { 'content-range': 'bytes 5-9/10' })),
      async ({ host }) => {
        await expect(
          client.fetchBlob(parseReference(`${host}/x/y:1`), descriptor, 90_000, anonymous),
        ).rejects.toMatchObject({ kind: 'data-loss' });
      },
    );
  });

  it('is left at once when the client goes', async () => {
    await using client = makeRegistryClient();
    const upstream = createServer(() => undefined);
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', () => resolve()));
    try {
      const host = `127.0.0.1:${String((upstream.address() as AddressInfo).port)}`;
      const gone = new AbortController();
      const asked = new Promise<void>((resolve) => upstream.once('request', () => resolve()));
      const resolving = client.resolve(parseReference(`${host}/x:1`), { auth: null, signal: gone.signal });
      await asked;
      gone.abort(new Error('client gone'));
      await expect(resolving).rejects.toThrow('client gone');
    } finally {
      upstream.closeAllConnections();
      upstream.close();
    }
  });
});

describe('redirects', () => {
  it('never carry credentials to another origin', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    await using elsewhere = await startProxy(null, () => answer(200, image.config));
    await using client = makeRegistryClient();
    const auth: RegistryAuth = { username: 'u', password: 'p' };
    const challenge = { 'www-authenticate': 'Basic realm="x"' };
    await registryThat(
      ({ path, headers }) => {
        if (headers.authorization === undefined) return answer(401, '', challenge);
        if (path === '/v2/x/y/here') return answer(307, '', { location: `http://${elsewhere.host}/blob?sig=1` });
        return answer(302, '', { location: '/v2/x/y/here' });
      },
      async ({ host, requests }) => {
        const descriptor = { mediaType: '', digest: image.id, size: image.config.length };
        const stream = await client.fetchBlob(parseReference(`${host}/x/y:1`), descriptor, 0, { auth });
        expect((await read(stream)).equals(image.config)).toBe(true);
        expect(requests.at(-1)).toMatchObject({ path: '/v2/x/y/here', headers: { authorization: 'Basic dTpw' } });
        expect(elsewhere.requests).toHaveLength(1);
        expect(elsewhere.requests[0]?.headers.authorization).toBeUndefined();
      },
    );
  });

  it('end', async () => {
    await using client = makeRegistryClient();
    await registryThat(
      ({ path }) => answer(302, '', { location: `${path}x` }),
      async ({ host }) => {
        await expect(client.resolve(parseReference(`${host}/x:1`), anonymous)).rejects.toThrow(
          'stopped after 10 redirects',
        );
      },
    );
  });
});

describe('tokens', () => {
  const tokenServer = async (reply: Decide) => startProxy(null, reply);
  const needs = (image: SyntheticImage, realm: string, token = 't1'): Decide => {
    const plain = holding(image);
    const challenge = `Bearer realm="http://${realm}/token",service="svc",scope="repository:x/y:pull"`;
    return (request) =>
      request.headers.authorization === `Bearer ${token}`
        ? plain(request)
        : answer(401, '{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":[]}]}', {
            'www-authenticate': challenge,
          });
  };

  it('are asked for once and used until they are old', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    const clock = new FakeClock();
    await using client = makeRegistryClient({ clock });
    await using tokens = await tokenServer(() => answer(200, '{"token":"t1","expires_in":300}'));
    await registryThat(needs(image, tokens.host), async ({ host }) => {
      const reference = parseReference(`${host}/x/y:1`);
      const options = { auth: { username: 'u', password: 'p' } };
      await client.resolve(reference, options);
      await client.resolve(reference, options);
      expect(tokens.requests).toHaveLength(1);
      expect(tokens.requests[0]).toMatchObject({
        method: 'GET',
        path: '/token?account=u&scope=repository%3Ax%2Fy%3Apull&service=svc',
        headers: { authorization: 'Basic dTpw' },
      });
      await clock.advance(300_000);
      await client.resolve(reference, options);
      expect(tokens.requests).toHaveLength(2);
      // Another user's token is another token.
      await client.resolve(reference, anonymous);
      expect(tokens.requests).toHaveLength(3);
      expect(tokens.requests[2]?.headers.authorization).toBeUndefined();
    });
  });

  it('that the registry no longer takes are fetched anew', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    await using client = makeRegistryClient();
    let issued = 0;
    await using tokens = await tokenServer(() => answer(200, `{"token":"t${String((issued += 1))}"}`));
    let valid = 't1';
    const decide: Decide = (request) => needs(image, tokens.host, valid)(request);
    await registryThat(decide, async ({ host }) => {
      const reference = parseReference(`${host}/x/y:1`);
      await client.resolve(reference, anonymous);
      valid = 't2';
      await client.fetchManifest(reference, image.digest, anonymous);
      expect(issued).toBe(2);
    });
  });

  it('come from an identity token by POST, or are given', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    await using client = makeRegistryClient();
    await using tokens = await tokenServer(() => answer(200, '{"access_token":"t1"}'));
    await registryThat(needs(image, tokens.host), async ({ host }) => {
      const reference = parseReference(`${host}/x/y:1`);
      await client.resolve(reference, { auth: { username: '<token>', identityToken: 'idt' } });
      expect(tokens.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(['POST /token']);
      await client.resolve(reference, { auth: { registryToken: 't1' } });
      expect(tokens.requests).toHaveLength(1);
    });
  });

  it.each([
    [answer(401, '{"details":"incorrect username or password"}'), 'unauthorized: incorrect username or password'],
    [answer(500, 'x'), 'received unexpected HTTP status: 500 Internal Server Error'],
    [answer(200, '{}'), 'authorization server did not include a token in the response'],
    [answer(200, 'junk'), "unable to decode token response: invalid character 'j' looking for beginning of value"],
  ])('%j are refused in dockerd’s words', async (reply, text) => {
    const image = await syntheticImage([{ a: '1' }]);
    await using client = makeRegistryClient();
    await using tokens = await tokenServer(() => reply);
    await registryThat(needs(image, tokens.host), async ({ host }) => {
      await expect(client.resolve(parseReference(`${host}/x/y:1`), anonymous)).rejects.toThrow(
        `Head "http://${host}/v2/x/y/manifests/1": ${text}`,
      );
    });
  });

  it('that are not enough mean that the image may not be there', async () => {
    await using client = makeRegistryClient();
    await using tokens = await tokenServer(() => answer(200, '{"token":"t1"}'));
    const challenge = `Bearer realm="http://${tokens.host}/token"`;
    await registryThat(
      ({ headers }) =>
        answer(401, '', {
          'www-authenticate':
            headers.authorization === undefined ? challenge : `${challenge},error="insufficient_scope"`,
        }),
      async ({ host }) => {
        await expect(client.resolve(parseReference(`${host}/x/y:1`), anonymous)).rejects.toMatchObject({
          kind: 'not-found',
          message:
            `pull access denied for ${host}/x/y, repository does not exist or may require 'docker login': ` +
            'denied: requested access to the resource is denied',
        });
      },
    );
  });
});

describe('login', () => {
  const basic: Decide = ({ headers }) =>
    headers.authorization === 'Basic dTpw' ? answer(200) : answer(401, '', { 'www-authenticate': 'Basic realm="x"' });

  it('checks Basic credentials', async () => {
    await using client = makeRegistryClient();
    await registryThat(basic, async ({ host }) => {
      expect(await client.authenticate(`http://${host}/v2/`, { username: 'u', password: 'p' })).toBe('');
      await expect(client.authenticate(host, { username: 'u', password: 'q' })).rejects.toMatchObject({
        kind: 'unauthorized',
        message: `login attempt to http://${host}/v2/ failed with status: 401 Unauthorized`,
      });
      await expect(client.authenticate(host, {})).rejects.toThrow(
        `Get "http://${host}/v2/": no basic auth credentials`,
      );
    });
    await expect(client.authenticate('127.0.0.1:1', { username: 'u', password: 'p' })).rejects.toThrow(
      'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
    );
  });

  it('returns the identity token of a token server', async () => {
    await using client = makeRegistryClient();
    await using tokens = await startProxy(null, () => answer(200, '{"token":"t1","refresh_token":"rrr"}'));
    await registryThat(
      ({ headers }) =>
        headers.authorization === 'Bearer t1'
          ? answer(200)
          : answer(401, '', { 'www-authenticate': `Bearer realm="http://${tokens.host}/token",service="svc"` }),
      async ({ host }) => {
        expect(await client.authenticate(host, { username: 'u', password: 'p' })).toBe('rrr');
        expect(tokens.requests[0]?.path).toBe('/token?account=u&client_id=docker&offline_token=true&service=svc');
      },
    );
  });
});

describe('mirrors', () => {
  it('come first for docker.io, and any failure of theirs goes on to the next', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    await using broken = await startProxy(null, (request) => (isPing(request) ? answer(200) : answer(404, '{}')));
    await using good = await startProxy(null, holding(image));
    await using client = makeRegistryClient({
      mirrors: ['http://127.0.0.1:1', `http://${broken.host}`, `http://${good.host}/`],
    });
    const reference = parseReference('x/y:1');
    expect((await client.resolve(reference, anonymous)).descriptor.digest).toBe(image.digest);
    expect(broken.requests.length).toBeGreaterThan(0);
    const descriptor = { mediaType: '', digest: image.id, size: image.config.length };
    expect((await read(await client.fetchBlob(reference, descriptor, 0, anonymous))).equals(image.config)).toBe(true);
  });
});
