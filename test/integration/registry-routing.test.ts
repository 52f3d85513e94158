import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { outwardAddress } from '../support/certificates.ts';
import { TestEngine, until } from '../support/engine.ts';
import { startProxy, type Misbehaviour, type MisbehavingProxy } from '../support/misbehaving-proxy.ts';
import { pushImage, registryAbsence, startRegistry, type TestRegistry } from '../support/registry.ts';
import { syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';

/*
 * Where the real daemon goes for a name: insecure registries, mirrors by prefix, search list, blocks and proxies, each
 * set by a reload of daemon.json and seen by the docker CLI.
 */
const obstacle = registryAbsence ?? (outwardAddress === null ? 'no address but the loopback' : null);

describe.skipIf(obstacle !== null)(`routing${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  const address = outwardAddress ?? '';
  let directory: string;
  let registry: TestRegistry;
  let mirror: MisbehavingProxy;
  let misbehave: (path: string) => Misbehaviour | null = () => null;
  let engine: TestEngine;
  let image: SyntheticImage;
  let other: SyntheticImage;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'mt-routing-'));
    registry = await startRegistry({ address });
    mirror = await startProxy(registry.host, ({ path }) => misbehave(path));
    image = await syntheticImage([{ word: 'x' }]);
    other = await syntheticImage([{ word: 'y' }]);
    for (const name of ['team/one', 'proxy/hub/library/app', 'proxy/r/team/one', 'app', 'library/app', 'tools/app']) {
      await pushImage(registry.host, name, '1', image);
    }
    await pushImage(registry.host, 'other', '1', other);
    configure({});
    engine = await TestEngine.start('--bridge=none', '--config-file', join(directory, 'daemon.json'));
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await mirror[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });
  afterEach(async () => {
    misbehave = () => null;
    await engine.docker(['rmi', '-f', image.id, other.id]);
  });

  const configure = (settings: object): void => writeFileSync(join(directory, 'daemon.json'), JSON.stringify(settings));
  const reload = async (settings: object): Promise<void> => {
    configure(settings);
    const count = (): number => engine.log().match(/Reloaded configuration|configuration not reloaded/g)?.length ?? 0;
    const before = count();
    process.kill(engine.pid, 'SIGHUP');
    await until(() => count() > before);
  };
  const fail = async (...args: readonly string[]): Promise<string> => {
    const { code, stderr } = await engine.docker(args);
    expect([args.join(' '), code]).not.toEqual([args.join(' '), 0]);
    return stderr.trim().replace(/^Error response from daemon: /, '');
  };
  const names = async (): Promise<readonly string[]> =>
    (await engine.dockerOk('images', '--format', '{{.Repository}}:{{.Tag}}')).split('\n').filter(Boolean).toSorted();
  const pathsAtMirror = (): readonly string[] => [...new Set(mirror.requests.map(({ path }) => path))];

  it('asks by HTTP where a registry is insecure, and only there', async () => {
    const name = `${registry.host}/team/one:1`;
    await reload({});
    expect(await fail('pull', name)).toBe(
      `Get "https://${registry.host}/v2/": http: server gave HTTP response to HTTPS client`,
    );
    for (const entry of [registry.host, address, `${address}/32`, `http://${registry.host}`]) {
      await reload({ 'insecure-registries': [entry] });
      await engine.dockerOk('pull', '-q', name);
      await engine.dockerOk('rmi', '-f', image.id);
    }
    await reload({ registries: [{ Prefix: `http://${registry.host}` }] });
    await engine.dockerOk('pull', '-q', name);
    await engine.dockerOk('push', '-q', name);
  });

  it('asks mirrors of a prefix in order, each failure going on to the next', async () => {
    const asked = `r.invalid/team/one:1`;
    const settings = {
      registries: [
        { Prefix: 'r.invalid', Mirrors: [{ URL: 'http://127.0.0.1:1' }] },
        {
          prefix: 'r.invalid/team',
          mirrors: [{ url: 'http://127.0.0.1:1' }, { url: `http://${mirror.host}/proxy/r/` }],
        },
      ],
    };
    await reload(settings);
    await engine.dockerOk('pull', '-q', asked);
    expect(await names()).toEqual(['r.invalid/team/one:1']);
    expect(pathsAtMirror()).toContain('/v2/proxy/r/team/one/manifests/1');
    await engine.dockerOk('rmi', '-f', image.id);
    expect(await fail('pull', 'r.invalid/teams/one:1')).toContain('lookup r.invalid');
    const good = [{ URL: `http://${mirror.host}/proxy/r` }];
    for (const status of [401, 403, 404, 429, 500]) {
      await using broken = await startProxy(null, ({ path }) => ({
        kind: 'answer',
        status: path === '/v2/' ? 200 : status,
        body: '{"errors":[{"code":"DENIED"}]}',
      }));
      await reload({
        registries: [{ Prefix: 'r.invalid/team', Mirrors: [{ URL: `http://${broken.host}` }, ...good] }],
      });
      await engine.dockerOk('pull', '-q', asked);
      await engine.dockerOk('rmi', '-f', image.id);
      expect(broken.requests.length).toBeGreaterThan(1);
    }
  });

  it('goes on at the next mirror when one fails in the middle of a layer', async () => {
    const [layer] = image.layers;
    misbehave = (path) => (path.includes(layer?.digest ?? '?') ? { kind: 'answer', status: 503, body: 'tired' } : null);
    await reload({
      registries: [
        {
          Prefix: 'r.invalid',
          Mirrors: [{ URL: `http://${mirror.host}/proxy/r` }, { URL: `http://${registry.host}/proxy/r` }],
        },
      ],
      'insecure-registries': [registry.host],
    });
    await engine.dockerOk('pull', '-q', 'r.invalid/team/one:1');
    await engine.dockerOk('rmi', '-f', image.id);
    let cuts = 0;
    misbehave = (path) => {
      if (!path.includes(layer?.digest ?? '?')) return null;
      cuts += 1;
      return { kind: 'cut', afterBytes: 20 };
    };
    await engine.dockerOk('pull', '-q', 'r.invalid/team/one:1');
    expect(cuts).toBe(1);
  });

  it('never sends a push to a mirror, nor credentials of the registry', async () => {
    let shown: readonly (string | undefined)[] = [];
    await using curious = await startProxy(null, ({ headers }) => {
      shown = [...shown, headers.authorization];
      return { kind: 'answer', status: 401, body: '{}', headers: { 'www-authenticate': 'Basic realm="give"' } };
    });
    await reload({
      'insecure-registries': [registry.host],
      registries: [{ Prefix: registry.host, Mirrors: [{ URL: `http://${curious.host}` }] }],
    });
    const auth = Buffer.from(JSON.stringify({ username: 'u', password: 'p' })).toString('base64url');
    const path = `/images/create?fromImage=${registry.host}/team/one&tag=1`;
    expect((await engine.api('POST', path, undefined, { 'x-registry-auth': auth })).status).toBe(200);
    expect(shown.length).toBeGreaterThan(0);
    expect(shown.filter((value) => value !== undefined)).toEqual([]);
    const before = curious.requests.length;
    await engine.dockerOk('push', '-q', `${registry.host}/team/one:1`);
    expect(curious.requests.length).toBe(before);
  });

  it('asks mirrors of docker.io first', async () => {
    await reload({ 'registry-mirrors': [`http://${mirror.host}`] });
    await engine.dockerOk('pull', '-q', 'app:1');
    expect(await names()).toEqual(['app:1']);
    expect(pathsAtMirror()).toContain('/v2/library/app/manifests/1');
    await engine.dockerOk('rmi', '-f', image.id);
    await reload({ registries: [{ Prefix: 'docker.io', Mirrors: [{ URL: `http://${mirror.host}/proxy/hub` }] }] });
    await engine.dockerOk('pull', '-q', 'app:1');
    expect(pathsAtMirror()).toContain('/v2/proxy/hub/library/app/manifests/1');
  });

  it('looks short names up along the search list, and finds them again by them', async () => {
    const insecure = { 'insecure-registries': [registry.host] };
    await reload({ ...insecure, 'add-registry': ['127.0.0.1:1', registry.host, `${registry.host}/tools`] });
    const lines = (await engine.dockerOk('pull', 'app:1')).split('\n');
    expect(lines.slice(0, 3)).toEqual([
      'Trying to pull repository 127.0.0.1:1/app ... ',
      `Trying to pull repository ${registry.host}/app ... `,
      '1: Pulling from app',
    ]);
    expect(lines.at(-2)).toBe(`Status: Downloaded newer image for ${registry.host}/app:1`);
    expect(await names()).toEqual([`${registry.host}/app:1`]);
    const there = await engine.api('GET', '/distribution/docker.io/library/app:1/json');
    expect(there.json).toMatchObject({ Descriptor: { digest: image.digest } });
    expect(await engine.dockerOk('inspect', '--format', '{{.Id}}', 'app:1')).toBe(image.id);
    expect(await engine.dockerOk('create', 'app:1')).toMatch(/^[0-9a-f]{64}$/);
    await engine.dockerOk('container', 'prune', '-f');
    // A name at docker.io goes before those of added registries.
    await engine.dockerOk('pull', '-q', `${registry.host}/other:1`);
    await engine.dockerOk('tag', `${registry.host}/other:1`, 'app:1');
    expect(await engine.dockerOk('inspect', '--format', '{{.Id}}', 'app:1')).toBe(other.id);
    await engine.dockerOk('rmi', 'app:1');
    expect(await engine.dockerOk('inspect', '--format', '{{.Id}}', 'app:1')).toBe(image.id);
    await engine.dockerOk('push', '-q', 'app:1');
    await engine.dockerOk('rmi', 'app:1');
    expect(await names()).toEqual([`${registry.host}/other:1`]);
    await reload({ ...insecure, 'add-registry': [registry.host], 'block-registry': ['public'] });
    const refused = await fail('pull', 'nowhere:1');
    expect(refused).toContain(`${registry.host}/nowhere: manifest for ${registry.host}/nowhere:1 not found`);
    expect(refused).toContain('docker.io/library/nowhere: access to docker.io/library/nowhere is refused');
  });

  it('shows what a client has for Docker Hub to no registry of the search list', async () => {
    const challenge = { 'www-authenticate': 'Basic realm="x"' };
    await using added = await startProxy(null, ({ headers }) =>
      headers.authorization === undefined
        ? { kind: 'answer', status: 401, headers: challenge }
        : { kind: 'answer', status: 200 },
    );
    await reload({
      'insecure-registries': [registry.host],
      'add-registry': [added.host],
      'block-registry': ['public'],
    });
    await engine.dockerOk('pull', '-q', `${registry.host}/app:1`);
    await engine.dockerOk('tag', `${registry.host}/app:1`, `${added.host}/app:1`);
    const auth = Buffer.from(JSON.stringify({ username: 'hub', password: 'secret-of-hub' })).toString('base64url');
    const pulled = await engine.api('POST', '/images/create?fromImage=docker.io/library/app&tag=1', undefined, {
      'x-registry-auth': auth,
    });
    expect(pulled.body).toContain('no basic auth credentials');
    const pushed = await engine.api('POST', '/images/docker.io/library/app/push?tag=1', undefined, {
      'x-registry-auth': auth,
    });
    expect(pushed.body).toContain('no basic auth credentials');
    expect(added.requests.length).toBeGreaterThan(1);
    expect(added.requests.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
  });

  it('refuses what is blocked at every verb, and asks nobody', async () => {
    const insecure = { 'insecure-registries': [registry.host] };
    await reload(insecure);
    await engine.dockerOk('pull', '-q', `${registry.host}/team/one:1`);
    await reload({
      ...insecure,
      'registry-mirrors': [`http://${mirror.host}`],
      'block-registry': ['docker.io', `${registry.host}/team`],
    });
    const before = mirror.requests.length;
    for (const args of [
      ['pull', 'app:1'],
      ['pull', `${registry.host}/team/one:1`],
      ['push', `${registry.host}/team/one:1`],
      ['search', 'app'],
    ]) {
      expect(await fail(...args)).toContain('is refused: the registry is blocked by the configuration of this daemon');
    }
    const login = await engine.docker(['login', '-u', 'u', '--password-stdin'], { stdin: 'p' });
    expect(login.stderr).toContain('access to docker.io is refused');
    expect(mirror.requests.length).toBe(before);
    await engine.dockerOk('pull', '-q', `${registry.host}/tools/app:1`);
    await reload({ ...insecure, 'block-registry': ['all'], 'add-registry': [registry.host] });
    await engine.dockerOk('pull', '-q', `${registry.host}/tools/app:1`);
    expect(await fail('pull', 'q.invalid/app:1')).toContain('(block-registry all)');
  });

  it('goes through a proxy but where none is wanted', async () => {
    await using proxy = await startProxy(registry.host, () => null);
    const settings = {
      'insecure-registries': [registry.host],
      proxies: { 'http-proxy': `http://u:hidden@${proxy.host}` },
    };
    await reload(settings);
    await engine.dockerOk('pull', '-q', `${registry.host}/team/one:1`);
    expect(proxy.requests.at(-1)?.path).toMatch(new RegExp(`^http://${registry.host}/v2/`));
    expect(proxy.requests.at(-1)?.headers['proxy-authorization']).toBe(
      `Basic ${Buffer.from('u:hidden').toString('base64')}`,
    );
    const before = proxy.requests.length;
    await engine.dockerOk('rmi', '-f', image.id);
    await reload({ ...settings, proxies: { ...settings.proxies, 'no-proxy': `${address}/24` } });
    await engine.dockerOk('pull', '-q', `${registry.host}/team/one:1`);
    expect(proxy.requests.length).toBe(before);
    expect(engine.log()).not.toContain('hidden');
  });

  it('says so in `docker info` as dockerd', async () => {
    await reload({
      'insecure-registries': ['10.1.2.3/8', 'r.example:5000', 'http://s.example', 'FD00::1/8', 'a.example'],
      'registry-mirrors': ['https://m.example', 'https://m.example/', 'http://n.example/'],
    });
    const { json } = await engine.api('GET', '/v1.41/info');
    const index = (Name: string) => ({ Name, Mirrors: [], Secure: false, Official: false });
    const Mirrors = ['https://m.example/', 'http://n.example/'];
    expect((json as { readonly RegistryConfig: unknown }).RegistryConfig).toEqual({
      AllowNondistributableArtifactsCIDRs: [],
      AllowNondistributableArtifactsHostnames: [],
      InsecureRegistryCIDRs: ['10.0.0.0/8', 'fd00::/8', '::1/128', '127.0.0.0/8'],
      IndexConfigs: {
        'a.example': index('a.example'),
        'docker.io': { Name: 'docker.io', Mirrors, Secure: true, Official: true },
        'r.example:5000': index('r.example:5000'),
        's.example': index('s.example'),
      },
      Mirrors,
    });
    await reload({ 'http-proxy': 'http://me:secret@proxy.example:1', 'https-proxy': 'me:sec@ret@proxy.example:2' });
    const info = await engine.api('GET', '/info');
    expect(info.json).toMatchObject({
      HttpProxy: 'http://xxxxx:xxxxx@proxy.example:1',
      HttpsProxy: 'xxxxx:xxxxx@proxy.example:2',
    });
    expect(info.body + engine.log()).not.toMatch(/secret@|sec@ret/);
  });
});
