import { writeFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UnavailableError } from '../../../../src/base/errors.ts';
import { shortId } from '../../../../src/base/ids.ts';
import { EVERY_IMAGE, type Progress } from '../../../../src/engine/images/types.ts';
import { MediaType } from '../../../../src/engine/oci/image-spec.ts';
import { settle } from '../../../support/fake-clock.ts';
import { makeImageRoom, statusesOf, type TestRoom } from '../../../support/image-room.ts';
import { indexOf, sha256, syntheticImage, type SyntheticImage } from '../../../support/synthetic-image.ts';

let room: TestRoom;
beforeEach(async () => {
  room = await makeImageRoom();
});
afterEach(async () => {
  await room[Symbol.asyncDispose]();
});

const layerId = (image: SyntheticImage, index: number): string => shortId(image.layers[index]?.digest ?? '');

/** Nothing of a failed pull may be left; half a layer may, to be resumed. */
async function expectNothing(ingests = 0): Promise<void> {
  expect(room.layerTable.all()).toEqual([]);
  const files = await room.files();
  expect(files.blobs).toEqual([]);
  expect(files.ingests).toHaveLength(ingests);
  expect(room.events).toEqual([]);
  expect(await room.images.list(EVERY_IMAGE)).toEqual([]);
}

describe('pull', () => {
  it('shows what dockerd shows', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    room.registry.add('library/b', '1', image);
    const [id, size] = [layerId(image, 0), image.layers[0]?.blob.length];
    expect(await room.pull('b:1')).toEqual([
      { status: 'Pulling from library/b', id: '1' },
      { status: 'Pulling fs layer', id },
      { status: 'Downloading', id, current: size, total: size },
      { status: 'Verifying Checksum', id },
      { status: 'Download complete', id },
      { status: 'Extracting', id, current: image.layers[0]?.tar.length, total: size },
      { status: 'Extracting', id, current: size, total: size },
      { status: 'Pull complete', id },
      { status: `Digest: ${image.digest}` },
      { status: 'Status: Downloaded newer image for b:1' },
    ]);
    expect(room.events).toEqual([{ type: 'image', action: 'pull', actorId: 'b:1', attributes: { name: 'b' } }]);
    expect(await room.pull('b:1')).toEqual([
      { status: 'Pulling from library/b', id: '1' },
      { status: `Digest: ${image.digest}` },
      { status: 'Status: Image is up to date for b:1' },
    ]);
  });

  it('downloads three layers at a time and fetches none twice', async () => {
    const image = await syntheticImage([{ a: '1' }, { b: '2' }, { c: '3' }, { d: '4' }, { e: '5' }]);
    room.registry.add('x/y', '1', image);
    let atOnce = 0;
    let most = 0;
    const { promise: threeCame, resolve: open } = Promise.withResolvers<void>();
    room.registry.onFetch = async (digest, rest) => {
      if (digest === image.id) return Readable.from([rest]);
      atOnce += 1;
      most = Math.max(most, atOnce);
      if (atOnce === 3) open();
      await threeCame;
      const stream = Readable.from([rest]);
      stream.on('close', () => (atOnce -= 1));
      return stream;
    };
    const shown = statusesOf(await room.pull('r.io/x/y:1'));
    expect(most).toBe(3);
    expect(shown.filter((line) => line.endsWith(': Waiting'))).toHaveLength(2);
    expect(shown.filter((line) => line.endsWith(': Pull complete'))).toEqual(
      image.layers.map((_, index) => `${layerId(image, index)}: Pull complete`),
    );
    expect(new Set(room.registry.fetches.map(({ digest }) => digest)).size).toBe(room.registry.fetches.length);
    // Config, manifest and compressed layers are kept for push and save.
    expect((await room.files()).blobs).toHaveLength(7);
  });

  it('takes layers that are there as they are', async () => {
    const first = await syntheticImage([{ base: 'x' }, { a: '1' }]);
    const second = await syntheticImage([{ base: 'x' }, { a: '2' }]);
    room.registry.add('x/y', '1', first);
    room.registry.add('x/y', '2', second);
    await room.pull('r.io/x/y:1');
    const shown = statusesOf(await room.pull('r.io/x/y:2'));
    expect(shown.slice(0, 3)).toEqual([
      '2: Pulling from x/y',
      `${layerId(second, 0)}: Already exists`,
      `${layerId(second, 1)}: Pulling fs layer`,
    ]);
    expect(room.layerTable.all()).toHaveLength(3);
  });

  it('knows no image of the name that Dockerfiles have for none', async () => {
    await expect(room.pull('scratch')).rejects.toThrow("'scratch' is a reserved name");
    await expectNothing();
  });

  it('pulls by digest, without a tag', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    room.registry.add('x/y', '1', image);
    const reference = `r.io/x/y@${image.digest}`;
    const shown = await room.pull(reference);
    expect(shown[0]).toEqual({ status: 'Pulling from x/y', id: reference });
    expect(shown.at(-1)).toEqual({ status: `Status: Downloaded newer image for ${reference}` });
    expect(room.images.get(reference)).toMatchObject({ tags: [], digests: [reference] });
  });

  it('moves a tag to the newer image and leaves the older one its digest', async () => {
    const [first, second] = [await syntheticImage([{ a: '1' }]), await syntheticImage([{ a: '2' }])];
    room.registry.add('x/y', '1', first);
    await room.pull('r.io/x/y:1');
    room.registry.add('x/y', '1', second);
    expect((await room.pull('r.io/x/y:1')).at(-1)?.status).toBe('Status: Downloaded newer image for r.io/x/y:1');
    expect(room.images.get('r.io/x/y:1').id).toBe(second.id);
    expect(room.images.get(first.id)).toMatchObject({ tags: [], digests: [`r.io/x/y@${first.digest}`] });
  });

  it('chooses the platform from an index and remembers the index digest', async () => {
    const [arm, amd] = [
      await syntheticImage([{ a: 'arm' }], { architecture: 'arm64', oci: true, format: 'zstd' }),
      await syntheticImage([{ a: 'amd' }], { architecture: 'amd64', oci: true, format: 'none' }),
    ];
    const index = indexOf(
      [
        { image: arm, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
        { image: amd, platform: { os: 'linux', architecture: 'amd64' } },
      ],
      true,
    );
    room.registry.add('x/y', null, arm);
    room.registry.add('x/y', null, amd);
    room.registry.addManifest('x/y', 'm', index.bytes, index.mediaType);
    await room.pull('r.io/x/y:m');
    expect(room.images.get('r.io/x/y:m')).toMatchObject({ id: amd.id, digests: [`r.io/x/y@${index.digest}`] });
    const progress = (): void => undefined;
    const signal = new AbortController().signal;
    const platform = { os: 'linux', architecture: 'arm64' };
    expect((await room.images.pull('r.io/x/y:m', { platform, auth: null, progress, signal })).id).toBe(arm.id);
    const other = { os: 'linux', architecture: 's390x' };
    await expect(room.images.pull('r.io/x/y:m', { platform: other, auth: null, progress, signal })).rejects.toThrow(
      'no matching manifest for linux/s390x in the manifest list entries',
    );
  });

  it('pulls every tag when none is named', async () => {
    const [first, second] = [await syntheticImage([{ a: '1' }]), await syntheticImage([{ a: '2' }])];
    room.registry.add('x/y', '1', first);
    room.registry.add('x/y', '2', second);
    const shown = statusesOf(await room.pull('r.io/x/y'));
    expect(shown.filter((line) => !/^[0-9a-f]{12}: /.test(line))).toEqual([
      '1: Pulling from x/y',
      `Digest: ${first.digest}`,
      '2: Pulling from x/y',
      `Digest: ${second.digest}`,
      'Status: Downloaded newer image for r.io/x/y',
    ]);
    expect(room.events).toMatchObject([{ action: 'pull', actorId: 'r.io/x/y' }]);
  });

  it('has images without layers', async () => {
    const image = await syntheticImage([]);
    room.registry.add('x/y', '1', image);
    await room.pull('r.io/x/y:1');
    expect(room.images.get('r.io/x/y:1')).toMatchObject({ chainId: null, sizeBytes: 0, layerChainIds: [] });
  });

  it('joins equal pulls: one download, both see it', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    room.registry.add('x/y', '1', image);
    const [one, two] = await Promise.all([room.pull('r.io/x/y:1'), room.pull('r.io/x/y:1')]);
    expect(one).toEqual(two);
    expect(room.registry.fetches).toHaveLength(2);
    expect(room.events).toHaveLength(1);
  });

  it('downloads a layer once for two pulls of different images', async () => {
    const [a, b] = [
      await syntheticImage([{ same: 'x' }, { a: '1' }]),
      await syntheticImage([{ same: 'x' }, { a: '2' }]),
    ];
    room.registry.add('x/a', '1', a);
    room.registry.add('x/b', '1', b);
    await Promise.all([room.pull('r.io/x/a:1'), room.pull('r.io/x/b:1')]);
    expect(room.registry.fetches.filter(({ digest }) => digest === a.layers[0]?.digest)).toHaveLength(1);
    expect(room.layerTable.all()).toHaveLength(3);
  });
});

describe('what registries hold', () => {
  const failure = async (reference: string, shown: Progress[] = []): Promise<string> =>
    await room.images
      .pull(reference, {
        platform: null,
        auth: null,
        progress: (record) => void shown.push(record),
        signal: new AbortController().signal,
      })
      .then(
        () => 'pulled',
        (error: unknown) => (error as Error).message,
      );
  const edited = (image: SyntheticImage, edit: (manifest: MutableManifest) => void): Buffer => {
    const manifest = JSON.parse(image.manifest.toString()) as MutableManifest;
    edit(manifest);
    return Buffer.from(JSON.stringify(manifest));
  };
  interface MutableManifest {
    config: { mediaType: string; size: number };
    layers: { mediaType: string; size: number; digest: string }[];
    manifests?: unknown;
    mediaType?: string;
  }

  it('follows an index within an index, and goes on where one has not the platform', async () => {
    const amd = await syntheticImage([{ a: 'amd' }], { oci: true });
    const arm = await syntheticImage([{ a: 'arm' }], { oci: true, architecture: 'arm64' });
    room.registry.add('x/y', null, amd);
    room.registry.add('x/y', null, arm);
    const ofArm = indexOf([{ image: arm, platform: { os: 'linux', architecture: 'arm64' } }], true);
    const ofAmd = indexOf([{ image: amd, platform: { os: 'linux', architecture: 'amd64' } }], true);
    const attestation = {
      mediaType: MediaType.ociManifest,
      digest: arm.digest,
      size: arm.manifest.length,
      annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
    };
    const outer = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MediaType.ociIndex,
        manifests: [
          attestation,
          ...[ofArm, ofAmd].map(({ bytes, digest }) => ({ mediaType: MediaType.ociIndex, digest, size: bytes.length })),
        ],
      }),
    );
    for (const { bytes, mediaType } of [ofArm, ofAmd]) room.registry.addManifest('x/y', null, bytes, mediaType);
    room.registry.addManifest('x/y', 'm', outer, MediaType.ociIndex);
    await room.pull('r.io/x/y:m');
    expect(room.images.get('r.io/x/y:m').id).toBe(amd.id);
    const lone = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [attestation] }));
    room.registry.addManifest('x/y', 'none', lone, MediaType.ociIndex);
    expect(await failure('r.io/x/y:none')).toBe('no matching manifest for linux/amd64 in the manifest list entries');
  });

  it('stops at indexes without end', async () => {
    let inner = indexOf([], true);
    for (let depth = 0; depth < 8; depth += 1) {
      room.registry.addManifest('x/y', 'deep', inner.bytes, inner.mediaType);
      const entry = { mediaType: inner.mediaType, digest: inner.digest, size: inner.bytes.length };
      const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
      inner = { bytes, mediaType: inner.mediaType, digest: sha256(bytes) };
    }
    room.registry.addManifest('x/y', 'deep', inner.bytes, inner.mediaType);
    expect(await failure('r.io/x/y:deep')).toBe('manifest lists are nested too deeply');
  });

  it('refuses what is no image, as dockerd does: before its stream or in it', async () => {
    const [docker, oci] = [await syntheticImage([{ a: '1' }]), await syntheticImage([{ a: '2' }], { oci: true })];
    for (const image of [docker, oci]) room.registry.add('x/y', null, image);
    const helm = 'application/vnd.cncf.helm.config.v1+json';
    const put = (tag: string, image: SyntheticImage, edit: (manifest: MutableManifest) => void): void =>
      room.registry.addManifest('x/y', tag, edited(image, edit), image.manifestMediaType);
    put('chart', docker, ({ config }) => (config.mediaType = helm));
    put('plugin', docker, ({ config }) => (config.mediaType = 'application/vnd.docker.plugin.v1+json'));
    put('artifact', oci, ({ config }) => (config.mediaType = helm));
    put('layer', oci, ({ layers }) => ((layers[0] as { mediaType: string }).mediaType = 'application/x-thing'));
    put('both', oci, (manifest) => (manifest.manifests = []));
    put('lie', oci, (manifest) => (manifest.mediaType = MediaType.dockerManifest));
    const shown: Progress[] = [];
    expect(await failure('r.io/x/y:chart', shown)).toBe(`Encountered remote "${helm}"(unknown) when fetching`);
    expect(await failure('r.io/x/y:plugin', shown)).toBe(
      'Encountered remote "application/vnd.docker.plugin.v1+json"(plugin) when fetching',
    );
    expect(shown).toEqual([]);
    expect(await failure('r.io/x/y:artifact', shown)).toBe(`unsupported media type ${helm}`);
    expect(shown).toEqual([{ status: 'Pulling from x/y', id: 'artifact' }]);
    expect(await failure('r.io/x/y:layer')).toBe('unsupported media type application/x-thing');
    expect(await failure('r.io/x/y:both')).toBe('expected manifest but found index');
    expect(await failure('r.io/x/y:lie')).toBe(
      `mediaType in manifest should be '${MediaType.ociManifest}' not '${MediaType.dockerManifest}'`,
    );
    await expectNothing();
  });

  it('holds sizes against what comes', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    room.registry.add('x/y', null, image);
    const [size, config] = [image.layers[0]?.blob.length ?? 0, image.config.length];
    const put = (tag: string, edit: (manifest: MutableManifest) => void): void =>
      room.registry.addManifest('x/y', tag, edited(image, edit), image.manifestMediaType);
    put('longer', ({ layers }) => ((layers[0] as { size: number }).size -= 1));
    put('shorter', ({ layers }) => ((layers[0] as { size: number }).size = Number.MAX_SAFE_INTEGER));
    put('config', (manifest) => (manifest.config.size += 1));
    put('bomb', (manifest) => (manifest.config.size = 5 * 1024 * 1024));
    const layer = `filesystem layer verification failed for digest ${image.layers[0]?.digest ?? ''}`;
    expect(await failure('r.io/x/y:longer')).toBe(
      `${layer}: the manifest says ${String(size - 1)} bytes, it is longer than that`,
    );
    expect(await failure('r.io/x/y:shorter')).toBe(
      `${layer}: the manifest says ${String(Number.MAX_SAFE_INTEGER)} bytes, it has ${String(size)} bytes`,
    );
    expect(await failure('r.io/x/y:config')).toBe(
      `error pulling image configuration: image config verification failed for digest ${image.id}: ` +
        `its size is ${String(config)}, the manifest says ${String(config + 1)}`,
    );
    expect(await failure('r.io/x/y:bomb')).toBe(
      'error pulling image configuration: image config is larger than 4194304 bytes',
    );
    const index = Buffer.from(
      JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType: 'x', digest: image.digest, size: 1 }] }),
    );
    room.registry.addManifest('x/y', 'index', index, MediaType.ociIndex);
    expect(await failure('r.io/x/y:index')).toContain(
      `manifest verification failed for digest ${image.digest}: its size`,
    );
    await expectNothing();
  });

  it('tells a layer that comes twice in an image once, and fetches it once', async () => {
    const image = await syntheticImage([{ a: '1' }, { b: '2' }, { a: '1' }]);
    room.registry.add('x/y', '1', image);
    const shown = statusesOf(await room.pull('r.io/x/y:1'));
    expect(shown.filter((line) => line.startsWith(layerId(image, 0)))).toEqual(
      ['Pulling fs layer', 'Verifying Checksum', 'Download complete', 'Pull complete'].map(
        (status) => `${layerId(image, 0)}: ${status}`,
      ),
    );
    expect(room.registry.fetches.filter(({ digest }) => digest === image.layers[0]?.digest)).toHaveLength(1);
    expect(room.layerTable.all()).toHaveLength(3);
  });

  it('warns when an image of one platform is not the one that was asked for', async () => {
    room.registry.add('library/b', '1', await syntheticImage([{ a: '1' }]));
    const shown: Progress[] = [];
    await room.images.pull('b:1', {
      platform: { os: 'linux', architecture: 's390x' },
      auth: null,
      progress: (record) => void shown.push(record),
      signal: new AbortController().signal,
    });
    expect(shown.slice(-2)).toEqual([
      { status: 'Status: Downloaded newer image for b:1' },
      {
        status:
          'WARNING: image with reference b:1 was found but its platform (linux/amd64) does not match ' +
          'the specified platform (linux/s390x)',
      },
    ]);
  });
});

describe('what a pull mends', () => {
  it('an image whose layer or config is gone, and a blob that the disk has damaged', async () => {
    const image = await syntheticImage([{ a: '1' }, { b: '2' }], { format: 'none' });
    room.registry.add('x/y', '1', image);
    await room.pull('r.io/x/y:1');
    const [lower, upper] = image.layers;
    if (lower === undefined || upper === undefined) throw new Error('no layers');
    await room.content.remove(image.id);
    expect((await room.pull('r.io/x/y:1')).at(-1)?.status).toContain('Image is up to date');
    expect((await room.content.read(image.id)).equals(image.config)).toBe(true);

    const top = room.layerTable.all().find(({ diffId }) => diffId === upper.diffId);
    if (top === undefined) throw new Error('no layer');
    await room.layers.remove(top.chainId);
    await writeFile(await room.content.pathOf(upper.digest), Buffer.alloc(upper.blob.length));
    room.registry.fetches.length = 0;
    await room.pull('r.io/x/y:1');
    expect(room.registry.fetches.map(({ digest }) => digest)).toEqual([image.id, upper.digest]);
    expect(room.layerTable.all()).toHaveLength(2);
    expect((await room.content.read(upper.digest)).equals(upper.blob)).toBe(true);
  });
});

describe('many clients', () => {
  /** Two images over one big layer that the registry holds back until told. */
  async function overlapping(): Promise<{
    readonly first: SyntheticImage;
    readonly second: SyntheticImage;
    readonly release: () => void;
    readonly isAsked: () => boolean;
  }> {
    const common = { base: Buffer.alloc(100_000, 'b') };
    const [first, second] = [await syntheticImage([common, { a: '1' }]), await syntheticImage([common, { a: '2' }])];
    room.registry.add('x/y', '1', first);
    room.registry.add('x/y', '2', second);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    room.registry.onFetch = async (digest, rest, signal) => {
      if (digest === first.layers[0]?.digest) {
        const { promise: aborted, reject } = Promise.withResolvers<never>();
        signal?.addEventListener('abort', () => reject(signal.reason as Error));
        await Promise.race([released, aborted]);
      }
      return Readable.from([rest]);
    };
    const isAsked = (): boolean => room.registry.fetches.some(({ digest }) => digest === first.layers[0]?.digest);
    return { first, second, release, isAsked };
  }

  it('a layer of two images is downloaded once, told to both, and survives who leaves', async () => {
    const { first, release, isAsked } = await overlapping();
    const leaver = new AbortController();
    const leaving = room.pull('r.io/x/y:1', leaver.signal);
    await expect.poll(isAsked).toBe(true);
    const staying = room.pull('r.io/x/y:2');
    await settle();
    await expect.poll(() => room.registry.fetches.length).toBeGreaterThanOrEqual(5);
    leaver.abort(new Error('client gone'));
    await expect(leaving).rejects.toThrow('client gone');
    release();
    const shown = statusesOf(await staying);
    expect(shown.filter((line) => line.startsWith(layerId(first, 0)))).toEqual(
      ['Pulling fs layer', 'Verifying Checksum', 'Download complete', 'Pull complete'].map(
        (status) => `${layerId(first, 0)}: ${status}`,
      ),
    );
    expect(room.registry.fetches.filter(({ digest }) => digest === first.layers[0]?.digest)).toHaveLength(1);
    expect(room.layerTable.all()).toHaveLength(2);
    expect((await room.files()).ingests).toEqual([]);
  });

  it('who comes with other credentials asks for himself, and leaves at once while another downloads', async () => {
    const { first, release, isAsked } = await overlapping();
    const options = { platform: null, progress: (): void => undefined };
    const one = room.pull('r.io/x/y:1');
    await expect.poll(isAsked).toBe(true);
    const impatient = new AbortController();
    const other = room.images.pull('r.io/x/y:2', {
      ...options,
      auth: { username: 'u', password: 'p' },
      signal: impatient.signal,
    });
    await expect.poll(() => room.registry.fetches.length).toBeGreaterThanOrEqual(5);
    impatient.abort(new Error('client gone'));
    await expect(other).rejects.toThrow('client gone');
    const patient = room.images.pull('r.io/x/y:2', {
      ...options,
      auth: { username: 'v', password: 'p' },
      signal: new AbortController().signal,
    });
    release();
    await Promise.all([one, patient]);
    expect(room.registry.fetches.filter(({ digest }) => digest === first.layers[0]?.digest)).toHaveLength(1);
    expect(room.layerTable.all()).toHaveLength(3);
  });

  it('a failure reaches all who share it, and leaves nothing', async () => {
    await using impatient = await makeImageRoom({ maxDownloadAttempts: 0 });
    const own = room;
    room = impatient;
    const { first, release, isAsked } = await overlapping();
    const hold = impatient.registry.onFetch;
    impatient.registry.onFetch = async (digest, rest, signal) => {
      const stream = await hold(digest, rest, signal);
      if (digest !== first.layers[0]?.digest) return stream;
      throw new UnavailableError('received unexpected HTTP status: 500 Internal Server Error');
    };
    const pulls = [impatient.pull('r.io/x/y:1'), impatient.pull('r.io/x/y:2')];
    const outcomes = Promise.allSettled(pulls);
    await expect.poll(isAsked).toBe(true);
    await settle();
    release();
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { kind: 'unavailable' } });
    }
    await expectNothing();
    room = own;
  });
});

describe('pull gone wrong', () => {
  let image: SyntheticImage;
  beforeEach(async () => {
    image = await syntheticImage([{ a: Buffer.alloc(100_000, 'a') }, { b: '2' }], { format: 'none' });
    room.registry.add('x/y', '1', image);
  });
  const isBig = (digest: string): boolean => digest === image.layers[0]?.digest;

  /** A stream that gives some bytes and then breaks as a cut socket does. */
  function cutAfter(rest: Buffer, count: number): Readable {
    return Readable.from(
      (function* () {
        yield rest.subarray(0, count);
        throw Object.assign(new Error('other side closed'), { code: 'UND_ERR_SOCKET' });
      })(),
    );
  }

  it('resumes a cut layer where it broke, after dockerd’s pause', async () => {
    let cut = false;
    room.registry.onFetch = (digest, rest) => {
      if (!isBig(digest) || cut) return Readable.from([rest]);
      cut = true;
      return cutAfter(rest, 40_000);
    };
    const shown: Progress[] = [];
    const pulling = room.images.pull('r.io/x/y:1', {
      platform: null,
      auth: null,
      progress: (record) => void shown.push(record),
      signal: new AbortController().signal,
    });
    await expect.poll(() => room.clock.pendingCount).toBe(1);
    for (let second = 0; second < 5; second += 1) await room.clock.advance(1000);
    await pulling;
    expect(room.registry.fetches.filter(({ digest }) => isBig(digest)).map(({ offset }) => offset)).toEqual([
      0, 40_000,
    ]);
    expect(statusesOf(shown).filter((line) => line.includes('Retrying'))).toEqual(
      ['5 seconds', '4 seconds', '3 seconds', '2 seconds', '1 second'].map(
        (text) => `${layerId(image, 0)}: Retrying in ${text}`,
      ),
    );
  });

  it('gives up when attempts bring nothing, and leaves nothing but the half layer', async () => {
    await using impatient = await makeImageRoom({ maxDownloadAttempts: 0 });
    impatient.registry.add('x/y', '1', image);
    impatient.registry.onFetch = (digest, rest) => (isBig(digest) ? cutAfter(rest, 10) : Readable.from([rest]));
    await expect(impatient.pull('r.io/x/y:1')).rejects.toThrow(
      expect.objectContaining({ kind: 'unavailable', message: 'unexpected EOF' }),
    );
    const own = room;
    room = impatient;
    await expectNothing(1);
    room = own;
    // The next pull goes on from there.
    impatient.registry.fetches.length = 0;
    impatient.registry.onFetch = (_, rest) => Readable.from([rest]);
    await impatient.pull('r.io/x/y:1');
    expect(impatient.registry.fetches.find(({ digest }) => isBig(digest))?.offset).toBe(10);
  });

  it('drops half a layer when the whole has come another way, but not one that somebody brings', async () => {
    await using impatient = await makeImageRoom({ maxDownloadAttempts: 0 });
    const same = await syntheticImage([{ a: Buffer.alloc(100_000, 'a') }, { b: '2' }], { format: 'gzip' });
    impatient.registry.add('x/y', '1', image);
    impatient.registry.add('x/y', 'packed', same);
    impatient.registry.onFetch = (digest, rest) => (isBig(digest) ? cutAfter(rest, 10) : Readable.from([rest]));
    await expect(impatient.pull('r.io/x/y:1')).rejects.toThrow('unexpected EOF');
    expect((await impatient.files()).ingests).toHaveLength(1);
    await impatient.pull('r.io/x/y:packed');
    {
      await using _held = await impatient.content.ingest(`layer-${image.layers[0]?.digest ?? ''}`);
      await impatient.pull('r.io/x/y:1');
      expect((await impatient.files()).ingests).toHaveLength(1);
    }
    await impatient.pull('r.io/x/y:1');
    expect((await impatient.files()).ingests).toEqual([]);
    expect(impatient.registry.fetches.filter(({ digest }) => isBig(digest))).toHaveLength(1);
  });

  it('reports the registry that went away in its own words', async () => {
    await using impatient = await makeImageRoom({ maxDownloadAttempts: 0 });
    impatient.registry.add('x/y', '1', image);
    impatient.registry.onFetch = (digest, rest) => {
      if (!isBig(digest)) return Readable.from([rest]);
      throw new UnavailableError('Get "http://x/v2/": dial tcp 127.0.0.1:1: connect: connection refused');
    };
    await expect(impatient.pull('r.io/x/y:1')).rejects.toThrow('connect: connection refused');
  });

  it('refuses a layer that is not what its digest says', async () => {
    room.registry.onFetch = (digest, rest) =>
      Readable.from([isBig(digest) ? Buffer.concat([Buffer.from('X'), rest.subarray(1)]) : rest]);
    await expect(room.pull('r.io/x/y:1')).rejects.toThrow(
      expect.objectContaining({
        kind: 'data-loss',
        message: `filesystem layer verification failed for digest ${image.layers[0]?.digest ?? ''}`,
      }),
    );
    await expectNothing();
  });

  it('refuses a layer that is longer than announced, before it fills the disk', async () => {
    room.registry.onFetch = (digest, rest) =>
      isBig(digest)
        ? Readable.from(
            (function* () {
              for (;;) yield rest;
            })(),
          )
        : Readable.from([rest]);
    await expect(room.pull('r.io/x/y:1')).rejects.toThrow('filesystem layer verification failed');
    await expectNothing();
  });

  it('refuses a config that is not what its digest says', async () => {
    room.registry.onFetch = (digest, rest) => Readable.from([digest === image.id ? Buffer.from('{}') : rest]);
    await expect(room.pull('r.io/x/y:1')).rejects.toThrow(
      `error pulling image configuration: image config verification failed for digest ${image.id}`,
    );
    await expectNothing();
  });

  it('refuses layers that are not those of the config', async () => {
    const lie = await syntheticImage([{ q: 'x' }], { diffIds: [`sha256:${'1'.repeat(64)}`] });
    const short = await syntheticImage([{ q: 'x' }], { diffIds: [] });
    const windows = await syntheticImage([{ q: 'x' }], { os: 'windows' });
    room.registry.add('x/lie', '1', lie);
    room.registry.add('x/lie', '2', short);
    room.registry.add('x/lie', '3', windows);
    const mismatch = "layers from manifest don't match image configuration";
    await expect(room.pull('r.io/x/lie:1')).rejects.toThrow(mismatch);
    await expect(room.pull('r.io/x/lie:2')).rejects.toThrow(mismatch);
    await expect(room.pull('r.io/x/lie:3')).rejects.toThrow(
      'image operating system "windows" cannot be used on this platform',
    );
    await expectNothing();
  });

  it('refuses schema 1 after it has said what it pulls', async () => {
    room.registry.addManifest('x/y', 'old', Buffer.from('{"schemaVersion":1}'), MediaType.dockerSchema1Signed);
    const shown: Progress[] = [];
    const options = {
      platform: null,
      auth: null,
      progress: (p: Progress) => void shown.push(p),
      signal: new AbortController().signal,
    };
    await expect(room.images.pull('r.io/x/y:old', options)).rejects.toThrow(
      'schema 1 support has been removed. Suggest the author of r.io/x/y:old',
    );
    expect(shown).toEqual([{ status: 'Pulling from x/y', id: 'old' }]);
  });

  it('says nothing before it knows that the image is there', async () => {
    const shown: Progress[] = [];
    const options = {
      platform: null,
      auth: null,
      progress: (p: Progress) => void shown.push(p),
      signal: new AbortController().signal,
    };
    await expect(room.images.pull('r.io/x/y:nope', options)).rejects.toMatchObject({ kind: 'not-found' });
    await expect(room.images.pull('NOPE', options)).rejects.toMatchObject({ kind: 'invalid-argument' });
    expect(shown).toEqual([]);
  });

  it('stops when the client goes, and keeps only what can be resumed', async () => {
    const client = new AbortController();
    room.registry.onFetch = (digest, rest, signal) => {
      if (!isBig(digest)) return Readable.from([rest]);
      const stream = new Readable({ read: () => undefined });
      stream.push(rest.subarray(0, 50_000));
      signal?.addEventListener('abort', () => stream.destroy(signal.reason as Error));
      return stream;
    };
    const shown: Progress[] = [];
    const pulling = room.images.pull('r.io/x/y:1', {
      platform: null,
      auth: null,
      progress: (record) => void shown.push(record),
      signal: client.signal,
    });
    await expect
      .poll(() => shown.some(({ status, current }) => status === 'Downloading' && current === 50_000))
      .toBe(true);
    client.abort(new Error('client gone'));
    await expect(pulling).rejects.toThrow('client gone');
    await expectNothing(1);
    expect(room.clock.pendingCount).toBe(0);
  });

  it('goes on for the others when one of two clients goes', async () => {
    const client = new AbortController();
    let open: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    room.registry.onFetch = async (_, rest) => {
      await opened;
      return Readable.from([rest]);
    };
    const leaver = room.pull('r.io/x/y:1', client.signal);
    const stayer = room.pull('r.io/x/y:1');
    await settle();
    client.abort(new Error('client gone'));
    await expect(leaver).rejects.toThrow('client gone');
    open();
    expect((await stayer).at(-1)?.status).toContain('Downloaded newer image');
  });

  it('stops the other layers when one cannot be unpacked', async () => {
    room.layers.onUnpack = async ({ parent }) => {
      if (parent === null) throw new UnavailableError('write /a: no space left on device');
    };
    await expect(room.pull('r.io/x/y:1')).rejects.toThrow(
      expect.objectContaining({
        kind: 'unavailable',
        message: 'failed to register layer: write /a: no space left on device',
      }),
    );
    await expectNothing();
  });

  it('passes a full disk on, and frees what the download had taken', async () => {
    await using full = await makeImageRoom({
      wrapContent: (content) => ({
        stat: async (digest) => content.stat(digest),
        open: async (digest, options) => content.open(digest, options),
        read: async (digest) => content.read(digest),
        put: async (bytes) => content.put(bytes),
        putAll: async (all, options) => content.putAll(all, options),
        sync: async (digests) => content.sync(digests),
        draft: async () => content.draft(),
        pathOf: async (digest) => content.pathOf(digest),
        remove: async (digest) => content.remove(digest),
        walk: () => content.walk(),
        examine: async (digest, signal) => content.examine(digest, signal),
        unfinished: async () => content.unfinished(),
        abandon: async (ref) => content.abandon(ref),
        dropUnfinished: async (name) => content.dropUnfinished(name),
        ingest: async (ref) => {
          const ingest = await content.ingest(ref);
          return {
            offset: 0,
            write: async (): Promise<void> => {
              throw new UnavailableError('write /x: no space left on device');
            },
            commit: async (expected) => ingest.commit(expected),
            discard: async () => ingest.discard(),
            [Symbol.asyncDispose]: async () => ingest[Symbol.asyncDispose](),
          };
        },
      }),
    });
    full.registry.add('x/y', '1', image);
    await expect(full.pull('r.io/x/y:1')).rejects.toThrow('write /x: no space left on device');
    expect(await full.files()).toEqual({ blobs: [], ingests: [] });
  });

  it('takes away at start-up what a killed daemon left', async () => {
    const { content } = room;
    await content.put(Buffer.from('left over'));
    await room.pull('r.io/x/y:1');
    const before = room.layerTable.all().length;
    await room.images.recover();
    expect((await room.files()).blobs).toHaveLength(4);
    expect(room.layerTable.all()).toHaveLength(before);
    expect(room.images.get('r.io/x/y:1').id).toBe(image.id);
  });
});
