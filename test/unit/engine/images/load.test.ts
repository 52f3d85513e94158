import { spawnSync } from 'node:child_process';
import { Readable } from 'node:stream';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Progress } from '../../../../src/engine/images/types.ts';
import { MediaType } from '../../../../src/engine/oci/image-spec.ts';
import { makeImageRoom, type TestRoom } from '../../../support/image-room.ts';
import { sha256, syntheticImage, type SyntheticImage } from '../../../support/synthetic-image.ts';

type Entry = { readonly name: string; readonly bytes: Buffer } | { readonly name: string; readonly link: string };

let room: TestRoom;
let image: SyntheticImage;
beforeEach(async () => {
  room = await makeImageRoom();
  image = await syntheticImage([{ a: Buffer.alloc(400_000, 'a') }, { b: '2' }], { format: 'none' });
});
afterEach(async () => {
  await room[Symbol.asyncDispose]();
});

async function archiveOf(entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack();
  const chunks: Buffer[] = [];
  const done = (async () => {
    for await (const chunk of archive as AsyncIterable<Buffer>) chunks.push(chunk);
  })();
  for (const entry of entries) {
    if ('bytes' in entry) archive.entry({ name: entry.name }, entry.bytes);
    else archive.entry({ name: entry.name, type: 'symlink', linkname: entry.link });
  }
  archive.finalize();
  await done;
  return Buffer.concat(chunks);
}

/** As `docker save` of 20.10 writes it. */
function dockerEntries(of: SyntheticImage, tags: readonly string[] | null = ['zz:1']): Entry[] {
  const config = `${of.id.slice(7)}.json`;
  const layers = of.layers.map((layer, index) => ({ name: `${String(index)}aa/layer.tar`, bytes: layer.tar }));
  const manifest = [{ Config: config, RepoTags: tags, Layers: layers.map(({ name }) => name) }];
  return [
    { name: config, bytes: of.config },
    ...layers,
    { name: 'manifest.json', bytes: Buffer.from(JSON.stringify(manifest)) },
  ];
}

function ociEntries(of: SyntheticImage, annotations: Readonly<Record<string, string>>): Entry[] {
  const blob = (bytes: Buffer): Entry => ({ name: `blobs/sha256/${sha256(bytes).slice(7)}`, bytes });
  const entry = { mediaType: MediaType.ociManifest, size: of.manifest.length, digest: of.digest, annotations };
  return [
    { name: 'oci-layout', bytes: Buffer.from('{"imageLayoutVersion":"1.0.0"}') },
    { name: 'index.json', bytes: Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [entry] })) },
    ...[of.config, of.manifest, ...of.layers.map((layer) => layer.blob)].map(blob),
  ];
}

async function load(bytes: Buffer | readonly Entry[], quiet = true): Promise<readonly Progress[]> {
  const shown: Progress[] = [];
  const archive = Buffer.isBuffer(bytes) ? bytes : await archiveOf(bytes);
  await room.images.load(Readable.from(chunksOf(archive)), {
    quiet,
    progress: (record) => void shown.push(record),
    signal: new AbortController().signal,
  });
  return shown;
}

function* chunksOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}

describe('load', () => {
  it('loads what docker saved, in whatever order it lies', async () => {
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(dockerEntries(image), { minLength: 4, maxLength: 4 }), async (entries) => {
        expect(await load(entries)).toEqual([{ stream: 'Loaded image: zz:1\n' }]);
        expect(room.images.get('zz:1').id).toBe(image.id);
        await room.images.remove('zz:1', { force: false, prune: true });
        expect(await room.files()).toEqual({ blobs: [], ingests: [] });
      }),
      { numRuns: 8 },
    );
  });

  it('shows layers unless quiet', async () => {
    const shown = await load(dockerEntries(image), false);
    const [first, second] = image.layers;
    expect(shown).toContainEqual({
      status: 'Loading layer',
      id: first?.diffId.slice(7, 19),
      current: first?.tar.length,
      total: first?.tar.length,
    });
    expect(shown.filter(({ id }) => id === second?.diffId.slice(7, 19)).length).toBeGreaterThan(0);
    expect(shown.at(-1)).toEqual({ stream: 'Loaded image: zz:1\n' });
    expect(room.events.map(({ action, actorId }) => [action, actorId])).toEqual([['load', image.id]]);
  });

  it.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ])('reads %s', async (_, compress) => {
    expect(await load(compress(await archiveOf(dockerEntries(image))))).toEqual([{ stream: 'Loaded image: zz:1\n' }]);
  });

  it.each(['xz', 'bzip2'])('reads %s with the host’s program', async (program) => {
    const { status, stdout } = spawnSync(program, ['-c'], { input: await archiveOf(dockerEntries(image)) });
    if (status !== 0) {
      console.warn(`skipped: ${program} is not installed`);
      return;
    }
    expect(await load(stdout)).toEqual([{ stream: 'Loaded image: zz:1\n' }]);
    await expect(load(stdout.subarray(0, 300))).rejects.toThrow(`${program}: `);
  });

  it('names images without a tag by id', async () => {
    expect(await load(dockerEntries(image, null))).toEqual([{ stream: `Loaded image ID: ${image.id}\n` }]);
    expect(room.images.get(image.id).tags).toEqual([]);
  });

  it('says so when a name leaves another image', async () => {
    const other = await syntheticImage([{ c: '3' }], { format: 'none' });
    await load(dockerEntries(other));
    expect(await load(dockerEntries(image))).toEqual([
      { stream: `The image zz:1 already exists, renaming the old one with ID ${other.id} to empty string\n` },
      { stream: 'Loaded image: zz:1\n' },
    ]);
    expect(room.images.get(other.id).tags).toEqual([]);
  });

  it('follows links to layers', async () => {
    const twice = await syntheticImage([{ a: '1' }, { a: '1' }], { format: 'none' });
    const entries = dockerEntries(twice).map((entry) =>
      entry.name === '1aa/layer.tar' ? { name: entry.name, link: '../0aa/layer.tar' } : entry,
    );
    expect(await load(entries)).toEqual([{ stream: 'Loaded image: zz:1\n' }]);
  });

  it('loads an OCI layout by its annotations and keeps its manifest', async () => {
    const oci = await syntheticImage([{ a: 'x' }], { oci: true, format: 'gzip' });
    expect(await load(ociEntries(oci, { 'io.containerd.image.name': 'docker.io/library/q:2' }))).toEqual([
      { stream: 'Loaded image: q:2\n' },
    ]);
    expect(room.images.get('q:2').id).toBe(oci.id);
    expect(await room.content.read(oci.digest)).toEqual(oci.manifest);
    expect(await load(ociEntries(oci, { 'org.opencontainers.image.ref.name': 'latest' }))).toEqual([
      { stream: `Loaded image ID: ${oci.id}\n` },
    ]);
  });

  it('keeps nothing of files that belong to no image', async () => {
    const junk = { name: '../../../etc/big', bytes: Buffer.alloc(600_000, 'j') };
    await load([junk, ...dockerEntries(image), { name: '/etc/passwd', link: '../../../../etc/passwd' }]);
    expect((await room.files()).blobs).not.toContain(sha256(junk.bytes).slice(7));
  });
});

describe('load of what is no image', () => {
  const processing = 'Error processing tar file(exit status 1): ';
  it.each<[string, () => Promise<Buffer> | Buffer, string | RegExp]>([
    ['garbage', () => Buffer.alloc(2000, 'x'), `${processing}archive/tar: invalid tar header`],
    ['nothing', () => Buffer.alloc(0), 'invalid archive: does not contain a manifest.json'],
    [
      'another tar',
      async () => archiveOf([{ name: 'a', bytes: Buffer.from('x') }]),
      'invalid archive: does not contain a manifest.json',
    ],
    [
      'half an archive',
      async () => (await archiveOf(dockerEntries(image))).subarray(0, 300_000),
      `${processing}unexpected EOF`,
    ],
    [
      'half a gzip',
      async () => gzipSync(await archiveOf(dockerEntries(image))).subarray(0, 500),
      `${processing}unexpected EOF`,
    ],
    [
      'half an xz',
      () => Buffer.from('fd377a585a000000', 'hex'),
      /xz: |unsupported compression: xz: install the program/,
    ],
    [
      'a missing layer',
      async () => archiveOf(dockerEntries(image).filter(({ name }) => !name.startsWith('0aa'))),
      'invalid archive: 0aa/layer.tar is missing',
    ],
    [
      'links in a circle',
      async () => archiveOf([{ name: 'manifest.json', link: 'manifest.json' }]),
      'invalid archive: does not contain a manifest.json',
    ],
    [
      'a manifest that is none',
      async () => archiveOf([{ name: 'manifest.json', bytes: Buffer.from('{}') }]),
      'invalid manifest.json',
    ],
    ['a bad name', async () => archiveOf(dockerEntries(image, ['A:1'])), 'must be lowercase'],
    ['a name without tag', async () => archiveOf(dockerEntries(image, ['zz'])), 'invalid tag "zz"'],
  ])('%s', async (_, bytes, message) => {
    await expect(load(await bytes())).rejects.toThrow(message);
    expect(await room.files()).toEqual({ blobs: [], ingests: [] });
    expect(room.layerTable.all()).toEqual([]);
    expect(room.events).toEqual([]);
  });

  it('refuses a layer that is not the config’s', async () => {
    const lie = await syntheticImage([{ a: '1' }], { format: 'none', diffIds: [`sha256:${'1'.repeat(64)}`] });
    await expect(load(dockerEntries(lie))).rejects.toThrow(
      `invalid diffID for layer 0: expected "sha256:${'1'.repeat(64)}", got "${lie.layers[0]?.diffId ?? ''}"`,
    );
    const short = await syntheticImage([{ a: '1' }], { format: 'none', diffIds: [] });
    await expect(load(dockerEntries(short))).rejects.toThrow(
      'invalid manifest, layers length mismatch: expected 1, got 0',
    );
    expect(await room.files()).toEqual({ blobs: [], ingests: [] });
  });

  it('stops when the client goes', async () => {
    const client = new AbortController();
    const source = new Readable({ read: () => undefined });
    source.push((await archiveOf(dockerEntries(image))).subarray(0, 100_000));
    const loading = room.images.load(source, { quiet: true, progress: () => undefined, signal: client.signal });
    client.abort(new Error('client gone'));
    await expect(loading).rejects.toThrow('client gone');
    await expect.poll(async () => room.files()).toEqual({ blobs: [], ingests: [] });
  });
});

describe('import', () => {
  const importTar = async (
    bytes: Buffer,
    options: {
      readonly repository?: string;
      readonly tag?: string;
      readonly message?: string;
      readonly changes?: readonly string[];
    } = {},
  ) =>
    room.images.importTar(Readable.from(chunksOf(bytes)), {
      repository: options.repository ?? null,
      tag: options.tag ?? null,
      message: options.message ?? '',
      changes: options.changes ?? [],
      platform: null,
      signal: new AbortController().signal,
    });

  it('makes an image like dockerd’s', async () => {
    const tar = image.layers[0]?.tar ?? Buffer.alloc(0);
    const id = await importTar(gzipSync(tar), { repository: 'imp', tag: '2', changes: ['CMD ["x"]', 'LABEL a=b'] });
    const view = room.images.get('imp:2');
    expect(view.id).toBe(id);
    expect(view.config).toEqual({
      architecture: 'amd64',
      os: 'linux',
      created: '2026-01-01T00:00:00Z',
      comment: 'Imported from -',
      docker_version: '1.2.3',
      config: { Cmd: ['x'], Labels: { a: 'b' } },
      rootfs: { type: 'layers', diff_ids: [sha256(tar)] },
      history: [{ created: '2026-01-01T00:00:00Z', comment: 'Imported from -' }],
    });
    expect(room.events).toEqual([
      { type: 'image', action: 'tag', actorId: id, attributes: { name: 'imp:2', a: 'b' } },
      { type: 'image', action: 'import', actorId: id, attributes: { name: id, a: 'b' } },
    ]);
    expect(sha256(await room.content.read(id))).toBe(id);
  });

  it('takes a message and needs no name', async () => {
    const id = await importTar(image.layers[1]?.tar ?? Buffer.alloc(0), { message: 'hello' });
    expect(room.images.get(id)).toMatchObject({ tags: [], config: { comment: 'hello' } });
    expect(room.events.map(({ action }) => action)).toEqual(['import']);
  });

  it.each([
    [{ repository: 'AA' }, 'must be lowercase'],
    [{ repository: `aa@sha256:${'0'.repeat(64)}` }, 'cannot import digest reference'],
    [{ repository: 'aa', tag: '^' }, 'invalid tag format'],
    [{ changes: ['FOO'] }, 'FOO is not a valid change command'],
  ])('refuses %j before it reads a byte', async (options, message) => {
    await expect(importTar(Buffer.alloc(100_000), options)).rejects.toThrow(message);
    expect(await room.files()).toEqual({ blobs: [], ingests: [] });
  });

  it('leaves nothing of what cannot be unpacked', async () => {
    room.layers.onUnpack = async () => {
      throw new Error('archive/tar: invalid tar header');
    };
    await expect(importTar(Buffer.alloc(2000, 'x'))).rejects.toThrow('archive/tar: invalid tar header');
    await expect(importTar(Buffer.from('fd377a585a000000', 'hex'))).rejects.toThrow('xz');
    expect(await room.files()).toEqual({ blobs: [], ingests: [] });
    expect(room.events).toEqual([]);
  });
});
