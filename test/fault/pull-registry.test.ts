import { readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { abandon } from '../support/abandon.ts';
import { TestEngine, until } from '../support/engine.ts';
import {
  startProxy,
  type Misbehaviour,
  type MisbehavingProxy,
  type ProxiedRequest,
  type WholeAnswer,
} from '../support/misbehaving-proxy.ts';
import { pushImage, pushManifest, registryAbsence, startRegistry, type TestRegistry } from '../support/registry.ts';
import { indexOf, sha256, syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';

/*
 * Every fault at every request of a pull, with the real daemon and a real registry: dockerd's text, in bounded time;
 * nothing is left; and without the fault the same pull goes through.
 */
const STAGES = ['manifest', 'child', 'config', 'layer'] as const;
type Stage = (typeof STAGES)[number];

interface Case {
  readonly stage: Stage;
  readonly fault: string;
  readonly repository: string;
  readonly image: SyntheticImage;
}

const json = { 'content-type': 'application/json' };
const errors = (code: string, message: string, extra: object = {}): string =>
  JSON.stringify({ errors: [{ code, message, detail: 'x', ...extra }] });

const FAULTS: Readonly<Record<string, Misbehaviour>> = {
  '401': { kind: 'answer', status: 401 },
  '403': {
    kind: 'answer',
    status: 403,
    headers: json,
    body: errors('DENIED', 'requested access to the resource is denied'),
  },
  '404': { kind: 'answer', status: 404, headers: json, body: errors('MANIFEST_UNKNOWN', 'manifest unknown') },
  '404-page': { kind: 'answer', status: 404, body: '404 page not found\n' },
  '429': {
    kind: 'answer',
    status: 429,
    headers: { ...json, 'retry-after': '1' },
    body: errors('TOOMANYREQUESTS', 'You have reached your pull rate limit.'),
  },
  '500': { kind: 'answer', status: 500, body: 'oops' },
  '502': { kind: 'answer', status: 502, body: 'oops' },
  '503': { kind: 'answer', status: 503, headers: { 'retry-after': '1' }, body: 'oops' },
  'hang-up': { kind: 'hang-up' },
  cut: { kind: 'cut', afterBytes: 20 },
  corrupt: { kind: 'corrupt' },
  garbage: { kind: 'rewrite', rewrite: (answer) => ({ ...answer, body: Buffer.from('garbage') }) },
  empty: { kind: 'rewrite', rewrite: (answer) => ({ ...answer, body: Buffer.alloc(0) }) },
  longer: {
    kind: 'rewrite',
    rewrite: (answer) => ({ ...answer, body: Buffer.concat([answer.body, Buffer.from(' ')]) }),
  },
  shorter: { kind: 'rewrite', rewrite: (answer) => ({ ...answer, body: answer.body.subarray(0, -1) }) },
  encoded: {
    kind: 'rewrite',
    rewrite: (answer) => ({
      ...answer,
      headers: { ...answer.headers, 'content-encoding': 'gzip' },
      body: gzipSync(answer.body),
    }),
  },
  loop: { kind: 'answer', status: 307, headers: { location: '?again' } },
};

/** What the user reads. */
function expectedText({ stage, fault, image }: Case, host: string, name: string): string | RegExp {
  const isBlob = stage === 'config' || stage === 'layer';
  const url = `http://${host}/v2/${name.slice(host.length + 1)}/manifests/`;
  const attempts = ['429', '500', '502', '503', 'hang-up', 'cut', 'loop'].includes(fault) ? 6 : 1;
  const wrap = (text: string): string =>
    stage === 'config'
      ? `error pulling image configuration: download failed after attempts=${String(attempts)}: ${text}`
      : text;
  const request = (text: string): string | RegExp =>
    isBlob ? wrap(text) : new RegExp(`^Get "${url.replaceAll('.', '\\.')}sha256:\\w+(\\?again)?": ${text}$`);
  switch (fault) {
    case '401':
      return wrap('unauthorized: authentication required');
    case '403':
      return isBlob
        ? wrap('denied: requested access to the resource is denied')
        : `pull access denied for ${name}, repository does not exist or may require 'docker login': ` +
            'denied: requested access to the resource is denied';
    case '404':
      return isBlob ? wrap('unknown blob') : /^manifest for .* not found: manifest unknown: manifest unknown$/;
    case '404-page':
      return isBlob
        ? wrap('unknown blob')
        : `error parsing HTTP 404 response body: invalid character 'p' after top-level value: "404 page not found\\n"`;
    case '429':
      return wrap('toomanyrequests: You have reached your pull rate limit.');
    case '500':
      return wrap('received unexpected HTTP status: 500 Internal Server Error');
    case '502':
      return wrap('received unexpected HTTP status: 502 Bad Gateway');
    case '503':
      return wrap('received unexpected HTTP status: 503 Service Unavailable');
    case 'hang-up':
      return request('EOF');
    case 'cut':
      return wrap('unexpected EOF');
    case 'loop':
      return request('stopped after 10 redirects');
    default:
      return {
        manifest: /^manifest verification failed for digest sha256:\w+$/,
        child: /^manifest verification failed for digest sha256:\w+$/,
        config: `error pulling image configuration: image config verification failed for digest ${image.id}`,
        layer: new RegExp(`^filesystem layer verification failed for digest ${image.layers[0]?.digest ?? ''}(: .*)?$`),
      }[stage];
  }
}

describe.skipIf(registryAbsence !== null)(
  `registry faults${registryAbsence === null ? '' : ` (${registryAbsence})`}`,
  () => {
    let registry: TestRegistry;
    let proxy: MisbehavingProxy;
    let engine: TestEngine;
    let misbehave: (request: ProxiedRequest) => Misbehaviour | null = () => null;

    beforeAll(async () => {
      registry = await startRegistry();
      proxy = await startProxy(registry.host, (request) => misbehave(request));
      engine = await TestEngine.start('--max-download-attempts', '1');
    });
    afterAll(async () => {
      await engine[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    });

    const entries = (...path: readonly string[]): readonly string[] => readdirSync(join(engine.dataRoot, ...path));
    const left = (): object => ({
      blobs: entries('content', 'blobs', 'sha256'),
      ingests: entries('content', 'ingest'),
      layers: entries('overlay2').filter((entry) => entry !== 'l'),
    });
    const nothing = { blobs: [], ingests: [], layers: [] };

    /** The message of a pull that fails; null for one that goes through. */
    async function pull(repository: string, tag: string): Promise<string | null> {
      const from = encodeURIComponent(`${proxy.host}/${repository}`);
      const answer = await engine.api('POST', `/v1.41/images/create?fromImage=${from}&tag=${tag}`);
      const last = JSON.parse(answer.body.trimEnd().split('\r\n').at(-1) ?? '{}') as {
        message?: string;
        error?: string;
      };
      return last.message ?? last.error ?? null;
    }

    async function make(repository: string, content: string | Buffer): Promise<SyntheticImage> {
      const image = await syntheticImage([{ word: content }]);
      await pushImage(registry.host, repository, '1', image);
      const index = indexOf([{ image, platform: { os: 'linux', architecture: 'amd64' } }]);
      await pushManifest(registry.host, repository, 'list', index.bytes, index.mediaType);
      return image;
    }

    function isAt({ stage, image }: Pick<Case, 'stage' | 'image'>, { method, path }: ProxiedRequest): boolean {
      if (method !== 'GET') return false;
      const place = path.split('?')[0] ?? '';
      if (stage === 'config') return place.endsWith(`/blobs/${image.id}`);
      if (stage === 'layer') return place.endsWith(`/blobs/${image.layers[0]?.digest ?? ''}`);
      return place.includes('/manifests/') && (stage === 'manifest' || place.endsWith(image.digest));
    }

    it('each at each request', async () => {
      const cases: Case[] = [];
      for (const stage of STAGES) {
        for (const fault of Object.keys(FAULTS)) {
          // A layer that is cut goes on where it broke: see below.
          if (stage === 'layer' && fault === 'cut') continue;
          // A manifest that a proxy compressed is read; the bytes of a blob are what they are.
          if (fault === 'encoded' && (stage === 'manifest' || stage === 'child')) continue;
          const repository = `f/${stage}-${fault}`;
          cases.push({ stage, fault, repository, image: await make(repository, repository) });
        }
      }
      const ofPath = new Map(cases.map((one) => [one.repository, one]));
      misbehave = (request) => {
        const one = ofPath.get(/^\/v2\/(f\/[^/]+)\//.exec(request.path)?.[1] ?? '');
        return one !== undefined && isAt(one, request) ? (FAULTS[one.fault] ?? null) : null;
      };
      const tagOf = ({ stage }: Case): string => (stage === 'child' ? 'list' : '1');
      const started = performance.now();
      const failures = await Promise.all(
        cases.map(async (one) => ({ one, text: await pull(one.repository, tagOf(one)) })),
      );
      expect(performance.now() - started).toBeLessThan(100_000);
      for (const { one, text } of failures) {
        const wanted = expectedText(one, proxy.host, `${proxy.host}/${one.repository}`);
        if (typeof wanted === 'string') expect(text, `${one.stage} ${one.fault}`).toBe(wanted);
        else expect(text, `${one.stage} ${one.fault}`).toMatch(wanted);
      }
      expect(left()).toEqual(nothing);
      expect(await engine.dockerOk('images', '-aq')).toBe('');
      await expect.poll(() => proxy.openCount).toBe(0);

      misbehave = () => null;
      const retries = await Promise.all(cases.map(async (one) => pull(one.repository, tagOf(one))));
      expect(retries.filter((text) => text !== null)).toEqual([]);
      expect(entries('content', 'ingest')).toEqual([]);
      await engine.dockerOk('rmi', '-f', ...cases.map(({ image }) => image.id));
      expect(left()).toEqual(nothing);
    });

    it('ranges that are ignored, wrong, or overlap: the layer is whole in the end', async () => {
      const content = Buffer.alloc(400_000, 'x');
      content.set(Buffer.from(sha256('seed')), 0);
      const ranges: Readonly<Record<string, (answer: WholeAnswer, whole: Buffer) => WholeAnswer>> = {
        ignored: (answer, whole) => ({
          status: 200,
          headers: { 'content-type': answer.headers['content-type'] },
          body: whole,
        }),
        elsewhere: (answer) => ({
          ...answer,
          headers: { ...answer.headers, 'content-range': `bytes 5-${String(answer.body.length + 4)}/*` },
        }),
        overlapping: (answer, whole) => ({ ...answer, body: whole }),
        short: (answer) => ({ ...answer, body: answer.body.subarray(0, 10) }),
        refused: (answer) => ({ ...answer, status: 416, body: Buffer.from('no') }),
      };
      await Promise.all(
        Object.entries(ranges).map(async ([kind, rewrite]) => {
          const image = await syntheticImage([{ kind, content }], { format: 'none' });
          await pushImage(registry.host, `r/${kind}`, '1', image);
          return { kind, rewrite, image };
        }),
      ).then(async (made) => {
        misbehave = ({ path, headers, earlier }) => {
          const one = made.find(({ kind, image }) => path === `/v2/r/${kind}/blobs/${image.layers[0]?.digest ?? ''}`);
          if (one === undefined) return null;
          if (earlier === 0) return { kind: 'cut', afterBytes: 100_000 };
          if (headers.range === undefined) return null;
          const whole = one.image.layers[0]?.blob ?? Buffer.alloc(0);
          return { kind: 'rewrite', rewrite: (answer) => one.rewrite(answer, whole) };
        };
        // One attempt may be begun again, so the cut leaves no room for a second fault: the next pull has it.
        const first = await Promise.all(made.map(async ({ kind }) => pull(`r/${kind}`, '1')));
        expect(first[made.findIndex(({ kind }) => kind === 'ignored')]).toBeNull();
        await Promise.all(made.map(async ({ kind }) => pull(`r/${kind}`, '1')));
        misbehave = () => null;
        const last = await Promise.all(made.map(async ({ kind }) => pull(`r/${kind}`, '1')));
        expect(last).toEqual(made.map(() => null));
        await engine.dockerOk('rmi', '-f', ...made.map(({ image }) => image.id));
      });
      expect(left()).toEqual(nothing);
    });

    it('a redirect to another host is followed without credentials', async () => {
      const image = await make('e/lsewhere', 'elsewhere');
      const seen: { readonly path: string; readonly authorization: string | undefined }[] = [];
      const elsewhere = createServer((request, answer) => {
        seen.push({ path: request.url ?? '', authorization: request.headers.authorization });
        answer.end(image.layers[0]?.blob);
      }).listen(0, '127.0.0.1');
      try {
        await until(() => elsewhere.listening);
        const { port } = elsewhere.address() as AddressInfo;
        const location = `http://localhost:${String(port)}/store/blob?signature=1`;
        const challenge = { 'www-authenticate': 'Basic realm="test"' };
        misbehave = (request) => {
          if (request.headers.authorization === undefined) return { kind: 'answer', status: 401, headers: challenge };
          return isAt({ stage: 'layer', image }, request)
            ? { kind: 'answer', status: 307, headers: { location } }
            : null;
        };
        const auth = Buffer.from(JSON.stringify({ username: 'u', password: 'secret-word' })).toString('base64url');
        const from = encodeURIComponent(`${proxy.host}/e/lsewhere`);
        const answer = await engine.api('POST', `/v1.41/images/create?fromImage=${from}&tag=1`, undefined, {
          'X-Registry-Auth': auth,
        });
        expect(answer.body).toContain('Status: Downloaded newer image');
        expect(seen).toEqual([{ path: '/store/blob?signature=1', authorization: undefined }]);
        expect(engine.log()).not.toContain('secret-word');
        await engine.dockerOk('rmi', '-f', image.id);
      } finally {
        elsewhere.close();
        misbehave = () => null;
      }
    });

    it('one that hangs anywhere lets the client go, and nothing is left', async () => {
      for (const stage of [...STAGES, 'ping', 'head'] as const) {
        const image = await make(`h/${stage}`, `hang ${stage}`);
        let isHanging = false;
        misbehave = (request) => {
          const { method, path } = request;
          const isHere =
            stage === 'ping' ? path === '/v2/' : stage === 'head' ? method === 'HEAD' : isAt({ stage, image }, request);
          isHanging ||= isHere;
          return isHere ? { kind: 'hang' } : null;
        };
        const from = encodeURIComponent(`${proxy.host}/h/${stage}`);
        await abandon(
          engine,
          'POST',
          `/v1.41/images/create?fromImage=${from}&tag=${stage === 'child' ? 'list' : '1'}`,
          () => isHanging,
        );
        await until(() => proxy.openCount === 0);
        await expect.poll(left).toEqual(nothing);
        misbehave = () => null;
        expect(await pull(`h/${stage}`, '1')).toBeNull();
        await engine.dockerOk('rmi', '-f', image.id);
        expect(left()).toEqual(nothing);
      }
    });
  },
);
