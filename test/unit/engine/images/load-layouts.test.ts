/** Archives as other tools write them: indexes, several platforms, attestations; and broken ones. */
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ContentStore } from '../../../../src/engine/content/store.ts';
import type { Progress } from '../../../../src/engine/images/types.ts';
import { MediaType, type Platform } from '../../../../src/engine/oci/image-spec.ts';
import { makeImageRoom, type TestRoom } from '../../../support/image-room.ts';
import { indexOf, sha256, syntheticImage, type SyntheticImage } from '../../../support/synthetic-image.ts';
import { memberOf, tarOf, type Member } from '../../../support/tar-builder.ts';

let room: TestRoom;
let image: SyntheticImage;
let arm: SyntheticImage;
beforeEach(async () => {
  room = await makeImageRoom();
  // Does not compress: its blob is one that is spooled.
  const large = {
    a: Buffer.concat(Array.from({ length: 13_000 }, (_, at) => Buffer.from(sha256(String(at)).slice(7), 'hex'))),
  };
  image = await syntheticImage([large, { b: '2' }], { oci: true, architecture: 'amd64' });
  arm = await syntheticImage([large, { c: 'arm' }], { oci: true, architecture: 'arm64' });
});
afterEach(async () => {
  await room[Symbol.asyncDispose]();
});

type Entry = Readonly<Record<string, unknown>>;

const blob = (bytes: Buffer): Member => ({ name: `blobs/sha256/${sha256(bytes).slice(7)}`, data: bytes });
const blobsOf = (...images: readonly SyntheticImage[]): readonly Member[] =>
  images.flatMap(({ config, manifest, layers }) => [config, manifest, ...layers.map((layer) => layer.blob)].map(blob));
const named = (name: string): Entry => ({ annotations: { 'io.containerd.image.name': name } });

function entryOf(bytes: Buffer, mediaType: string, more: Entry = {}): Entry {
  return { mediaType, size: bytes.length, digest: sha256(bytes), ...more };
}

function imageEntry({ manifest }: SyntheticImage, more: Entry = {}): Entry {
  return entryOf(manifest, MediaType.ociManifest, more);
}

function index(entries: readonly Entry[]): Member {
  return { name: 'index.json', data: JSON.stringify({ schemaVersion: 2, manifests: entries }) };
}

async function load(
  members: readonly Member[] | Buffer,
  platform: Platform | null = null,
): Promise<readonly (string | undefined)[]> {
  const shown: Progress[] = [];
  const bytes = Buffer.isBuffer(members) ? members : tarOf(members);
  await room.images.load(Readable.from([bytes]), {
    quiet: true,
    platform,
    progress: (record) => void shown.push(record),
    signal: new AbortController().signal,
  });
  return shown.map(({ stream }) => stream);
}

const AMD64 = { os: 'linux', architecture: 'amd64' };
const ARM64 = { os: 'linux', architecture: 'arm64' };

describe('load of layouts', () => {
  const both = (): readonly Member[] => {
    const inner = indexOf(
      [
        { image, platform: AMD64 },
        { image: arm, platform: ARM64 },
      ],
      true,
    );
    return [index([entryOf(inner.bytes, inner.mediaType, named('docker.io/library/m:1'))]), blob(inner.bytes)];
  };

  it('takes of an index what suits the machine, or what is asked for', async () => {
    expect(await load([...both(), ...blobsOf(image, arm)])).toEqual(['Loaded image: m:1\n']);
    expect(room.images.get('m:1').id).toBe(image.id);
    await load([...both(), ...blobsOf(arm)], ARM64);
    expect(room.images.get('m:1').id).toBe(arm.id);
    await expect(load([...both(), ...blobsOf(arm)], { os: 'linux', architecture: 's390x' })).rejects.toThrow(
      'no matching manifest for linux/s390x',
    );
  });

  it('goes through indexes in indexes, not through attestations', async () => {
    const attestation = entryOf(Buffer.from('{}'), MediaType.ociManifest, {
      platform: { os: 'unknown', architecture: 'unknown' },
      annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
    });
    const wrap = (entries: readonly Entry[]): Buffer =>
      Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: entries }));
    const inner = wrap([imageEntry(image), attestation]);
    const middle = wrap([entryOf(inner, MediaType.ociIndex)]);
    const top = index([entryOf(middle, MediaType.ociIndex, named('n:1')), attestation]);
    expect(await load([top, blob(middle), blob(inner), ...blobsOf(image)])).toEqual(['Loaded image: n:1\n']);
    let deep = inner;
    const many = Array.from({ length: 9 }, () => (deep = wrap([entryOf(deep, MediaType.ociIndex)])));
    const deepest = index([entryOf(deep, MediaType.ociIndex)]);
    await expect(load([deepest, ...[inner, ...many].map(blob), ...blobsOf(image)])).rejects.toThrow(
      'nested too deeply',
    );
  });

  it('knows a name for several platforms, several names for an image, and images without a name', async () => {
    const entries = [
      imageEntry(arm, { ...named('p:1'), platform: ARM64 }),
      imageEntry(image, { ...named('p:1'), platform: AMD64 }),
      imageEntry(image, named('q:1')),
    ];
    expect(await load([index(entries), ...blobsOf(image, arm)])).toEqual([
      'Loaded image: p:1\n',
      'Loaded image: q:1\n',
    ]);
    expect(room.images.get('p:1').id).toBe(image.id);
    expect(room.images.find(arm.id)).toBeNull();
    const nameless = [imageEntry(image, { platform: AMD64 }), imageEntry(arm, { platform: ARM64 })];
    expect(await load([index(nameless), ...blobsOf(image, arm)])).toEqual([`Loaded image ID: ${image.id}\n`]);
    expect(await load([index([imageEntry(arm, { platform: ARM64 })]), ...blobsOf(arm)])).toEqual([
      `Loaded image ID: ${arm.id}\n`,
    ]);
  });

  it('keeps the manifest of a layout that is a docker archive, too', async () => {
    const item = (of: SyntheticImage, tag: string): object => ({
      Config: blob(of.config).name,
      RepoTags: [tag],
      Layers: of.layers.map((layer) => blob(layer.blob).name),
    });
    const manifest = { name: 'manifest.json', data: JSON.stringify([item(image, 'a:1'), item(arm, 'b:1')]) };
    const broken = entryOf(arm.manifest.subarray(1), MediaType.ociManifest);
    expect(await load([index([imageEntry(image), broken]), manifest, ...blobsOf(image, arm)])).toEqual([
      'Loaded image: a:1\n',
      'Loaded image: b:1\n',
    ]);
    const { blobs } = await room.files();
    expect(blobs).toContain(image.digest.slice(7));
    expect(blobs).not.toContain(arm.digest.slice(7));
    const filtered = [manifest, ...blobsOf(image, arm)];
    expect(await load(filtered, ARM64)).toEqual(['Loaded image: b:1\n']);
    await expect(load(filtered, { os: 'linux', architecture: 's390x' })).rejects.toThrow(
      'no image of the archive is for platform linux/s390x',
    );
  });

  it('does not store again what is there', async () => {
    room.registry.add('library/r', '1', image);
    await room.pull('r:1');
    const before = await room.files();
    await load([index([imageEntry(image, named('s:1'))]), ...blobsOf(image)]);
    // Plain layers as dockerd saves them: the compressed ones stay.
    const plain = { ...image, layers: image.layers.map((layer) => ({ ...layer, blob: layer.tar })) };
    const item = {
      Config: 'config.json',
      RepoTags: ['t:1'],
      Layers: plain.layers.map((layer) => blob(layer.blob).name),
    };
    const docker = [
      { name: 'config.json', data: image.config },
      ...plain.layers.map((layer) => blob(layer.blob)),
      { name: 'manifest.json', data: JSON.stringify([item]) },
    ];
    await load(docker);
    expect((await room.files()).blobs.toSorted()).toEqual(before.blobs.toSorted());
    expect(room.images.get('s:1').tags).toEqual(['r:1', 's:1', 't:1']);
    // A new image on the same layers, too.
    const other = Buffer.from(image.config.toString().replace('/bin/sh', '/bin/other'));
    await load(docker.map((member) => (member.name === 'config.json' ? { ...member, data: other } : member)));
    expect((await room.files()).blobs.toSorted()).toEqual([...before.blobs, sha256(other).slice(7)].toSorted());
  });

  it('brings back a blob that its image has lost', async () => {
    const archive = [index([imageEntry(image, named('u:1'))]), ...blobsOf(image)];
    await load(archive);
    const lost = image.layers[0]?.digest ?? image.digest;
    await room.content.remove(lost);
    await load(archive);
    expect((await room.files()).blobs).toContain(lost.slice(7));
  });

  it('links an image to the parent that came with it', async () => {
    const step = { created: '2026-01-02T03:04:05Z', created_by: 'layer 0' };
    const config = (steps: readonly object[], layers: readonly SyntheticImage['layers'][number][]): Buffer =>
      Buffer.from(
        JSON.stringify({
          architecture: 'amd64',
          os: 'linux',
          config: {},
          rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
          history: steps,
        }),
      );
    const parent = config([step], image.layers.slice(0, 1));
    const child = config([step, { created_by: 'layer 1' }], image.layers);
    const stranger = config([{ created_by: 'other' }, {}], image.layers);
    const archiveOf = (bytes: Buffer): readonly Member[] => {
      const items = [
        { Config: 'p', RepoTags: ['p:1'], Layers: ['0'] },
        { Config: 'c', RepoTags: ['c:1'], Layers: ['0', '1'], Parent: sha256(parent) },
      ];
      return [
        { name: 'manifest.json', data: JSON.stringify(items) },
        { name: 'p', data: parent },
        { name: 'c', data: bytes },
        ...image.layers.map((layer, at) => ({ name: String(at), data: layer.blob })),
      ];
    };
    await load(archiveOf(child));
    expect(room.images.get('c:1').parent).toBe(sha256(parent));
    await expect(load(archiveOf(stranger))).rejects.toThrow(
      `image ${sha256(parent)} is not a valid parent for ${sha256(stranger)}`,
    );
  });
});

describe('load of archives from before manifest.json', () => {
  const version = (name: string, config: object, at: number): readonly Member[] => [
    { name: `${name}/VERSION`, data: '1.0' },
    { name: `${name}/json`, data: JSON.stringify(config) },
    { name: `${name}/layer.tar`, data: image.layers[at]?.tar ?? '' },
  ];
  const step = { created: '2016-01-02T03:04:05Z', container_config: { Cmd: ['/bin/sh', '-c', 'true'] } };
  const top = { id: 'top', parent: 'base', os: 'linux', architecture: 'amd64', config: { Cmd: ['x'] }, ...step };
  const old = (): readonly Member[] => [
    { name: 'repositories', data: JSON.stringify({ old: { '1': 'top' }, 'localhost:5000/o': { '2': 'top' } }) },
    ...version('top', top, 1),
    ...version('base', { id: 'base', os: 'linux', ...step }, 0),
  ];
  const instead = (name: string, data: Buffer | string): readonly Member[] =>
    old().map((member) => (member.name === name ? { ...member, data } : member));

  it('makes of them what dockerd makes', async () => {
    expect(await load(old())).toEqual(['Loaded image: old:1\n', 'Loaded image: localhost:5000/o:2\n']);
    const { id, config } = room.images.get('old:1');
    const history = { created: '2016-01-02T03:04:05Z', created_by: '/bin/sh -c true' };
    expect(config).toMatchObject({
      config: { Cmd: ['x'] },
      rootfs: { diff_ids: image.layers.map(({ diffId }) => diffId) },
      history: [history, history],
    });
    const keys = Object.keys(JSON.parse((await room.content.read(id)).toString()) as object);
    expect(keys).toEqual(['architecture', 'config', 'container_config', 'created', 'history', 'os', 'rootfs']);
  });

  it.each<[string, () => readonly Member[], string]>([
    ['a version that is not there', () => old().slice(0, 4), 'invalid target ID: base'],
    ['a layer that is not there', () => old().slice(0, -1), 'base/layer.tar is missing'],
    ['parents in a circle', () => instead('base/json', '{"parent":"top"}'), 'parents are in a circle'],
    ['what is no JSON', () => instead('top/json', '['), 'top/json is not what it must be'],
    ['names that are none', () => instead('repositories', '{"a":1}'), 'repositories is not what it must be'],
    [
      'a compressed layer',
      () => instead('top/layer.tar', image.layers[1]?.blob ?? ''),
      'compressed layers are not supported',
    ],
  ])('refuses %s', async (_, members, message) => {
    await expect(load(members())).rejects.toThrow(message);
    expect(await room.files()).toEqual({ blobs: [], ingests: [] });
  });
});

describe('load of broken layouts', () => {
  it.each<[string, () => readonly Member[], RegExp]>([
    [
      'a layer that is another',
      () =>
        blobsOf(image).map((member) =>
          member.name === blob(image.layers[1]?.blob ?? image.config).name
            ? { ...member, data: Buffer.from('other') }
            : member,
        ),
      /^blob sha256:.* of the archive is damaged$/,
    ],
    [
      'a config that is another',
      () => blobsOf(image).map((member) => (member.data === image.config ? { ...member, data: '{}' } : member)),
      /damaged$/,
    ],
    ['a missing layer', () => blobsOf(image).slice(0, -1), /^invalid archive: blobs\/sha256\/.* is missing$/],
    ['a missing manifest', () => [], /is missing$/],
  ])('%s', async (_, blobs, message) => {
    await expect(load([index([imageEntry(image, named('x:1'))]), ...blobs()])).rejects.toThrow(message);
    expect(await room.files()).toEqual({ blobs: [], ingests: [] });
    expect(room.layerTable.all()).toEqual([]);
  });

  it('what is no image, layers of unknown types', async () => {
    const change = (from: string, to: string): SyntheticImage => {
      const manifest = Buffer.from(image.manifest.toString().replace(from, to));
      return { ...image, manifest, digest: sha256(manifest) };
    };
    const chart = change(MediaType.ociConfig, 'application/vnd.cncf.helm.config.v1+json');
    await expect(load([index([imageEntry(chart)]), ...blobsOf(chart)])).rejects.toThrow(
      'is not an image: its config is of type "application/vnd.cncf.helm.config.v1+json"',
    );
    const strange = change(MediaType.ociLayerGzip, `${MediaType.ociLayerGzip}+encrypted`);
    await expect(load([index([imageEntry(strange)]), ...blobsOf(strange)])).rejects.toThrow('unsupported media type');
    const sparse = {
      name: 'a',
      pax: { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0' },
      data: Buffer.alloc(512, '0\n'),
    };
    await expect(load([sparse])).rejects.toThrow('sparse files are not supported');
    await expect(load([{ name: 'manifest.json', data: 'null' }])).rejects.toThrow('manifest cannot be null');
    expect(await room.files()).toEqual({ blobs: [], ingests: [] });
  });

  it('an archive cut anywhere leaves nothing, and the whole one loads after it', async () => {
    const whole = tarOf([index([imageEntry(image, named('x:1'))]), ...blobsOf(image)]);
    const end = whole.length - 1024;
    const last = memberOf(blob(image.layers[1]?.blob ?? image.config)).length;
    const cuts = [1, 511, 513, 700, 1024, 2000, Math.floor(end / 2), end - last, end - last + 512];
    for (const cut of cuts) {
      await expect(load(whole.subarray(0, cut)), `cut at ${String(cut)}`).rejects.toThrow(
        /unexpected EOF|is missing|does not contain a manifest.json|invalid tar header/,
      );
      expect(await room.files()).toEqual({ blobs: [], ingests: [] });
    }
    expect(await load(whole)).toEqual(['Loaded image: x:1\n']);
  });

  it('a full disk leaves nothing, at whichever write', async () => {
    const archive = tarOf([index([imageEntry(image, named('x:1'))]), ...blobsOf(image)]);
    for (const step of ['draft', 'write', 'publish', 'put'] as const) {
      await room[Symbol.asyncDispose]();
      room = await makeImageRoom({ wrapContent: (content) => fullAt(content, step) });
      await expect(load(archive), step).rejects.toThrow('no space left on device');
      expect(await room.files(), step).toEqual({ blobs: [], ingests: [] });
      expect(room.layerTable.all()).toEqual([]);
      expect(room.events).toEqual([]);
    }
  });
});

/** A store on a disk that is full from some step on. */
function fullAt(content: ContentStore, step: 'draft' | 'write' | 'publish' | 'put'): ContentStore {
  const full = (): never => {
    throw Object.assign(new Error('write: no space left on device'), { code: 'ENOSPC' });
  };
  return new Proxy(content, {
    get(target, name): unknown {
      const own = Reflect.get(target, name, target) as unknown;
      if (typeof own !== 'function') return own;
      if (name === 'put' && step === 'put') return full;
      if (name !== 'draft' || step === 'put') return own.bind(target) as unknown;
      return async () => {
        if (step === 'draft') full();
        const draft = await target.draft();
        // Every write to this device fails as on a full disk.
        if (step === 'write') return { ...draft, path: '/dev/full', [Symbol.asyncDispose]: draft[Symbol.asyncDispose] };
        return { path: draft.path, publish: full, [Symbol.asyncDispose]: async () => draft[Symbol.asyncDispose]() };
      };
    },
  });
}
