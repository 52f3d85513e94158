import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../support/engine.ts';
import { startProxy, type Misbehaviour, type MisbehavingProxy } from '../support/misbehaving-proxy.ts';
import { pushImage, pushManifest, registryAbsence, startRegistry, type TestRegistry } from '../support/registry.ts';
import { indexOf, syntheticImage, type LayerFiles, type SyntheticImage } from '../support/synthetic-image.ts';

/*
 * The unmodified docker CLI pulls from a real docker-registry into real layers, by a proxy that can misbehave.
 */
describe.skipIf(registryAbsence !== null)(`pull${registryAbsence === null ? '' : ` (${registryAbsence})`}`, () => {
  let registry: TestRegistry;
  let proxy: MisbehavingProxy;
  let engine: TestEngine;
  let image: SyntheticImage;
  let misbehave: (path: string, earlier: number) => Misbehaviour | null = () => null;
  let name: string;

  beforeAll(async () => {
    registry = await startRegistry();
    proxy = await startProxy(registry.host, ({ path, earlier }) => misbehave(path, earlier));
    engine = await TestEngine.start();
    name = `${proxy.host}/lib/five`;
    image = await syntheticImage(await fiveLayers(), { config: { Cmd: ['/bin/busybox', 'cat', '/word'] } });
    await pushImage(registry.host, 'lib/five', '1', image);
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
  });

  const shortDigest = (index: number): string => image.layers[index]?.digest.slice(7, 19) ?? '';
  const blobs = (): readonly string[] => readdirSync(join(engine.dataRoot, 'content', 'blobs', 'sha256'));
  const ingests = (): readonly string[] => readdirSync(join(engine.dataRoot, 'content', 'ingest'));
  const arrivedBytes = (): number => {
    const places = ingests().map((entry) => join(engine.dataRoot, 'content', 'ingest', entry));
    return places.reduce((sum, path) => sum + (statSync(path, { throwIfNoEntry: false })?.size ?? 0), 0);
  };
  const layerTrees = (): readonly string[] => {
    const root = join(engine.dataRoot, 'overlay2');
    return existsSync(root) ? readdirSync(root).filter((entry) => entry !== 'l') : [];
  };
  const removeAll = async (): Promise<void> => {
    misbehave = () => null;
    await engine.dockerOk('rmi', '-f', image.id);
  };

  it('brings five layers in, prints what dockerd prints, and runs', async () => {
    const lines = (await engine.dockerOk('pull', `${name}:1`)).split('\n');
    expect(lines[0]).toBe('1: Pulling from lib/five');
    expect(lines.slice(-3)).toEqual([
      `Digest: ${image.digest}`,
      `Status: Downloaded newer image for ${name}:1`,
      `${name}:1`,
    ]);
    for (let index = 0; index < 5; index += 1) {
      const states = lines.filter((line) => line.startsWith(shortDigest(index))).map((line) => line.slice(14));
      expect(states.filter((state) => state !== 'Waiting' && state !== 'Verifying Checksum')).toEqual([
        'Pulling fs layer',
        'Download complete',
        'Pull complete',
      ]);
    }
    const again = await engine.dockerOk('pull', `${name}:1`);
    expect(again.split('\n')).toEqual([
      '1: Pulling from lib/five',
      `Digest: ${image.digest}`,
      `Status: Image is up to date for ${name}:1`,
      `${name}:1`,
    ]);
    // The topmost layer wins; a whiteout in between took /gone away.
    expect(await engine.dockerOk('run', '--rm', '--network', 'none', `${name}:1`)).toBe('four');
    expect(await engine.dockerOk('run', '--rm', '--network', 'none', `${name}:1`, '/bin/busybox', 'ls', '/data')).toBe(
      'kept',
    );
  });

  it('shares layers with the next image, and removes only what nobody needs', async () => {
    const files = await fiveLayers();
    const sibling = await syntheticImage([...files.slice(0, 4), { extra: 'x' }]);
    await pushImage(registry.host, 'lib/five', 'sibling', sibling);
    const before = layerTrees().length;
    const printed = await engine.dockerOk('pull', `${name}:sibling`);
    expect(printed.split('\n').filter((line) => line.endsWith(': Already exists'))).toHaveLength(4);
    expect(layerTrees()).toHaveLength(before + 1);
    const removal = (await engine.dockerOk('rmi', `${name}:sibling`)).split('\n');
    expect(removal.filter((line) => line.startsWith('Deleted: '))).toHaveLength(2);
    expect(layerTrees()).toHaveLength(before);
    expect(await engine.dockerOk('run', '--rm', '--network', 'none', `${name}:1`)).toBe('four');
  });

  it('refuses what is not there with dockerd’s status and text', async () => {
    const missing = await engine.docker(['pull', `${name}:nope`]);
    expect(missing).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `Error response from daemon: manifest for ${name}:nope not found: manifest unknown: manifest unknown\n`,
    });
    const status = await engine.api('POST', `/v1.41/images/create?fromImage=${encodeURIComponent(name)}&tag=nope`);
    expect(status.status).toBe(404);
    const index = indexOf([{ image, platform: { os: 'linux', architecture: 's390x' } }]);
    await pushManifest(registry.host, 'lib/five', 'other', index.bytes, index.mediaType);
    expect((await engine.docker(['pull', `${name}:other`])).stderr).toMatch(
      /^no matching manifest for linux\/\w+ in the manifest list entries\n$/,
    );
    expect((await engine.docker(['pull', '127.0.0.1:1/x'])).stderr).toBe(
      'Error response from daemon: Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused\n',
    );
  });

  it('refuses a layer that is not what its digest says, and keeps nothing of it', async () => {
    await removeAll();
    expect([blobs(), layerTrees()]).toEqual([[], []]);
    const big = image.layers[1]?.digest ?? '';
    misbehave = (path) => (path.includes(big) ? { kind: 'corrupt' } : null);
    const { code, stderr } = await engine.docker(['pull', `${name}:1`]);
    expect(code).toBe(1);
    expect(stderr).toBe(`filesystem layer verification failed for digest ${big}\n`);
    expect([blobs(), layerTrees()]).toEqual([[], []]);
    // A neighbour may have been stopped half way, to be resumed; the false bytes are gone.
    expect(ingests().filter((entry) => entry.includes(big.slice(7)))).toEqual([]);
  });

  it('resumes a layer when the registry goes in its midst', async () => {
    const big = image.layers[1]?.digest ?? '';
    let cut = false;
    misbehave = (path) => {
      if (!path.includes(big) || cut) return null;
      cut = true;
      return { kind: 'cut', afterBytes: 500_000 };
    };
    const printed = await engine.dockerOk('pull', `${name}:1`);
    expect(printed).toContain(`${shortDigest(1)}: Retrying in 5 seconds`);
    expect(printed).toContain(`Status: Downloaded newer image for ${name}:1`);
    const ranges = proxy.requests.filter(({ path }) => path.includes(big)).map(({ headers }) => headers.range);
    expect(ranges.at(-1)).toMatch(/^bytes=\d{5,6}-$/);
  });

  it('is consistent after SIGKILL in the midst of a layer, and goes on from there', async () => {
    await removeAll();
    const big = image.layers[1]?.digest ?? '';
    misbehave = (path) => (path.includes(big) ? { kind: 'stall', afterBytes: 600_000 } : null);
    const killed = engine.docker(['pull', `${name}:1`]);
    // Everything but the stalled layer has been stored.
    await expect.poll(() => blobs().length).toBeGreaterThanOrEqual(4);
    await expect.poll(arrivedBytes).toBeGreaterThan(0);
    await engine.end('SIGKILL');
    expect((await killed).code).not.toBe(0);
    misbehave = () => null;
    await engine.boot();
    expect(await engine.dockerOk('images', '-aq')).toBe('');
    expect([blobs(), layerTrees()]).toEqual([[], []]);
    expect(ingests()).toHaveLength(1);
    await engine.dockerOk('pull', '-q', `${name}:1`);
    const last = proxy.requests.filter(({ path }) => path.includes(big)).at(-1);
    expect(last?.headers.range).toMatch(/^bytes=\d+-$/);
    expect(await engine.dockerOk('run', '--rm', '--network', 'none', `${name}:1`)).toBe('four');
    expect(ingests()).toEqual([]);
  });

  it('stops when the client goes', async () => {
    await removeAll();
    const big = image.layers[1]?.digest ?? '';
    misbehave = (path) => (path.includes(big) ? { kind: 'stall', afterBytes: 10_000 } : null);
    const path = `/v1.41/images/create?fromImage=${encodeURIComponent(name)}&tag=1`;
    const pulling = request({ socketPath: engine.socketPath, method: 'POST', path });
    pulling.on('error', () => undefined);
    pulling.end();
    await expect.poll(() => blobs().length).toBeGreaterThanOrEqual(4);
    await expect.poll(ingests).toHaveLength(1);
    pulling.destroy();
    await expect.poll(() => [blobs(), layerTrees()]).toEqual([[], []]);
    expect(ingests()).toHaveLength(1);
    misbehave = () => null;
    await engine.dockerOk('pull', '-q', `${name}:1`);
  });
});

/** busybox, a big file, and layers that change what lies below. */
async function fiveLayers(): Promise<readonly LayerFiles[]> {
  big ??= randomBytes(2_000_000);
  return [
    {
      'bin/': '',
      'bin/busybox': readFileSync('/bin/busybox'),
      word: 'one\n',
      'data/': '',
      'data/gone': 'x',
      'data/kept': 'y',
    },
    { big, word: 'two\n' },
    { 'data/': '', 'data/.wh.gone': '' },
    { word: 'four' },
    { 'last/': '', 'last/file': 'five' },
  ];
}

let big: Buffer | null = null;
