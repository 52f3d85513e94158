import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { busyboxTar, TestEngine, until } from '../support/engine.ts';
import { startProxy, type Misbehaviour, type MisbehavingProxy } from '../support/misbehaving-proxy.ts';
import { pushImage, registryAbsence, startRegistry, type TestRegistry } from '../support/registry.ts';
import { syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';

/*
 * The unmodified docker CLI pushes to a real docker-registry, by a proxy that can misbehave; a second engine pulls.
 */
describe.skipIf(registryAbsence !== null)(`push${registryAbsence === null ? '' : ` (${registryAbsence})`}`, () => {
  let registry: TestRegistry;
  let proxy: MisbehavingProxy;
  let engine: TestEngine;
  let other: TestEngine;
  let image: SyntheticImage;
  type Decide = (method: string, path: string, earlier: number) => Misbehaviour | null;
  let misbehave: Decide = () => null;
  let count = 0;

  beforeAll(async () => {
    registry = await startRegistry();
    proxy = await startProxy(registry.host, ({ method, path, earlier }) => misbehave(method, path, earlier));
    [engine, other] = await Promise.all([TestEngine.start(), TestEngine.start()]);
    image = await syntheticImage([{ 'data/': '', 'data/a': Buffer.alloc(3_000_000, 'abc') }, { word: 'one' }]);
    await pushImage(registry.host, 'lib/two', '1', image);
    await engine.dockerOk('pull', `${registry.host}/lib/two:1`);
    await engine.docker(['import', '-', 'plain:1'], { stdin: await busyboxTar() });
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    misbehave = () => null;
  });

  /** A repository that nothing was pushed to, with the image tagged. */
  const fresh = async (source = `${registry.host}/lib/two:1`): Promise<string> => {
    const name = `${proxy.host}/t/r${String((count += 1))}`;
    await engine.dockerOk('tag', source, `${name}:1`);
    return name;
  };
  /** As {@link fresh}, of an image whose blobs nothing at the proxy's address has: none can be mounted. */
  const unseen = async (): Promise<{ readonly name: string; readonly made: SyntheticImage }> => {
    const made = await syntheticImage([{ bulk: randomBytes(300_000) }, { word: randomBytes(8).toString('hex') }]);
    const source = `u/r${String((count += 1))}`;
    await pushImage(registry.host, source, '1', made);
    await engine.dockerOk('pull', '-q', `${registry.host}/${source}:1`);
    return { name: await fresh(`${registry.host}/${source}:1`), made };
  };
  const repositoryOf = (name: string): string => name.slice(name.indexOf('/') + 1);
  const push = async (
    ...args: readonly string[]
  ): Promise<{ code: number | null; lines: string[]; stderr: string }> => {
    const { code, stdout, stderr } = await engine.docker(['push', ...args]);
    const lines = stdout.split('\n').filter((line) => line !== '');
    return { code, lines, stderr: stderr.trim() };
  };
  const idOn = async (side: TestEngine, name: string): Promise<string> =>
    side.dockerOk('image', 'inspect', '--format', '{{.Id}}', name);
  const short = (index: number): string => image.layers[index]?.diffId.slice(7, 19) ?? '';

  it('prints what dockerd prints, and the image comes back as it was', async () => {
    const name = await fresh();
    const { code, lines } = await push(`${name}:1`);
    expect(code).toBe(0);
    expect(lines.slice(0, 3)).toEqual([
      `The push refers to repository [${name}]`,
      `${short(1)}: Preparing`,
      `${short(0)}: Preparing`,
    ]);
    expect(lines.slice(3, -1).toSorted()).toEqual([`${short(0)}: Pushed`, `${short(1)}: Pushed`].toSorted());
    expect(lines.at(-1)).toBe(`1: digest: ${image.digest} size: ${String(image.manifest.length)}`);
    const digests = await engine.dockerOk('image', 'inspect', '--format', '{{json .RepoDigests}}', `${name}:1`);
    expect(JSON.parse(digests)).toContain(`${name}@${image.digest}`);
    await other.dockerOk('pull', '-q', `${name}:1`);
    expect(await idOn(other, `${name}:1`)).toBe(image.id);
    expect((await push(`${name}:1`)).lines.slice(3, -1).toSorted()).toEqual(
      [0, 1].map((index) => `${short(index)}: Layer already exists`).toSorted(),
    );
    await engine.dockerOk('tag', `${name}:1`, `${name}-copy:1`);
    expect((await push(`${name}-copy:1`)).lines.slice(3, -1)).toEqual(
      expect.arrayContaining([expect.stringMatching(/: Mounted from t\/r\d+$/)]) as string[],
    );
  });

  it('pushes imported, loaded and committed images, compressing what is plain', async () => {
    const name = await fresh('plain:1');
    expect((await push(`${name}:1`)).code).toBe(0);
    const archive = join(engine.root, 'saved.tar');
    await engine.dockerOk('save', '-o', archive, `${name}:1`);
    await other.dockerOk('load', '-i', archive);
    expect(await idOn(other, `${name}:1`)).toBe(await idOn(engine, `${name}:1`));
    // The same blob from there: nothing is sent.
    const again = await other.docker(['push', `${name}:1`]);
    expect(again.stdout).toContain('Layer already exists');
    await engine.dockerOk('run', '--name', 'pushed', '--network', 'none', 'plain:1', 'sh', '-c', 'echo new > /new');
    await engine.dockerOk('commit', 'pushed', `${name}:2`);
    await engine.dockerOk('rm', 'pushed');
    expect((await push(`${name}:2`)).code).toBe(0);
    await other.dockerOk('pull', '-q', `${name}:2`);
    expect(await idOn(other, `${name}:2`)).toBe(await idOn(engine, `${name}:2`));
    expect(await other.dockerOk('run', '--rm', '--network', 'none', `${name}:2`, 'cat', '/new')).toBe('new');
  });

  it('pushes all tags with -a', async () => {
    const name = await fresh();
    await engine.dockerOk('tag', `${name}:1`, `${name}:2`);
    const { code, lines } = await push('-a', name);
    expect(code).toBe(0);
    expect(lines.filter((line) => line.includes(': digest: ')).map((line) => line.split(':')[0])).toEqual(['1', '2']);
  });

  it('refuses in dockerd’s words', async () => {
    const name = await fresh();
    const refers = `The push refers to repository [${name}]`;
    expect(await push(`${name}:nope`)).toEqual({
      code: 1,
      lines: [refers],
      stderr: `tag does not exist: ${name}:nope`,
    });
    expect(await push(`${name}-none:1`)).toMatchObject({
      code: 1,
      stderr: `An image does not exist locally with the tag: ${name}-none`,
    });
    const none = await engine.api('POST', `/v1.51/images/${name}/push?tag=bad..%20`);
    expect([none.status, none.json]).toEqual([400, { message: 'invalid tag format' }]);
  });

  it('says what the registry says, at each request', async () => {
    const body = (code: string, message: string): string => JSON.stringify({ errors: [{ code, message }] });
    const refusals = [
      [401, body('UNAUTHORIZED', 'who are you'), 'unauthorized: who are you'],
      [403, body('DENIED', 'not for you'), 'denied: not for you'],
      [429, body('TOOMANYREQUESTS', 'not so fast'), 'toomanyrequests: not so fast'],
    ] as const;
    const places = [
      ['POST', /\/uploads\//],
      ['PUT', /\/manifests\//],
    ] as const;
    for (const [method, pattern] of places) {
      for (const [status, text, said] of refusals) {
        const name = await fresh();
        misbehave = (asked, path) =>
          asked === method && pattern.test(path) ? { kind: 'answer', status, body: text } : null;
        expect(await push(`${name}:1`)).toMatchObject({ code: 1, stderr: said });
      }
    }
    const name = await fresh();
    misbehave = (_method, path) => (path === '/v2/' ? { kind: 'hang-up' } : null);
    expect(await push(`${name}:1`)).toMatchObject({ code: 1, stderr: `Get "http://${proxy.host}/v2/": EOF` });
    const lying = { 'docker-content-digest': `sha256:${'0'.repeat(64)}` };
    misbehave = (method, path) =>
      method === 'PUT' && path.includes('/manifests/') ? { kind: 'answer', status: 201, headers: lying } : null;
    expect((await push(`${name}:1`)).stderr).toContain('registry kept sha256:0000');
  });

  it('gets there when the registry fails in the middle', async () => {
    const faults: readonly Misbehaviour[] = [{ kind: 'answer', status: 503 }, { kind: 'hang-up' }];
    for (const fault of faults) {
      const { name, made } = await unseen();
      let left = 1;
      misbehave = (method, path) => (method === 'PUT' && path.includes('/uploads/') && left-- > 0 ? fault : null);
      const { code, lines } = await push(`${name}:1`);
      expect([code, lines.at(-1)]).toEqual([0, `1: digest: ${made.digest} size: ${String(made.manifest.length)}`]);
      expect(lines.some((line) => line.endsWith('Retrying in 1 second'))).toBe(true);
    }
  });

  it('stops when its client goes, and closes the upload', async () => {
    const { name, made } = await unseen();
    misbehave = (method, path) =>
      method === 'PUT' && path.includes('/uploads/') ? { kind: 'stall', afterBytes: 0 } : null;
    const client = request({
      socketPath: engine.socketPath,
      path: `/v1.51/images/${name}/push?tag=1`,
      method: 'POST',
    });
    client.on('error', () => undefined);
    client.end();
    const wasAsked = (method: string) => (): boolean =>
      proxy.requests.some((asked) => asked.method === method && asked.path.includes(`/${repositoryOf(name)}/blobs`));
    await until(wasAsked('PUT'));
    client.destroy();
    await until(wasAsked('DELETE'));
    misbehave = () => null;
    expect((await push(`${name}:1`)).lines.at(-1)).toContain(`1: digest: ${made.digest}`);
  });

  it('sends a layer once that several clients push', async () => {
    const { name, made } = await unseen();
    for (const tag of ['2', '3']) await engine.dockerOk('tag', `${name}:1`, `${name}:${tag}`);
    const results = await Promise.all(['1', '2', '3'].map((tag) => push(`${name}:${tag}`)));
    expect(results.map(({ code, stderr }) => [code, stderr])).toEqual([1, 2, 3].map(() => [0, '']));
    const sent = results.flatMap(({ lines }) => lines.filter((line) => line.endsWith(': Pushed')));
    expect(sent.toSorted()).toEqual(made.layers.map(({ diffId }) => `${diffId.slice(7, 19)}: Pushed`).toSorted());
  });

  it('looks at, finds and deletes what the registry has', async () => {
    const name = await fresh();
    await push(`${name}:1`);
    const seen = await engine.api('GET', `/v1.51/distribution/${name}:1/json`);
    expect([seen.status, seen.json]).toEqual([
      200,
      {
        Descriptor: {
          mediaType: image.manifestMediaType,
          digest: image.digest,
          size: image.manifest.length,
        },
        Platforms: [{ architecture: 'amd64', os: 'linux' }],
      },
    ]);
    const unknown = await engine.api('GET', `/v1.51/distribution/${name}:9/json`);
    expect([unknown.status, unknown.json]).toEqual([404, { message: 'manifest unknown: manifest unknown' }]);
    expect(await engine.dockerOk('search', `${proxy.host}/lib/t`, '--format', '{{.Name}}')).toBe(
      `${proxy.host}/lib/two`,
    );
    const far = await engine.api('GET', '/v1.51/images/search?term=x&limit=101');
    expect([far.status, far.json]).toEqual([400, { message: 'limit 101 is outside the range of [1, 100]' }]);
    const gone = await engine.api('DELETE', `/v1.51/distribution/${name}:1`);
    expect([gone.status, gone.json]).toEqual([200, { Digest: image.digest }]);
    const after = await engine.api('DELETE', `/v1.51/distribution/${name}:1`);
    expect(after.status).toBe(404);
    // Here nothing changed.
    expect(await idOn(engine, `${name}:1`)).toBe(image.id);
  });

  it('serves `docker manifest`, which talks to the registry itself', async () => {
    const name = await fresh();
    await push(`${name}:1`);
    const list = `${name}:list`;
    await engine.dockerOk('manifest', 'create', '--insecure', list, `${name}:1`);
    await engine.dockerOk('manifest', 'annotate', '--arch', 'arm64', list, `${name}:1`);
    await engine.dockerOk('manifest', 'push', '--insecure', '--purge', list);
    const inspected = await engine.dockerOk('manifest', 'inspect', '--insecure', list);
    expect(JSON.parse(inspected)).toMatchObject({ manifests: [{ digest: image.digest }] });
    const { json } = await engine.api('GET', `/v1.51/distribution/${list}/json`);
    expect(json).toMatchObject({ Platforms: [{ architecture: 'arm64', os: 'linux' }] });
  });

  it('leaves nothing half in the store', () => {
    expect(readdirSync(join(engine.dataRoot, 'content', 'ingest'))).toEqual([]);
  });
});
