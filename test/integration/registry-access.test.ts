import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { outwardAddress, TestAuthority, type Certificate } from '../support/certificates.ts';
import { TestEngine } from '../support/engine.ts';
import { pushImage, registryAbsence, startRegistry, type TestRegistry } from '../support/registry.ts';
import { syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';
import { startTokenServer } from '../support/token-server.ts';

/*
 * Private registries as people have them (docker-registry with TLS, client certificates, htpasswd, a token server) asked
 * by the unmodified docker CLI through the real daemon. They listen on an address of this machine that is not its
 * loopback, which dockerd takes for insecure.
 */
const obstacle = registryAbsence ?? (outwardAddress === null ? 'no address but the loopback' : null);

/** bcrypt of the word. */
const HTPASSWD = 'carol:$2b$04$Xx3wO4m8iB3Kr2q3K1Xw7ewAaAhAJo/34PmAIiFuWRp3KLOD/Z7rq\n';
const SECRETS = ['pw-htpasswd', 'pw-of-alice', 'identity-of-'];

describe.skipIf(obstacle !== null)(`private registries${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  const address = outwardAddress ?? '';
  let directory: string;
  let authority: TestAuthority;
  let tls: Certificate;
  let plain: TestRegistry;
  let engine: TestEngine;
  let image: SyntheticImage;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'mt-access-'));
    authority = new TestAuthority();
    tls = authority.issue('registry', `IP:${address}`);
    plain = await startRegistry();
    image = await syntheticImage([{ word: 'x' }]);
    for (const name of ['team/one', 'open/one']) await pushImage(plain.host, name, '1', image);
    writeFileSync(join(directory, 'daemon.json'), '{}');
    engine = await TestEngine.start(
      '--bridge=none',
      '--config-file',
      join(directory, 'daemon.json'),
      '--registry-certs-dir',
      join(directory, 'certs.d'),
      '--registry-auth-file',
      join(directory, 'auth.json'),
      '--log-level',
      'debug',
    );
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await plain[Symbol.asyncDispose]();
    authority[Symbol.dispose]();
    rmSync(directory, { recursive: true });
  });
  afterEach(async () => {
    await engine.docker(['rmi', '-f', image.id]);
    rmSync(join(directory, 'auth.json'), { force: true });
    rmSync(join(engine.root, 'cli'), { recursive: true, force: true });
  });

  const data = (): string => join(plain.directory, 'data');
  const trust = (host: string, files: Readonly<Record<string, string>>): void => {
    mkdirSync(join(directory, 'certs.d', host), { recursive: true });
    for (const [name, from] of Object.entries(files)) cpSync(from, join(directory, 'certs.d', host, name));
  };
  /** What the CLI says when it fails, without its own prefix. */
  const fail = async (...args: readonly string[]): Promise<string> => {
    const { code, stderr } = await engine.docker(args);
    expect([args.join(' '), code]).not.toEqual([args.join(' '), 0]);
    return stderr.trim().replace(/^Error response from daemon: /, '');
  };
  const login = async (host: string, user: string, password: string) =>
    await engine.docker(['login', '-u', user, '--password-stdin', host], { stdin: password });

  it('with TLS: refused, trusted by certs.d from then on, pushed to and pulled from', async () => {
    await using registry = await startRegistry({ address, tls, data: data() });
    const name = `${registry.host}/team/one:1`;
    expect(await fail('pull', name)).toBe(
      `Get "https://${registry.host}/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority`,
    );
    trust(registry.host, { 'ca.crt': authority.certificate });
    await engine.dockerOk('pull', '-q', name);
    await engine.dockerOk('tag', name, `${registry.host}/team/two:2`);
    await engine.dockerOk('push', '-q', `${registry.host}/team/two:2`);
    await engine.dockerOk('rmi', '-f', image.id);
    await engine.dockerOk('pull', '-q', `${registry.host}/team/two:2`);
  });

  it('that want a client certificate get the one in certs.d', async () => {
    await using registry = await startRegistry({
      address,
      data: data(),
      tls: { ...tls, clientAuthority: authority.certificate },
    });
    const name = `${registry.host}/team/one:1`;
    trust(registry.host, { 'ca.crt': authority.certificate });
    expect(await fail('pull', name)).toMatch(
      /^Get "https:.*": remote error: tls: (?:bad certificate|certificate required)$/,
    );
    const client = authority.issue('client', 'DNS:client');
    trust(registry.host, { 'client.cert': client.certificate });
    expect(await fail('pull', name)).toBe(
      'missing key client.key for client certificate client.cert. CA certificates must use the extension .crt',
    );
    trust(registry.host, { 'client.key': client.key });
    await engine.dockerOk('pull', '-q', name);
  });

  it('with htpasswd: login and logout decide', async () => {
    await using registry = await startRegistry({ address, tls, htpasswd: HTPASSWD, data: data() });
    trust(registry.host, { 'ca.crt': authority.certificate });
    const name = `${registry.host}/team/one:1`;
    expect(await fail('pull', name)).toContain('no basic auth credentials');
    const refused = await login(registry.host, 'carol', 'wrong');
    expect([refused.code, refused.stderr.trim()]).toEqual([
      1,
      `Error response from daemon: login attempt to https://${registry.host}/v2/ failed with status: 401 Unauthorized`,
    ]);
    expect((await login(registry.host, 'carol', 'pw-htpasswd')).stdout).toContain('Login Succeeded');
    await engine.dockerOk('pull', '-q', name);
    await engine.dockerOk('tag', name, `${registry.host}/team/by-carol:1`);
    await engine.dockerOk('push', '-q', `${registry.host}/team/by-carol:1`);
    await engine.dockerOk('logout', registry.host);
    await engine.dockerOk('rmi', '-f', image.id);
    expect(await fail('pull', name)).toContain('no basic auth credentials');
  });

  it('with htpasswd answer /auth as dockerd does', async () => {
    await using registry = await startRegistry({ address, tls, htpasswd: HTPASSWD, data: data() });
    trust(registry.host, { 'ca.crt': authority.certificate });
    const body = { username: 'carol', password: 'pw-htpasswd', serveraddress: `https://${registry.host}/v1/` };
    expect(await engine.api('POST', '/auth', body)).toMatchObject({
      status: 200,
      json: { Status: 'Login Succeeded', IdentityToken: '' },
    });
    expect(await engine.api('POST', '/auth', { ...body, password: 'x' })).toMatchObject({ status: 401 });
    const config = Buffer.from(JSON.stringify({ [registry.host]: body })).toString('base64url');
    const pulled = await engine.api('POST', `/images/create?fromImage=${registry.host}/team/one&tag=1`, undefined, {
      'x-registry-config': config,
    });
    expect([pulled.status, pulled.body]).toEqual([200, expect.stringContaining('Downloaded newer image')]);
  });

  it('use the credentials of the machine where the client has none', async () => {
    await using registry = await startRegistry({ address, tls, htpasswd: HTPASSWD, data: data() });
    trust(registry.host, { 'ca.crt': authority.certificate });
    const auth = Buffer.from('carol:pw-htpasswd').toString('base64');
    const file = join(directory, 'auth.json');
    writeFileSync(file, JSON.stringify({ auths: { [registry.host]: { auth } } }), { mode: 0o644 });
    expect(await fail('pull', `${registry.host}/team/one:1`)).toContain('no basic auth credentials');
    expect(engine.log()).toContain('registry credentials file is not used');
    rmSync(file);
    writeFileSync(file, JSON.stringify({ auths: { [registry.host]: { auth } } }), { mode: 0o600 });
    await engine.dockerOk('pull', '-q', `${registry.host}/team/one:1`);
  });

  it('behind a token server: identity tokens, rights by repository, mounts across them', async () => {
    await using tokens = await startTokenServer({
      address,
      tls,
      users: { alice: 'pw-of-alice' },
      allows: (user, repository, action) => user === 'alice' || (action === 'pull' && repository.startsWith('open/')),
    });
    await using registry = await startRegistry({ address, tls, yaml: tokens.yaml, data: data() });
    // The authority of the registry vouches for its token server, too.
    trust(registry.host, { 'ca.crt': authority.certificate });
    const name = `${registry.host}/team/one:1`;
    await engine.dockerOk('pull', '-q', `${registry.host}/open/one:1`);
    expect(await fail('pull', name)).toContain("repository does not exist or may require 'docker login'");
    await engine.dockerOk('tag', image.id, `${registry.host}/open/other:1`);
    expect(await fail('push', `${registry.host}/open/other:1`)).toMatch(/denied|unauthorized/);
    expect((await login(registry.host, 'alice', 'wrong')).stderr).toContain('incorrect username or password');
    expect((await login(registry.host, 'alice', 'pw-of-alice')).code).toBe(0);
    expect(readFileSync(join(engine.root, 'cli', 'config.json'), 'utf8')).toContain('identitytoken');
    await engine.dockerOk('pull', '-q', name);
    await engine.dockerOk('tag', name, `${registry.host}/team/mounted:1`);
    await engine.dockerOk('push', '-q', `${registry.host}/team/mounted:1`);
    expect(tokens.requests.filter(({ user, status }) => user === 'alice' && status === 200).length).toBeGreaterThan(1);
    expect(tokens.requests.some(({ scopes }) => scopes.includes('repository:team/mounted:pull,push'))).toBe(true);
    expect(await engine.dockerOk('search', `${registry.host}/mounted`)).toContain(`${registry.host}/team/mounted`);
    const shown = {
      'x-registry-auth': Buffer.from(JSON.stringify({ username: 'alice', password: 'pw-of-alice' })).toString('base64'),
    };
    const nobodys = await engine.api('DELETE', `/distribution/${registry.host}/team/mounted:1`);
    expect(nobodys.status).toBeGreaterThanOrEqual(401);
    expect(nobodys.body).toMatch(/denied|unauthorized/);
    const gone = await engine.api('DELETE', `/distribution/${registry.host}/team/mounted:1`, undefined, shown);
    expect([gone.status, gone.json]).toEqual([200, { Digest: image.digest }]);
    const digestless = `/distribution/${registry.host}/team/mounted:1/json`;
    expect((await engine.api('GET', digestless, undefined, shown)).status).toBe(404);
  });

  it('leave no word of any secret behind', async () => {
    const events = await engine.dockerOk('events', '--since', '1', '--until', String(Date.now() / 1000));
    const written = [engine.log(), events, await engine.dockerOk('info')];
    for (const secret of SECRETS) {
      const forms = [
        secret,
        Buffer.from(`carol:${secret}`).toString('base64'),
        Buffer.from(`alice:${secret}`).toString('base64'),
      ];
      for (const form of forms) {
        expect(written.filter((text) => text.includes(form))).toEqual([]);
        expect(filesWith(engine.dataRoot, form)).toEqual([]);
      }
    }
  });
});

/** Files below a directory that contain the text. */
function filesWith(directory: string, text: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => statSync(path).size < 50_000_000 && readFileSync(path).includes(text));
}
