/** What is done with images over D-Bus, beyond pulls: a real bus, a real engine, a real registry, descriptors. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BusConnection } from '../../src/dbus/bus/connection.ts';
import { variant, type Variant } from '../../src/dbus/bus/exported.ts';
import { MANAGER_PATH, ROOT, SERVICE } from '../../src/dbus/names.ts';
import { BusClient, BusStream, descriptorsOf } from '../support/bus-containers.ts';
import { obstacleToContainers } from '../support/bundle.ts';
import { TestEngine, until } from '../support/engine.ts';
import { PrivateBus, whyNoBus } from '../support/private-bus.ts';
import { registryAbsence, startRegistry, type TestRegistry } from '../support/registry.ts';

const obstacle = whyNoBus ?? registryAbsence ?? obstacleToContainers();
const WAIT_USEC = 30_000_000n;
/** bcrypt of `geheim`. */
const HTPASSWD = 'user:$2b$04$abcdefghijklmnopqrstuuPWRtT5yx7FBi4dcf6ROhboeNunUrLQ.\n';
const DIGEST = /^sha256:[0-9a-f]{64}$/;

interface Ended {
  readonly result: string;
  readonly details: Readonly<Record<string, unknown>>;
}

describe.skipIf(obstacle !== null)(`images on the bus${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let bus: PrivateBus;
  let registry: TestRegistry;
  let engine: TestEngine;
  let connection: BusConnection;
  let client: BusClient;
  let scratch: string;
  const items: (readonly unknown[])[] = [];
  const progress: (readonly unknown[])[] = [];

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'dbus-images-'));
    bus = await PrivateBus.start();
    registry = await startRegistry({ htpasswd: HTPASSWD });
    const authFile = join(scratch, 'auth.json');
    writeFileSync(authFile, '{"auths":{}}', { mode: 0o600 });
    engine = await TestEngine.startOnBus(bus.address, '--registry-auth-file', authFile, '--image-gc-age', 'never');
    await engine.importBusybox();
    connection = await bus.connect();
    client = await BusClient.on(connection);
    const ofJobs = { sender: SERVICE, interface: `${SERVICE}.Job` };
    await connection.match({ ...ofJobs, member: 'ItemProgress' }, ({ body }) => void items.push(body));
    await connection.match({ ...ofJobs, member: 'Progress' }, ({ body }) => void progress.push(body));
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    await bus[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true, force: true });
  });

  const call = (path: string, noun: string, member: string, signature = '', ...body: readonly unknown[]) =>
    connection.call({
      destination: SERVICE,
      path,
      interface: `${SERVICE}.${noun}`,
      member,
      signature,
      body,
      takesFds: true,
      timeoutMs: null,
    });
  const manager = (member: string, signature = '', ...body: readonly unknown[]): Promise<readonly unknown[]> =>
    call(MANAGER_PATH, 'Manager', member, signature, ...body);
  /** The end of the job whose path a call returns. */
  async function ended(started: Promise<readonly unknown[]>): Promise<Ended> {
    const [job] = await started;
    const id = Number(String(job).split('/').at(-1));
    const [result, details] = await manager('WaitJob', 'ut', id, WAIT_USEC);
    const plain = Object.entries(details as Readonly<Record<string, Variant>>).map(([name, one]) => [name, one.value]);
    return { result: String(result), details: Object.fromEntries(plain) as Ended['details'] };
  }
  const failed = (name: string): Ended =>
    expect.objectContaining({
      result: 'failed',
      details: expect.objectContaining({ ErrorName: expect.stringMatching(`\\.Error\\.${name}$`) as unknown }),
    }) as Ended;
  const fails = (promise: Promise<unknown>, name: string): Promise<void> =>
    expect(promise).rejects.toMatchObject({ busName: expect.stringContaining(name) });
  const pathOf = async (name: string): Promise<string> => String((await manager('GetImage', 's', name))[0]);
  async function bytesOf(opened: Promise<readonly unknown[]>): Promise<Buffer> {
    const [fd] = await opened;
    const stream = new BusStream(Number(fd), []);
    await stream.ended;
    return stream.bytes;
  }
  const namesIn = (tar: Buffer): readonly string[] =>
    spawnSync('tar', ['-t'], { input: tar, encoding: 'utf8', maxBuffer: 1 << 26 })
      .stdout.split('\n')
      .filter((name) => name !== '');

  describe('and a registry with accounts', () => {
    const good = { Auth: variant('a{ss}', { username: 'user', password: 'geheim' }) };
    const bad = { Auth: variant('a{ss}', { username: 'user', password: 'falsch' }) };
    let name: string;

    it('are pushed with their progress', async () => {
      name = `${registry.host}/team/app:1`;
      await engine.dockerOk('tag', 'busybox', name);
      const image = await pathOf('busybox');
      expect(await ended(call(image, 'Image', 'Push', 'sa{sv}', name, {}))).toEqual(failed('PullAccessDenied'));
      expect(await ended(call(image, 'Image', 'Push', 'sa{sv}', name, bad))).toEqual(failed('PullAccessDenied'));
      [items.length, progress.length] = [0, 0];
      const { result, details } = await ended(call(image, 'Image', 'Push', 'sa{sv}', name, good));
      expect([result, details]).toEqual(['done', { Digest: expect.stringMatching(DIGEST) }]);
      expect((await client.properties(image, 'Image'))['RepoDigests']).toEqual([
        `${registry.host}/team/app@${String(details['Digest'])}`,
      ]);
      await until(() => items.some(([, phase]) => phase === 'done'));
      expect(progress.length).toBeGreaterThan(0);
      await fails(call(image, 'Image', 'Push', 'sa{sv}', 'nosuch:1', good), 'NoSuchImage');
      await fails(call(image, 'Image', 'Push', 'sa{sv}', name, { Nonsense: variant('b', true) }), 'InvalidArgs');
      expect(engine.log()).not.toMatch(/geheim|falsch/);
    });

    it('come back by a pull', async () => {
      await engine.dockerOk('rmi', name);
      expect(await ended(manager('PullImage', 'sa{sv}', name, bad))).toEqual(failed('PullAccessDenied'));
      expect(await ended(manager('PullImage', 'sa{sv}', name, good))).toMatchObject({
        result: 'done',
        details: { Image: await pathOf('busybox'), Digest: expect.stringMatching(DIGEST) },
      });
    });

    it('are deleted there', async () => {
      await fails(manager('DeleteRemoteImage', 'sa{sv}', name, {}), 'PullAccessDenied');
      const [digest] = await manager('DeleteRemoteImage', 'sa{sv}', name, good);
      expect(digest).toMatch(DIGEST);
      await fails(manager('DeleteRemoteImage', 'sa{sv}', name, good), 'ManifestUnknown');
      expect(await ended(manager('PullImage', 'sa{sv}', name, good))).toEqual(failed('ManifestUnknown'));
      await engine.dockerOk('rmi', name);
    });
  });

  describe('as archives', () => {
    it('are saved into a descriptor, under the names that are given', async () => {
      await engine.dockerOk('tag', 'busybox', 'saved:1');
      await engine.dockerOk('tag', 'busybox', 'saved:2');
      const image = await pathOf('busybox');
      const tar = await bytesOf(call(image, 'Image', 'Save', 'as', ['saved:2']));
      expect(namesIn(tar)).toEqual(expect.arrayContaining(['manifest.json', 'index.json', 'oci-layout']));
      await engine.dockerOk('rmi', 'saved:1', 'saved:2');
      expect((await engine.docker(['load'], { stdin: tar })).stdout).toBe('Loaded image: saved:2\n');
      await engine.dockerOk('rmi', 'saved:2');
      await fails(call(image, 'Image', 'Save', 'as', ['nosuch:1']), 'NoSuchImage');
    });

    it('leave no descriptor in the daemon when nobody reads', async () => {
      const image = await pathOf('busybox');
      const before = descriptorsOf(engine.pid);
      const [fd] = await call(image, 'Image', 'Save', 'as', []);
      new BusStream(Number(fd), []).socket.destroy();
      await until(() => descriptorsOf(engine.pid) <= before);
    });
  });

  describe('of containers', () => {
    let container: string;
    beforeAll(async () => {
      const made = await engine.dockerOk('run', '-d', '--name', 'work', 'busybox', 'sh', '-c', 'echo new > /new; top');
      container = `${ROOT}/container/${made}`;
      await until(async () => (await engine.docker(['exec', 'work', 'test', '-s', '/new'])).code === 0);
    });
    afterAll(async () => {
      await engine.dockerOk('rm', '-f', 'work');
    });

    it('are told of by their changes', async () => {
      expect(await call(container, 'Container', 'GetChanges')).toEqual([[[1, '/new']]]);
    });

    it('are committed', async () => {
      const options = {
        Message: variant('s', 'why'),
        Author: variant('s', 'who'),
        Changes: variant('as', ['ENV COLOUR=red', 'CMD ["cat", "/new"]']),
      };
      const { result, details } = await ended(call(container, 'Container', 'Commit', 'sa{sv}', 'work:1', options));
      expect([result, details]).toEqual(['done', { Image: await pathOf('work:1') }]);
      expect(await engine.dockerOk('run', '--rm', 'work:1')).toBe('new');
      expect(await engine.dockerOk('inspect', '-f', '{{.Comment}} {{.Author}}', 'work:1')).toBe('why who');
      const bare = await ended(call(container, 'Container', 'Commit', 'sa{sv}', '', {}));
      expect(await client.properties(String(bare.details['Image']), 'Image')).toMatchObject({ RepoTags: [] });
      await engine.dockerOk('rmi', 'work:1', String(bare.details['Image']).slice(-64));
    });

    it('are not committed under a wrong name or by a wrong instruction', async () => {
      const commit = (name: string, line: string): Promise<Ended> =>
        ended(call(container, 'Container', 'Commit', 'sa{sv}', name, { Changes: variant('as', [line]) }));
      const before = await engine.dockerOk('images', '-aq');
      expect(await commit('work:2', 'RUN true')).toEqual(failed('InvalidArgs'));
      expect(await commit('WORK:2', 'CMD true')).toEqual(failed('InvalidReference'));
      expect(await engine.dockerOk('images', '-aq')).toBe(before);
    });

    it('are exported', async () => {
      const tar = await bytesOf(call(container, 'Container', 'Export'));
      expect(namesIn(tar)).toEqual(expect.arrayContaining(['new', 'bin/busybox']));
      expect((await engine.docker(['import', '-', 'exported'], { stdin: tar })).code).toBe(0);
      expect(await engine.dockerOk('run', '--rm', 'exported', 'cat', '/new')).toBe('new');
      await engine.dockerOk('rmi', 'exported');
    });
  });

  describe('in the store', () => {
    const outcomes = ({ details }: Ended): readonly unknown[] =>
      (details['Findings'] as readonly (readonly unknown[])[]).map((finding) => finding[5]);

    it('are checked, and repaired by a job', async () => {
      expect(await ended(manager('CheckStore', 'a{sv}', {}))).toEqual({
        result: 'done',
        details: { Findings: [], Problems: 0 },
      });
      const left = join(engine.dataRoot, 'content', 'blobs', 'sha256', randomBytes(32).toString('hex'));
      writeFileSync(left, 'left', { mode: 0o600 });
      const found = await ended(manager('CheckStore', 'a{sv}', {}));
      expect(outcomes(found)).toEqual(['found', 'found']);
      expect(found).toMatchObject({ result: 'done', details: { Problems: 2 } });
      const mended = await ended(
        manager('CheckStore', 'a{sv}', { Repair: variant('b', true), Deep: variant('b', true) }),
      );
      expect(outcomes(mended)).not.toContain('found');
      expect(mended).toMatchObject({ result: 'done', details: { Problems: 0 } });
      await fails(manager('CheckStore', 'a{sv}', { Nonsense: variant('b', true) }), 'InvalidArgs');
    });

    it('have a plan for another storage driver, and none for what is no driver', async () => {
      const [sources, needed, free, obstacles] = await manager('PlanStorageMigration', 's', 'vfs');
      expect(sources).toEqual([['overlay2', expect.any(Number), expect.any(Number)]]);
      expect([Number(needed) > 0, Number(free) > 0, obstacles]).toEqual([true, true, []]);
      await fails(manager('PlanStorageMigration', 's', 'aufs'), 'InvalidArgs');
    });

    it('are collected by the rules; nothing where nothing is due', async () => {
      expect(await manager('PreviewImageCollection')).toEqual([[], 0n]);
      expect(await ended(manager('CollectImages', 'a{sv}', {}))).toEqual({
        result: 'done',
        details: { Removed: [], Reclaimed: 0n },
      });
      await fails(manager('CollectImages', 'a{sv}', { Force: variant('b', true) }), 'InvalidArgs');
    });
  });

  it('are described as the documents say', async () => {
    for (const [noun, path] of [
      ['Image', await pathOf('busybox')],
      ['Manager', MANAGER_PATH],
    ] as const) {
      const shown = await bus.busctl('--xml-interface', 'introspect', SERVICE, path);
      const file = new URL(`../../src/dbus/introspection/${SERVICE}.${noun}.xml`, import.meta.url);
      const members = [...readFileSync(file, 'utf8').matchAll(/<(?:method|signal|property) name="(\w+)"/g)];
      expect(members.length).toBeGreaterThan(0);
      for (const [, member] of members) expect(shown).toContain(`name="${String(member)}"`);
    }
  });
});
