/** Images, volumes, jobs and prunes over D-Bus: a real bus, a real engine, a real registry, descriptors both ways. */
import { randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  createWriteStream,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
} from 'node:fs';
import { linkSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync, writeSync, chownSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BusConnection } from '../../src/dbus/bus/connection.ts';
import { variant, type Variant } from '../../src/dbus/bus/exported.ts';
import { MANAGER_PATH, ROOT, SERVICE } from '../../src/dbus/names.ts';
import { BusClient, BusStream } from '../support/bus-containers.ts';
import { obstacleToContainers } from '../support/bundle.ts';
import { busyboxTar, TestEngine, until } from '../support/engine.ts';
import { startProxy, type Misbehaviour, type MisbehavingProxy } from '../support/misbehaving-proxy.ts';
import { PrivateBus, whyNoBus } from '../support/private-bus.ts';
import { pushImage, registryAbsence, startRegistry, type TestRegistry } from '../support/registry.ts';
import { syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';
import { tarOf as contextTar } from '../support/tar-builder.ts';

const obstacle = whyNoBus ?? registryAbsence ?? obstacleToContainers();
const WAIT_USEC = 30_000_000n;

type Values = Readonly<Record<string, Variant>>;

describe.skipIf(obstacle !== null)(`the engine on the bus${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let bus: PrivateBus;
  let registry: TestRegistry;
  let proxy: MisbehavingProxy;
  let engine: TestEngine;
  let client: BusConnection;
  let image: SyntheticImage;
  let reference: string;
  let scratch: string;
  let misbehave: (path: string) => Misbehaviour | null = () => null;
  const signals: { readonly path: string; readonly member: string; readonly body: readonly unknown[] }[] = [];

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'dbus-engine-'));
    bus = await PrivateBus.start();
    registry = await startRegistry();
    proxy = await startProxy(registry.host, ({ path }) => misbehave(path));
    engine = await TestEngine.startOnBus(bus.address);
    await engine.importBusybox();
    image = await syntheticImage([{ a: randomBytes(400_000) }, { b: randomBytes(300_000) }], {});
    await pushImage(registry.host, 'lib/app', '1', image);
    reference = `${proxy.host}/lib/app:1`;
    client = await bus.connect();
    for (const [name, member] of [
      ['Manager', 'JobNew'],
      ['Manager', 'JobRemoved'],
      ['Manager', 'Event'],
      ['Job', 'Progress'],
      ['Job', 'ItemProgress'],
      ['Job', 'Completed'],
    ] as const) {
      await client.match({ sender: SERVICE, interface: `${SERVICE}.${name}`, member }, ({ path = '', body }) => {
        signals.push({ path, member, body });
      });
    }
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    await bus[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true, force: true });
  });

  async function call(
    path: string,
    noun: string,
    member: string,
    signature = '',
    body: readonly unknown[] = [],
    connection: BusConnection = client,
  ): Promise<readonly unknown[]> {
    return connection.call({
      destination: SERVICE,
      path,
      interface: `${SERVICE}.${noun}`,
      member,
      signature,
      body,
      takesFds: true,
      timeoutMs: null,
    });
  }
  const manager = (member: string, signature = '', ...body: readonly unknown[]): Promise<readonly unknown[]> =>
    call(MANAGER_PATH, 'Manager', member, signature, body);
  /** Waits for a job as a client without signals does. */
  async function ended(job: unknown): Promise<readonly [string, Readonly<Record<string, unknown>>]> {
    const id = Number(String(job).split('/').at(-1));
    const [result, details] = await manager('WaitJob', 'ut', id, WAIT_USEC);
    const plain = Object.entries(details as Values).map(([name, { value }]) => [name, value] as const);
    return [String(result), Object.fromEntries(plain)];
  }
  const properties = async (path: string, noun: string): Promise<Record<string, unknown>> =>
    (await BusClient.on(client)).properties(path, noun);
  const fails = (promise: Promise<unknown>, name: string): Promise<void> =>
    expect(promise).rejects.toMatchObject({ busName: expect.stringContaining(name) });

  describe('a pull', () => {
    it('is a job with progress, and the image an object before its end is told', async () => {
      signals.length = 0;
      const [job] = await manager('PullImage', 'sa{sv}', reference, {});
      const [result, details] = await ended(job);
      expect([result, details]).toEqual([
        'done',
        { Image: `${ROOT}/image/${image.id.slice(7)}`, Digest: image.digest, Updated: true },
      ]);
      await until(() => signals.some(({ member }) => member === 'JobRemoved'));
      const mine = signals.filter(({ path, body }) => path === job || body[1] === job).map(({ member }) => member);
      expect([mine[0], mine.at(-2), mine.at(-1)]).toEqual(['JobNew', 'Completed', 'JobRemoved']);
      const progress = signals.filter(({ member }) => member === 'Progress').map(({ body }) => body);
      const compressed = image.layers.reduce((sum, { blob }) => sum + blob.length, 0);
      expect(progress.at(-1)).toEqual([1, BigInt(compressed), BigInt(compressed), 'extracting']);
      const items = signals.filter(({ member }) => member === 'ItemProgress').map(({ body }) => body);
      for (const { digest } of image.layers) {
        expect(items.filter(([item]) => item === digest.slice(7, 19)).at(-1)?.[1]).toBe('done');
      }
      expect(await properties(String(details['Image']), 'Image')).toMatchObject({
        RepoTags: [reference],
        RepoDigests: [`${proxy.host}/lib/app@${image.digest}`],
      });
      const [again] = await manager('PullImage', 'sa{sv}', reference, {});
      expect((await ended(again))[1]).toMatchObject({ Updated: false });
    });

    it('can be canceled, and leaves nothing', async () => {
      const other = await syntheticImage([{ c: randomBytes(500_000) }], {});
      await pushImage(registry.host, 'lib/slow', '1', other);
      misbehave = (path) => (path.includes('/blobs/') ? { kind: 'stall', afterBytes: 1000 } : null);
      const [job] = await manager('PullImage', 'sa{sv}', `${proxy.host}/lib/slow:1`, {});
      await until(async () => (await properties(String(job), 'Job'))['State'] === 'running');
      await call(String(job), 'Job', 'Cancel');
      expect(await ended(job)).toEqual([
        'canceled',
        { ErrorName: `${SERVICE}.Error.Cancelled`, ErrorMessage: 'the job was canceled' },
      ]);
      misbehave = () => null;
      await fails(manager('GetImage', 's', `${proxy.host}/lib/slow:1`), 'NoSuchImage');
      await fails(call(String(job), 'Job', 'Cancel'), 'Conflict');
    });

    it('fails in Docker’s words and with a name for programs', async () => {
      const [job] = await manager('PullImage', 'sa{sv}', `${proxy.host}/lib/none`, {});
      const [result, { ErrorName, ErrorMessage }] = await ended(job);
      expect([result, ErrorName]).toEqual(['failed', `${SERVICE}.Error.ManifestUnknown`]);
      expect(ErrorMessage).toContain(`manifest for ${proxy.host}/lib/none:latest not found`);
      await fails(manager('PullImage', 'sa{sv}', 'x', { Nonsense: variant('b', true) }), 'InvalidArgs');
      await fails(manager('PullImage', 'sa{sv}', 'x', { Platform: variant('s', '!') }), 'InvalidArgs');
      await fails(manager('PullImage', 'sa{sv}', 'x:1', { AllTags: variant('b', true) }), 'InvalidArgs');
      await fails(manager('PullImage', 'sa{sv}', 'x', { Auth: variant('a{ss}', { pin: 'geheim' }) }), 'InvalidArgs');
      expect(engine.log()).not.toContain('geheim');
    });

    it('is not needed to look for an update', async () => {
      const path = `${ROOT}/image/${image.id.slice(7)}`;
      expect(await call(path, 'Image', 'CheckForUpdate', 'a{sv}', [{}])).toEqual([false, image.digest]);
      const newer = await syntheticImage([{ a: 'newer' }], {});
      await pushImage(registry.host, 'lib/app', '1', newer);
      expect(await call(path, 'Image', 'CheckForUpdate', 'a{sv}', [{}])).toEqual([true, newer.digest]);
      await pushImage(registry.host, 'lib/app', '1', image);
    });
  });

  describe('images', () => {
    it('come in through descriptors', async () => {
      const file = join(scratch, 'rootfs.tar');
      writeFileSync(file, await busyboxTar());
      const fd = openSync(file, 'r');
      const [job] = await manager('ImportImage', 'hsa{sv}', fd, 'imported:1', {
        Changes: variant('as', ['CMD ["true"]']),
      });
      const [result, { Image }] = await ended(job);
      expect(result).toBe('done');
      expect(await properties(String(Image), 'Image')).toMatchObject({ RepoTags: ['imported:1'] });
      const [config] = await call(String(Image), 'Image', 'GetConfig');
      expect((config as Values)['Command']?.value).toEqual(['true']);

      const broken = openSync('/dev/null', 'r');
      const [failing] = await manager('LoadImage', 'ha{sv}', broken, {});
      const [how, { ErrorMessage }] = await ended(failing);
      expect([how, ErrorMessage]).toEqual(['failed', expect.stringContaining('manifest.json')]);
    });

    it('bear names, lose them, and go', async () => {
      const [path] = await manager('GetImage', 's', 'imported:1');
      await call(String(path), 'Image', 'Tag', 's', ['other:2']);
      expect((await properties(String(path), 'Image'))['RepoTags']).toEqual(['imported:1', 'other:2']);
      await fails(call(String(path), 'Image', 'Untag', 's', ['busybox:latest']), 'InvalidArgs');
      await call(String(path), 'Image', 'Untag', 's', ['other:2']);
      await call(String(path), 'Image', 'Untag', 's', ['imported:1']);
      expect((await properties(String(path), 'Image'))['RepoTags']).toEqual([]);
      const [untagged, deleted] = await call(String(path), 'Image', 'Remove', 'a{sv}', [{}]);
      expect(untagged).toEqual([]);
      expect((deleted as readonly string[])[0]).toBe(`sha256:${String(path).split('/').at(-1) ?? ''}`);
      await fails(call(String(path), 'Image', 'Inspect'), 'UnknownObject');
    });
  });

  it('goes on with a job whose client has gone, and another finds it', async () => {
    const fifo = join(scratch, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const reading = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    const writing = openSync(fifo, 'w');
    const starter = await bus.connect();
    const body = [reading, 'late:1', {}];
    const [job] = await call(MANAGER_PATH, 'Manager', 'ImportImage', 'hsa{sv}', body, starter);
    starter.close();
    const [jobs] = await manager('ListJobs');
    const row = (jobs as readonly (readonly unknown[])[]).find(([, path]) => path === job);
    expect([row?.[2], ['queued', 'running'].includes(String(row?.[3]))]).toEqual(['import', true]);
    const tar = await busyboxTar();
    const stream = createWriteStream('', { fd: writing });
    stream.end(tar);
    expect((await ended(job))[0]).toBe('done');
    await manager('GetImage', 's', 'late:1');
  });

  describe('volumes', () => {
    let source: string;

    beforeAll(async () => {
      const [path] = await manager('CreateVolume', 'sa{sv}', 'source', { Labels: variant('a{ss}', { a: 'b' }) });
      expect(path).toBe(`${ROOT}/volume/source`);
      source = String((await properties(String(path), 'Volume'))['Mountpoint']);
      mkdirSync(join(source, 'sub'));
      writeFileSync(join(source, 'sub', 'plain'), 'text');
      chownSync(join(source, 'sub', 'plain'), 1000, 70_000);
      chmodSync(join(source, 'sub', 'plain'), 0o4750);
      linkSync(join(source, 'sub', 'plain'), join(source, 'linked'));
      symlinkSync('/etc/passwd', join(source, 'outside'));
      writeFileSync(join(source, 'holes'), '');
      truncateSync(join(source, 'holes'), 64 * 1024 * 1024);
      const fd = openSync(join(source, 'holes'), 'r+');
      writeSync(fd, 'middle', 8 * 1024 * 1024);
      closeSync(fd);
      execFileSync('mkfifo', [join(source, 'fifo')]);
      writeFileSync(join(source, '.wh.name'), 'no whiteout');
      writeFileSync(join(source, 'n'.repeat(180)), 'long');
      const noText = Buffer.concat([Buffer.from(`${source}/caf`), Buffer.from([0xe9])]);
      writeFileSync(noText, 'latin1');
      // Of a name that is no text only microseconds are kept.
      utimesSync(noText, 1_700_000_000, 1_700_000_000);
      python('os.setxattr(sys.argv[1], "user.bytes", bytes([0, 255, 10, 61]))', join(source, 'sub', 'plain'));
    });

    function python(code: string, path: string): string {
      return execFileSync('/usr/bin/python3', ['-c', `import os, sys; ${code}`, path], { encoding: 'utf8' });
    }

    async function exported(): Promise<string> {
      const stream = await (
        await BusClient.on(client)
      ).connection.call({
        destination: SERVICE,
        path: `${ROOT}/volume/source`,
        interface: `${SERVICE}.Volume`,
        member: 'Export',
        takesFds: true,
      });
      const reader = new BusStream(stream[0] as number, []);
      await reader.ended;
      const file = join(scratch, 'volume.tar');
      writeFileSync(file, reader.bytes);
      return file;
    }

    it('are read as a tar that GNU tar understands', async () => {
      const file = await exported();
      const there = join(scratch, 'there');
      mkdirSync(there);
      execFileSync('tar', ['-C', there, '--xattrs', '--numeric-owner', '-xpf', file]);
      execFileSync('diff', ['-r', '--no-dereference', join(source, 'sub'), join(there, 'sub')]);
      expect(lstatSync(join(there, 'holes'))).toMatchObject({ size: 64 * 1024 * 1024 });
      expect(lstatSync(join(there, 'holes')).blocks).toBeLessThan(1000);
      expect(lstatSync(join(there, 'linked')).ino).toBe(lstatSync(join(there, 'sub', 'plain')).ino);
      expect(readFileSync(join(there, 'n'.repeat(180)), 'utf8')).toBe('long');
      expect(lstatSync(file).size).toBeLessThan(200_000);
    });

    it('take it in again, whole and with all its marks', async () => {
      const file = await exported();
      await manager('CreateVolume', 'sa{sv}', 'target', {});
      const fd = openSync(file, 'r');
      const [job] = await call(`${ROOT}/volume/target`, 'Volume', 'Import', 'ha{sv}', [fd, {}]);
      expect((await ended(job))[0]).toBe('done');
      const target = String((await properties(`${ROOT}/volume/target`, 'Volume'))['Mountpoint']);
      const listing = (root: string): string =>
        execFileSync('find', ['.', '-printf', '%P %y %m %U %G %n %s %T@ %l\\n'], { cwd: root, encoding: 'latin1' })
          .split('\n')
          .sort()
          .join('\n');
      expect(listing(target)).toBe(listing(source));
      const attribute = python('print(os.getxattr(sys.argv[1], "user.bytes").hex())', join(target, 'sub', 'plain'));
      expect(attribute).toBe('00ff0a3d\n');
      expect(readFileSync(join(target, '.wh.name'), 'utf8')).toBe('no whiteout');
      expect(lstatSync(join(target, 'holes')).blocks).toBeLessThan(1000);
      const [bytes, references] = await call(`${ROOT}/volume/target`, 'Volume', 'GetUsage');
      expect([Number(bytes) > 64 * 1024 * 1024, references]).toEqual([true, 0]);
    });

    it('are not led out of themselves, and not touched by half an archive', async () => {
      const hostile = join(scratch, 'hostile');
      mkdirSync(hostile);
      const victim = join(scratch, 'victim');
      mkdirSync(victim);
      symlinkSync(victim, join(hostile, 'way'));
      execFileSync('tar', ['-C', hostile, '-cf', join(scratch, 'a.tar'), 'way']);
      rmSync(join(hostile, 'way'));
      mkdirSync(join(hostile, 'way'));
      writeFileSync(join(hostile, 'way', 'escaped'), 'x');
      execFileSync('tar', ['-C', hostile, '-rf', join(scratch, 'a.tar'), 'way/escaped']);
      await manager('CreateVolume', 'sa{sv}', 'hostile', {});
      const fd = openSync(join(scratch, 'a.tar'), 'r');
      const [job] = await call(`${ROOT}/volume/hostile`, 'Volume', 'Import', 'ha{sv}', [fd, {}]);
      await ended(job);
      expect(existsSync(join(victim, 'escaped'))).toBe(false);

      const cut = join(scratch, 'cut.tar');
      writeFileSync(cut, readFileSync(await exported()).subarray(0, 300));
      const half = openSync(cut, 'r');
      const [failing] = await call(`${ROOT}/volume/hostile`, 'Volume', 'Import', 'ha{sv}', [half, {}]);
      const [how, { ErrorMessage }] = await ended(failing);
      expect([how, ErrorMessage]).toEqual(['failed', expect.stringContaining('unexpected EOF')]);
    });

    it('are left alone while a container has them, unless forced', async () => {
      const id = await engine.dockerOk('create', '-v', 'target:/data', 'busybox', 'true');
      const path = `${ROOT}/volume/target`;
      expect((await properties(path, 'Volume'))['Containers']).toEqual([`${ROOT}/container/${id}`]);
      const give = async (options: Values): Promise<string> => {
        const fd = openSync(await exported(), 'r');
        const [job] = await call(path, 'Volume', 'Import', 'ha{sv}', [fd, options]);
        const [result, { ErrorName = '' }] = await ended(job);
        return `${result} ${String(ErrorName)}`;
      };
      expect(await give({})).toBe(`failed ${SERVICE}.Error.InUse`);
      expect(await give({ Force: variant('b', true) })).toBe('done ');
      await fails(call(path, 'Volume', 'Remove', 'b', [false]), 'InUse');
      await engine.dockerOk('rm', id);
      expect((await properties(path, 'Volume'))['Containers']).toEqual([]);
      await call(path, 'Volume', 'Remove', 'b', [false]);
      await fails(manager('GetVolume', 's', 'target'), 'NoSuchVolume');
    });
  });

  describe('containers', () => {
    it('are run as a job that waits for their end', async () => {
      const [job] = await manager('RunContainer', 'ssasa{sv}', 'short', 'busybox', ['sh', '-c', 'exit 7'], {
        Wait: variant('b', true),
        Labels: variant('a{ss}', { secret: 'geheim' }),
      });
      const [result, details] = await ended(job);
      expect([result, details['ExitCode']]).toEqual(['done', 7]);
      const [path] = await manager('GetContainer', 's', 'short');
      expect(details['Container']).toBe(path);
      const stopped = async (): Promise<number> =>
        (await engine.dockerOk('ps', '-aq', '-f', 'status=exited')).split('\n').length;
      expect(await properties(MANAGER_PATH, 'Manager')).toMatchObject({
        ContainersRunning: 0,
        ContainersStopped: await stopped(),
      });
      const events = signals
        .filter(({ member }) => member === 'Event')
        .map(({ body }) => JSON.stringify(body.slice(1)));
      expect(events.some((text) => text.includes('"die"') && text.includes('"exitCode":"7"'))).toBe(true);
      expect(events.some((text) => text.includes('geheim'))).toBe(false);
    });

    it('are found by their processes', async () => {
      const id = await engine.dockerOk('run', '-d', 'busybox', 'sleep', '100');
      const pid = Number(await engine.dockerOk('inspect', '-f', '{{.State.Pid}}', id));
      expect(await manager('GetContainerByPID', 'u', pid)).toEqual([`${ROOT}/container/${id}`]);
      await fails(manager('GetContainerByPID', 'u', process.pid), 'NoSuchContainer');
      await engine.dockerOk('rm', '-f', id);
    });

    it('that cannot be are refused with the key that is wrong', async () => {
      await fails(manager('CreateContainer', 'ssa{sv}', '', 'none', {}), 'NoSuchImage');
      await fails(manager('CreateContainer', 'ssa{sv}', '', 'busybox', { Nope: variant('b', true) }), 'InvalidArgs');
      await fails(manager('CreateContainerFromJSON', 'ss', '', '{"Image":'), 'InvalidArgs');
      await fails(manager('GetContainer', 's', 'nobody'), 'NoSuchContainer');
    });
  });

  describe('a prune', () => {
    it('takes what its preview showed', async () => {
      await manager('CreateVolume', 'sa{sv}', 'unused', {});
      const [job0] = await manager('ImportImage', 'hsa{sv}', await tarDescriptor(), '', {});
      await ended(job0);
      const types = ['container', 'image', 'volume', 'network', 'build-cache'];
      const filters = { Dangling: variant('b', false), All: variant('b', true) };
      const [victims, reclaimable] = await manager('PreviewPrune', 'asa{sv}', types, filters);
      const [job] = await manager('Prune', 'asa{sv}', types, filters);
      const [result, { Removed, Reclaimed }] = await ended(job);
      expect(result).toBe('done');
      expect(Removed).toEqual((victims as readonly (readonly unknown[])[]).map(([type, id]) => [type, id]));
      expect(Reclaimed).toBe(reclaimable);
      expect((Removed as readonly (readonly string[])[]).map(([type]) => type)).toEqual(
        expect.arrayContaining(['container', 'image', 'volume']),
      );
      await fails(manager('Prune', 'asa{sv}', ['swarm'], {}), 'InvalidArgs');
      await fails(manager('Prune', 'asa{sv}', ['image'], { Until: variant('s', 'soon') }), 'InvalidArgs');
    });

    async function tarDescriptor(): Promise<number> {
      const file = join(scratch, 'dangling.tar');
      writeFileSync(file, await busyboxTar());
      return openSync(file, 'r');
    }
  });

  describe('builds', () => {
    const DOCKERFILE = 'FROM busybox\nCOPY file /file\nRUN cat /file; echo more >&2\n';
    const itemsOf = (job: unknown): readonly (readonly unknown[])[] =>
      signals.filter(({ path, member }) => path === job && member === 'ItemProgress').map(({ body }) => body);

    // A prune of all images may have come before.
    beforeAll(() => engine.importBusybox());

    it('make images of a tar in a descriptor, step by step', async () => {
      const file = join(scratch, 'context.tar');
      writeFileSync(
        file,
        contextTar([
          { name: 'Dockerfile', data: DOCKERFILE },
          { name: 'file', data: 'text\n' },
        ]),
      );
      const [job] = await manager('BuildImage', 'ha{sv}', openSync(file, 'r'), {
        Tags: variant('as', ['over-bus:1']),
        Labels: variant('a{ss}', { from: 'bus' }),
      });
      const [result, { Image, Id }] = await ended(job);
      expect([result, Image]).toEqual(['done', `${ROOT}/image/${String(Id).slice(7)}`]);
      expect(await properties(String(Image), 'Image')).toMatchObject({ RepoTags: ['over-bus:1'] });
      expect(await engine.dockerOk('run', '--rm', 'over-bus:1', 'cat', '/file')).toBe('text');
      expect(await engine.dockerOk('inspect', '-f', '{{.Config.Labels.from}}', 'over-bus:1')).toBe('bus');
      const steps = itemsOf(job).filter(([, phase]) => phase === 'done');
      expect(steps.map(([item]) => item)).toEqual([
        '1/4 FROM busybox',
        '2/4 COPY file /file',
        '3/4 RUN cat /file; echo more >&2',
        '4/4 LABEL from=bus',
      ]);
    });

    it('make them of a directory, tell what failed, and end at once when they are canceled', async () => {
      const directory = join(scratch, 'context');
      mkdirSync(directory);
      writeFileSync(join(directory, 'file'), 'text\n');
      writeFileSync(join(directory, 'Dockerfile'), `${DOCKERFILE}RUN exit 3\n`);
      const [failing] = await manager('BuildImageFromPath', 'sa{sv}', directory, {});
      const [result, { ErrorMessage }] = await ended(failing);
      expect([result, ErrorMessage]).toEqual(['failed', expect.stringContaining('returned a non-zero code: 3')]);
      writeFileSync(join(directory, 'Slow'), `${DOCKERFILE}RUN sleep 1000\n`);
      const [job] = await manager('BuildImageFromPath', 'sa{sv}', directory, { Dockerfile: variant('s', 'Slow') });
      await until(async () => (await engine.dockerOk('ps', '-q')) !== '');
      await call(String(job), 'Job', 'Cancel');
      expect((await ended(job))[0]).toBe('canceled');
      expect(await engine.dockerOk('ps', '-aq')).toBe('');
    });

    it('are refused in words of what is no directory', async () => {
      await fails(manager('BuildImageFromPath', 'sa{sv}', 'context', {}), 'InvalidArgs');
    });
  });

  it('ends jobs that are under way when the daemon ends, and tells so', async () => {
    const other = await syntheticImage([{ d: randomBytes(500_000) }], {});
    await pushImage(registry.host, 'lib/last', '1', other);
    misbehave = (path) => (path.includes('/blobs/') ? { kind: 'stall', afterBytes: 1000 } : null);
    const [job] = await manager('PullImage', 'sa{sv}', `${proxy.host}/lib/last:1`, {});
    await until(async () => (await properties(String(job), 'Job'))['State'] === 'running');
    const waiting = ended(job);
    // Calls are taken in order: when this one is answered, the daemon has the other.
    await manager('ListJobs');
    await engine.end('SIGTERM');
    expect(await waiting).toEqual([
      'canceled',
      { ErrorName: `${SERVICE}.Error.Cancelled`, ErrorMessage: 'the engine is shutting down' },
    ]);
  });
});
