import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { SystemClock } from '../../src/base/clock.ts';
import { parseReference } from '../../src/engine/oci/reference.ts';
import type { PushBlobOptions, RegistryClient } from '../../src/engine/registry/client.ts';
import { startProxy, type Misbehaviour, type ProxiedRequest } from '../support/misbehaving-proxy.ts';
import { makeRegistryClient } from '../support/registry-client.ts';
import { UploadRegistry, type UploadFault, type UploadRequest } from '../support/upload-registry.ts';
import { blobOf } from './registry-push.contract.ts';

/** Waits are counted, not waited. */
class HastyClock extends SystemClock {
  sleeps = 0;

  override async sleep(_delayMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.sleeps += 1;
  }
}

const anonymous = { auth: null, mountFrom: [] };
const MEGABYTE = 1024 * 1024;
const answer = (status: number, body = '', headers: Readonly<Record<string, string>> = {}): UploadFault => ({
  kind: 'answer',
  status,
  body,
  headers,
});
const refusal = (code: string, message: string): string => JSON.stringify({ errors: [{ code, message }] });

interface Rig {
  readonly registry: UploadRegistry;
  readonly client: RegistryClient;
  readonly clock: HastyClock;
  push(bytes: Buffer, options?: Partial<PushBlobOptions>): ReturnType<RegistryClient['pushBlob']>;
}

async function withRegistry(
  options: Parameters<typeof UploadRegistry.start>[0],
  job: (rig: Rig) => Promise<void>,
): Promise<void> {
  await using registry = await UploadRegistry.start(options);
  const clock = new HastyClock();
  await using client = makeRegistryClient({ clock });
  const reference = parseReference(`${registry.host}/x/y:1`);
  const push: Rig['push'] = async (bytes, rest) => client.pushBlob(reference, blobOf(bytes), { ...anonymous, ...rest });
  await job({ registry, client, clock, push });
}

const methodsOf = ({ requests }: UploadRegistry): readonly string[] =>
  requests.filter(({ path }) => path !== '/v2/').map(({ method }) => method);

describe('an upload', () => {
  it('is two requests, and keeps the query of its address', async () => {
    await withRegistry({}, async ({ registry, push }) => {
      const bytes = randomBytes(MEGABYTE);
      expect(await push(bytes)).toEqual({ kind: 'uploaded' });
      expect(methodsOf(registry)).toEqual(['HEAD', 'POST', 'PUT']);
      expect(registry.requests.at(-1)?.path).toContain('?_state=a%2Fb+c%3D&digest=sha256%3A');
      expect(registry.requests.at(-1)?.headers['content-length']).toBe(String(MEGABYTE));
      expect([...registry.blobs.values()][0]?.equals(bytes)).toBe(true);
    });
  });

  it('goes on where the registry stands after a cut link', async () => {
    const cutTwice = ({ method, earlier }: UploadRequest): UploadFault | null =>
      (method === 'PUT' && earlier === 0) || (method === 'PATCH' && earlier === 0)
        ? { kind: 'cut', afterBytes: MEGABYTE }
        : null;
    await withRegistry({ decide: cutTwice, locationOf: (path) => path }, async ({ registry, push, clock }) => {
      const bytes = randomBytes(4 * MEGABYTE);
      const waits: number[] = [];
      const counted: number[] = [];
      const onWait = (seconds: number): void => void waits.push(seconds);
      expect(await push(bytes, { onWait, onProgress: (sent) => void counted.push(sent) })).toEqual({
        kind: 'uploaded',
      });
      expect(methodsOf(registry)).toEqual(['HEAD', 'POST', 'PUT', 'GET', 'PATCH', 'GET', 'PATCH', 'PUT']);
      const ranges = registry.requests.flatMap(({ headers }) => headers['content-range'] ?? []);
      expect(ranges).toEqual([
        `${String(MEGABYTE)}-${String(4 * MEGABYTE - 1)}`,
        `${String(2 * MEGABYTE)}-${String(4 * MEGABYTE - 1)}`,
      ]);
      // Nothing was sent twice.
      expect(registry.takenBytes).toBe(4 * MEGABYTE);
      expect(counted.at(-1)).toBe(4 * MEGABYTE);
      expect(waits).toEqual([1, 1]);
      expect(clock.sleeps).toBe(2);
    });
  });

  it('begins again when the session is lost, and finds what was kept though nobody said so', async () => {
    const loseOnce = ({ method, earlier }: UploadRequest): UploadFault | null =>
      method === 'PUT' && earlier === 0 ? answer(404, refusal('BLOB_UPLOAD_UNKNOWN', '')) : null;
    await withRegistry({ decide: loseOnce }, async ({ registry, push }) => {
      expect(await push(randomBytes(1000))).toEqual({ kind: 'uploaded' });
      expect(methodsOf(registry)).toEqual(['HEAD', 'POST', 'PUT', 'HEAD', 'POST', 'PUT']);
    });
    const forgetOnce = ({ method }: UploadRequest): UploadFault | null =>
      method === 'PUT' ? { kind: 'forget-answer' } : null;
    await withRegistry({ decide: forgetOnce }, async ({ registry, push }) => {
      expect(await push(randomBytes(1000))).toEqual({ kind: 'uploaded' });
      expect(methodsOf(registry)).toEqual(['HEAD', 'POST', 'PUT', 'GET', 'HEAD']);
    });
  });

  it('goes in chunks where bodies are limited', async () => {
    const limit = 17 * MEGABYTE;
    const decide = ({ headers }: UploadRequest): UploadFault | null =>
      Number(headers['content-length'] ?? 0) > limit ? answer(413, 'Request Entity Too Large') : null;
    await withRegistry({ decide }, async ({ registry, push, clock }) => {
      const bytes = randomBytes(18 * MEGABYTE);
      expect(await push(bytes)).toEqual({ kind: 'uploaded' });
      const way = methodsOf(registry).filter((method) => method !== 'GET' && method !== 'DELETE');
      expect(way.slice(-5)).toEqual(['HEAD', 'POST', 'PATCH', 'PATCH', 'PUT']);
      expect([...registry.blobs.values()][0]?.equals(bytes)).toBe(true);
      expect(registry.openSessions).toBe(0);
      expect(clock.sleeps).toBeLessThanOrEqual(1);
    });
  });

  it('tries five times what may pass, then says what the registry said', async () => {
    const decide = ({ method }: UploadRequest): UploadFault | null => (method === 'PUT' ? answer(500) : null);
    await withRegistry({ decide }, async ({ registry, push }) => {
      await expect(push(randomBytes(1000))).rejects.toMatchObject({
        kind: 'unavailable',
        message: 'received unexpected HTTP status: 500 Internal Server Error',
      });
      expect(methodsOf(registry).filter((method) => method === 'PUT')).toHaveLength(5);
      expect(registry.openSessions).toBe(0);
    });
  });

  it('ends at once with what will not pass', async () => {
    const cases = [
      [401, 'UNAUTHORIZED', 'who?', 'unauthorized', 'unauthorized: who?', 2],
      [403, 'DENIED', 'not you', 'forbidden', 'denied: not you', 1],
      [405, 'UNSUPPORTED', 'no', 'internal', 'unsupported: no', 1],
    ] as const;
    for (const [status, code, message, kind, text, attempts] of cases) {
      const decide = ({ method }: UploadRequest): UploadFault | null =>
        method === 'PUT' ? answer(status, refusal(code, message)) : null;
      await withRegistry({ decide }, async ({ registry, push, clock }) => {
        await expect(push(randomBytes(1000))).rejects.toMatchObject({ kind, message: text });
        expect(methodsOf(registry).filter((method) => method === 'PUT')).toHaveLength(attempts);
        expect(clock.sleeps).toBe(0);
        expect(registry.openSessions).toBe(0);
      });
    }
    const busy = ({ method }: UploadRequest): UploadFault | null =>
      method === 'POST' ? answer(429, refusal('TOOMANYREQUESTS', 'slow down'), { 'retry-after': '3600' }) : null;
    await withRegistry({ decide: busy }, async ({ registry, push }) => {
      await expect(push(randomBytes(1000))).rejects.toThrow('toomanyrequests: slow down');
      expect(methodsOf(registry)).toEqual(['HEAD', 'POST']);
    });
  });

  it('notices that the registry kept something else', async () => {
    const other = `sha256:${'0'.repeat(64)}`;
    const decide = ({ method }: UploadRequest): UploadFault | null =>
      method === 'PUT' ? answer(201, '', { 'docker-content-digest': other }) : null;
    await withRegistry({ decide }, async ({ push }) => {
      await expect(push(randomBytes(1000))).rejects.toMatchObject({
        kind: 'data-loss',
        message: expect.stringContaining(`registry kept ${other}`) as string,
      });
    });
  });

  it('takes no credentials to another origin', async () => {
    await using store = await UploadRegistry.start();
    const seen: UploadRequest[] = [];
    const decide = (request: UploadRequest): UploadFault | null => {
      seen.push(request);
      if (request.headers.authorization === undefined) {
        return answer(401, '', { 'www-authenticate': 'Basic realm="x"' });
      }
      if (request.method === 'POST') return answer(202, '', { location: `http://${store.host}/v2/x/blobs/uploads/` });
      return null;
    };
    await withRegistry({ decide }, async ({ client, registry }) => {
      const reference = parseReference(`${registry.host}/x/y:1`);
      const auth = { username: 'anna', password: 'geheim' };
      await expect(client.pushBlob(reference, blobOf(randomBytes(1000)), { auth, mountFrom: [] })).rejects.toThrow();
      expect(seen.some(({ method, headers }) => method === 'POST' && headers.authorization !== undefined)).toBe(true);
      expect(store.requests.length).toBeGreaterThan(0);
      expect(store.requests.every(({ headers }) => headers.authorization === undefined)).toBe(true);
    });
  });

  it('to a signed address that is not there is named without the signature', async () => {
    const location = 'http://127.0.0.1:1/bucket/x?X-Amz-Credential=AKIA&X-Amz-Signature=geheim';
    const decide = ({ method }: UploadRequest): UploadFault | null =>
      method === 'POST' ? answer(202, '', { location }) : null;
    await withRegistry({ decide }, async ({ push }) => {
      const failure = (await push(randomBytes(1000)).catch((error: unknown) => error)) as Error;
      expect(failure.message).toMatch(
        /^(?:Put|Get) "http:\/\/127\.0\.0\.1:1\/bucket\/x\?X-Amz-Credential=xxxxx&X-Amz-Signature=xxxxx.*connection refused$/,
      );
    });
  });

  it('closes its session when the client goes', async () => {
    const gone = new AbortController();
    await withRegistry({}, async ({ registry, push }) => {
      const onProgress = (sent: number): void => {
        if (sent > 0) gone.abort(new Error('client has gone'));
      };
      await expect(push(randomBytes(8 * MEGABYTE), { signal: gone.signal, onProgress })).rejects.toThrow(
        'client has gone',
      );
      expect(methodsOf(registry).at(-1)).toBe('DELETE');
      expect(registry.openSessions).toBe(0);
      expect(registry.blobs.size).toBe(0);
    });
  });
});

describe('a registry without', () => {
  const at = async (
    decide: (request: ProxiedRequest) => Misbehaviour | null,
    job: (client: RegistryClient, host: string, requests: readonly ProxiedRequest[]) => Promise<void>,
  ): Promise<void> => {
    await using proxy = await startProxy(null, (request) =>
      request.path === '/v2/' ? { kind: 'answer', status: 200 } : decide(request),
    );
    await using client = makeRegistryClient();
    await job(client, proxy.host, proxy.requests);
  };

  it('deletion says how to turn it on', async () => {
    const body = refusal('UNSUPPORTED', 'The operation is unsupported.');
    await at(
      () => ({ kind: 'answer', status: 405, body }),
      async (client, host) => {
        const digest = blobOf(Buffer.from('x')).digest;
        await expect(
          client.removeManifest(parseReference(`${host}/x:1`), digest, { auth: null }),
        ).rejects.toMatchObject({
          kind: 'not-implemented',
          message: expect.stringMatching(
            /does not delete images \(.*\/x\): unsupported; .*storage\.delete\.enabled/,
          ) as string,
        });
      },
    );
  });

  it('search and list says so', async () => {
    for (const status of [404, 405]) {
      await at(
        () => ({ kind: 'answer', status }),
        async (client, host) => {
          await expect(client.search(host, 'x', { auth: null, limit: 25 })).rejects.toMatchObject({
            kind: 'not-implemented',
            message: expect.stringContaining(`registry ${host} cannot be searched`) as string,
          });
        },
      );
    }
    await at(
      ({ path }) => ({ kind: 'answer', status: path.startsWith('/v1') ? 404 : 401, body: refusal('UNAUTHORIZED', '') }),
      async (client, host) => {
        await expect(client.search(host, 'x', { auth: null, limit: 25 })).rejects.toMatchObject({
          kind: 'unauthorized',
          message: `registry ${host} does not list its repositories: unauthorized`,
        });
      },
    );
  });
});

describe('search', () => {
  const answers = async (
    decide: (path: string) => Misbehaviour,
    limit = 25,
  ): Promise<{ readonly names: readonly string[]; readonly paths: readonly string[] }> => {
    await using proxy = await startProxy(null, ({ path }) =>
      path === '/v2/' ? { kind: 'answer', status: 200 } : decide(path),
    );
    await using client = makeRegistryClient();
    const found = await client.search(proxy.host, 'web', { auth: null, limit });
    const names = found.map(({ name }) => name.replace(proxy.host, 'HOST'));
    return { names, paths: proxy.requests.map(({ path }) => path).filter((path) => path !== '/v2/') };
  };

  it('speaks Docker’s protocol where the registry does', async () => {
    const results = [{ name: 'library/web', star_count: 3, is_official: true, description: null }];
    const body = JSON.stringify({ num_results: 1, query: 'web', results });
    expect(await answers(() => ({ kind: 'answer', status: 200, body }))).toEqual({
      names: ['library/web'],
      paths: ['/v1/search?q=web&n=25'],
    });
  });

  it('reads the list page by page, also where every other path is a web page', async () => {
    const decide = (path: string): Misbehaviour => {
      if (path.startsWith('/v1/')) return { kind: 'answer', status: 200, body: '<html></html>' };
      const isFirst = !path.includes('last=');
      const body = JSON.stringify({ repositories: isFirst ? ['a/web', 'b'] : ['webshop', 'z/web'] });
      return isFirst
        ? { kind: 'answer', status: 200, body, headers: { link: '</v2/_catalog?last=b&n=1000>; rel="next"' } }
        : { kind: 'answer', status: 200, body };
    };
    expect((await answers(decide)).names).toEqual(['HOST/a/web', 'HOST/webshop', 'HOST/z/web']);
    const short = await answers(decide, 1);
    expect(short.names).toEqual(['HOST/a/web']);
    expect(short.paths).toHaveLength(2);
  });
});

describe('a manifest', () => {
  it('is put one at a time into a repository: a registry may trip over two of the same digest', async () => {
    let active = 0;
    const put: string[] = [];
    const server = createServer((request, response) => {
      void (async (): Promise<void> => {
        const overlapping = request.method === 'PUT' && active > 0;
        if (request.method === 'PUT') active += 1;
        for await (const _chunk of request);
        // A few turns, in which the others' requests would come.
        for (let turn = 0; turn < 50; turn += 1) await setImmediate();
        if (request.method === 'PUT') {
          active -= 1;
          put.push(request.url ?? '');
        }
        response.writeHead(overlapping ? 400 : request.method === 'PUT' ? 201 : 200).end();
      })();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    await using client = makeRegistryClient({});
    try {
      const name = `127.0.0.1:${String((server.address() as AddressInfo).port)}/x/y`;
      const manifest = { mediaType: 'application/vnd.oci.image.manifest.v1+json', bytes: Buffer.from('{}') };
      const tags = ['1', '2', '3', '4'];
      const digests = await Promise.all(
        tags.map((tag) => client.pushManifest(parseReference(`${name}:${tag}`), manifest, { auth: null })),
      );
      expect(new Set(digests).size).toBe(1);
      expect(put).toEqual(tags.map((tag) => `/v2/x/y/manifests/${tag}`));
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
