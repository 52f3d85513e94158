import { writeFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { messageOf } from '../../../../src/base/errors.ts';
import { shortId } from '../../../../src/base/ids.ts';
import { MediaType, type Platform } from '../../../../src/engine/oci/image-spec.ts';
import { parseReference } from '../../../../src/engine/oci/reference.ts';
import { makeImageRoom, type TestRoom } from '../../../support/image-room.ts';
import { tarOf } from '../../../support/tar-builder.ts';
import { sha256, syntheticImage, type SyntheticImage } from '../../../support/synthetic-image.ts';

let room: TestRoom;
let base: SyntheticImage;
let other: SyntheticImage;
beforeEach(async () => {
  room = await makeImageRoom();
  base = await syntheticImage([{ a: Buffer.alloc(700_000, 'a') }, { b: '2' }], { format: 'gzip' });
  other = await syntheticImage([{ a: Buffer.alloc(700_000, 'a') }, { c: '3' }], { format: 'gzip', oci: true });
  room.registry.add('library/base', '1', base);
  room.registry.add('library/other', '1', other);
  await room.pull('base:1');
});
afterEach(async () => {
  await room[Symbol.asyncDispose]();
});

const live = (): AbortSignal => new AbortController().signal;

async function save(references: readonly string[], platform: Platform | null = null): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of await room.images.save(references, { platform, signal: live() })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function filesOf(archive: Buffer): Promise<ReadonlyMap<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const parser = extract();
  Readable.from([archive]).pipe(parser);
  for await (const entry of parser) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry as AsyncIterable<Buffer>) chunks.push(chunk);
    if (entry.header.type === 'file') files.set(entry.header.name, Buffer.concat(chunks));
  }
  return files;
}

function json(files: ReadonlyMap<string, Buffer>, name: string): unknown {
  return JSON.parse(files.get(name)?.toString() ?? 'null');
}

const blobName = (digest: string): string => `blobs/sha256/${digest.slice(7)}`;

describe('save', () => {
  it('writes an OCI layout that is a docker archive, with the image’s own manifest', async () => {
    const files = await filesOf(await save(['base:1']));
    const layers = base.layers.map(({ digest }) => blobName(digest));
    expect([...files.keys()]).toEqual([
      'oci-layout',
      'index.json',
      'manifest.json',
      'repositories',
      ...[base.digest, base.id].map(blobName),
      ...layers,
    ]);
    expect(json(files, 'oci-layout')).toEqual({ imageLayoutVersion: '1.0.0' });
    expect(json(files, 'manifest.json')).toEqual([{ Config: blobName(base.id), RepoTags: ['base:1'], Layers: layers }]);
    expect(json(files, 'index.json')).toMatchObject({
      schemaVersion: 2,
      manifests: [
        {
          mediaType: base.manifestMediaType,
          digest: base.digest,
          size: base.manifest.length,
          annotations: {
            'io.containerd.image.name': 'docker.io/library/base:1',
            'org.opencontainers.image.ref.name': '1',
          },
        },
      ],
    });
    expect(json(files, 'repositories')).toEqual({ base: { '1': base.layers[1]?.diffId.slice(7) } });
    for (const [name, bytes] of files) if (name.startsWith('blobs/')) expect(blobName(sha256(bytes))).toBe(name);
  });

  it('sends a shared blob once, the same bytes each time, and loads what it wrote', async () => {
    await room.pull('other:1');
    room.images.tag('base:1', 'base', 'two');
    const archive = await save(['base', 'other:1', 'base:1']);
    expect(await save(['base', 'other:1', 'base:1'])).toEqual(archive);
    const files = await filesOf(archive);
    expect((json(files, 'manifest.json') as { RepoTags: string[] }[]).map(({ RepoTags }) => RepoTags)).toEqual([
      ['base:1', 'base:two'],
      ['other:1'],
    ]);
    const before = await room.files();
    for (const name of ['base:1', 'base:two', 'other:1']) {
      await room.images.remove(name, { force: false, prune: true });
    }
    expect((await room.files()).blobs).toEqual([]);
    await room.images.load(Readable.from([archive]), { quiet: true, progress: () => undefined, signal: live() });
    expect([room.images.get('base:two').id, room.images.get('other:1').id]).toEqual([base.id, other.id]);
    expect((await room.files()).blobs.toSorted()).toEqual(before.blobs.toSorted());
  });

  it('gives images without a name where ids or digests are asked for', async () => {
    const short = base.id.slice(7, 19);
    for (const reference of [base.id, base.id.slice(7), short, `base@${base.digest}`, `sha256:${short}`]) {
      const files = await filesOf(await save([reference]));
      expect(json(files, 'manifest.json')).toMatchObject([{ Config: blobName(base.id), RepoTags: null }]);
      expect(files.has('repositories')).toBe(false);
      expect(json(files, 'index.json')).toMatchObject({ manifests: [{ digest: base.digest }] });
    }
  });

  it('makes a manifest for an image that came without one', async () => {
    const plain = await syntheticImage([{ a: 'plain' }], { format: 'none' });
    await room.images.importTar(Readable.from([plain.layers[0]?.tar ?? Buffer.alloc(0)]), {
      repository: 'imported',
      tag: null,
      message: '',
      changes: [],
      platform: null,
      signal: live(),
    });
    const files = await filesOf(await save(['imported']));
    const index = json(files, 'index.json') as { manifests: { digest: string; mediaType: string }[] };
    const manifest = json(files, blobName(index.manifests[0]?.digest ?? '')) as { layers: unknown };
    expect(index.manifests[0]?.mediaType).toBe(MediaType.dockerManifest);
    expect(manifest.layers).toEqual([
      {
        mediaType: MediaType.dockerLayer,
        digest: plain.layers[0]?.diffId,
        size: plain.layers[0]?.tar.length,
      },
    ]);
  });

  it('gives an image the digest in an archive that it has in a registry, whichever comes first', async () => {
    const tar = base.layers[1]?.tar ?? Buffer.alloc(0);
    const words = { message: '', changes: [], platform: null, signal: live() };
    await room.images.importTar(Readable.from([tar]), { ...words, repository: 'new.test/made', tag: '1' });
    const quiet = { platform: null, auth: null, progress: () => undefined, signal: live() };
    const push = async (name: string): Promise<string> => {
      await room.images.push(name, quiet);
      return (await room.registry.resolve(parseReference(name))).descriptor.digest;
    };
    const pushed = await push('new.test/made:1');
    const archive = await save(['new.test/made:1']);
    expect(json(await filesOf(archive), 'index.json')).toMatchObject({ manifests: [{ digest: pushed }] });
    await room.images.remove('new.test/made:1', { force: false, prune: true });
    await room.images.load(Readable.from([archive]), { ...quiet, quiet: true });
    room.images.tag('new.test/made:1', 'far.test/made', '1');
    expect(await push('far.test/made:1')).toBe(pushed);
    await room.images.remove('far.test/made:1', { force: false, prune: true });
    await room.pull('far.test/made:1');
    expect(room.images.get('far.test/made:1').digests).toContain(`far.test/made@${pushed}`);
  });

  it('tells of each image that was saved, when it was', async () => {
    room.events.length = 0;
    const archive = await room.images.save(['base:1'], { platform: null, signal: live() });
    expect(room.events).toEqual([]);
    for await (const chunk of archive) expect(chunk.length).toBeGreaterThan(0);
    expect(room.events).toMatchObject([{ action: 'save', actorId: base.id, attributes: { name: base.id } }]);
  });

  it('keeps blobs while they are sent', async () => {
    const archive = await room.images.save(['base:1'], { platform: null, signal: live() });
    await room.images.remove('base:1', { force: false, prune: true });
    const chunks: Buffer[] = [];
    for await (const chunk of archive) chunks.push(chunk);
    expect((await filesOf(Buffer.concat(chunks))).size).toBe(8);
    expect((await room.files()).blobs).toEqual([]);
  });

  it('gives all of an image that is removed at any moment meanwhile, or says that there is none', async () => {
    const outcomes = new Set<string>();
    for (let turns = 0; turns < 40; turns += 1) {
      await room.pull('base:1');
      const saving = save(['base:1']).then(
        async (archive) => String((await filesOf(archive)).size),
        (error: unknown) => messageOf(error),
      );
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      await room.images.remove(base.id, { force: true, prune: true });
      outcomes.add(await saving);
      expect((await room.files()).blobs).toEqual([]);
    }
    expect([...outcomes].toSorted()).toEqual(['8', 'reference does not exist']);
  });

  it('lets go of blobs when it is stopped before its first byte', async () => {
    const client = new AbortController();
    await room.images.save(['base:1'], { platform: null, signal: client.signal });
    await room.images.remove('base:1', { force: false, prune: true });
    client.abort(new Error('gone'));
    await expect.poll(async () => (await room.files()).blobs).toEqual([]);
  });

  it('stops reading when the client has gone', async () => {
    const client = new AbortController();
    const archive = await room.images.save(['base:1'], { platform: null, signal: client.signal });
    const reading = (async () => {
      for await (const _chunk of archive) client.abort(new Error('gone'));
    })();
    await expect(reading).rejects.toThrow('gone');
  });

  it.each([
    ['nosuch', 'No such image: nosuch'],
    ['nosuch:1', 'reference does not exist'],
    ['abcdef', 'No such image: abcdef'],
    [`sha256:${'1'.repeat(64)}`, `No such image: sha256:${'1'.repeat(64)}`],
    [`base@sha256:${'1'.repeat(64)}`, 'reference does not exist'],
    ['A', 'must be lowercase'],
  ])('refuses %s before it writes anything', async (reference, message) => {
    await expect(room.images.save(['base:1', reference], { platform: null, signal: live() })).rejects.toThrow(message);
  });

  it('refuses images of another platform than was asked for', async () => {
    const amd64 = { os: 'linux', architecture: 'amd64' };
    const s390x = { os: 'linux', architecture: 's390x' };
    expect((await save(['base:1'], room.images.get('base:1').config)).length).toBeGreaterThan(0);
    const wrong = room.images.get('base:1').config.architecture === 's390x' ? amd64 : s390x;
    await expect(save(['base:1'], wrong)).rejects.toThrow(
      `no suitable export target found for platform linux/${wrong.architecture}`,
    );
  });

  it('breaks off when a blob is not what it was', async () => {
    const digest = base.layers[0]?.digest ?? base.digest;
    const archive = await room.images.save(['base:1'], { platform: null, signal: live() });
    await room.content.remove(digest);
    await expect(
      (async () => {
        for await (const _chunk of archive);
      })(),
    ).rejects.toThrow(digest);
    await expect(save(['base:1'])).rejects.toMatchObject({
      kind: 'data-loss',
      message:
        `image base:1 cannot be saved: the content of layer ${shortId(base.layers[0]?.diffId ?? '')} is not kept here ` +
        'any more: pull or load it again',
    });
    room.images.store.upkeep.addFlaw({ imageId: base.id, subject: digest, kind: 'blob' });
    await expect(save(['base:1'])).rejects.toThrow('was found damaged and is gone: pull or load it again');
  });

  it('breaks off when the disk has changed a blob', async () => {
    const [, second] = base.layers;
    const file = await room.content.pathOf(second?.digest ?? base.digest);
    const archive = await save(['base:1']);
    await writeFile(file, Buffer.alloc(second?.blob.length ?? 0));
    await expect(save(['base:1'])).rejects.toMatchObject({
      kind: 'data-loss',
      message: expect.stringContaining('is damaged: let `moored check --repair` drop it') as string,
    });
    // As the check does.
    await room.content.remove(second?.digest ?? base.digest);
    await room.images.load(Readable.from([archive]), { quiet: true, progress: () => undefined, signal: live() });
    expect(await save(['base:1'])).toEqual(archive);
  });

  it('is whole again when another archive of the image is loaded', async () => {
    await room.content.remove(base.layers[0]?.digest ?? base.digest);
    await room.content.remove(base.id);
    room.images.store.upkeep.addFlaw({ imageId: base.id, subject: base.id, kind: 'blob' });
    const names = base.layers.map((_, index) => `${String(index)}.tar`);
    const plain = tarOf([
      { name: 'manifest.json', data: JSON.stringify([{ Config: 'c.json', RepoTags: ['base:1'], Layers: names }]) },
      { name: 'c.json', data: base.config },
      ...base.layers.map(({ tar }, index) => ({ name: names[index] ?? '', data: tar })),
    ]);
    await room.images.load(Readable.from([plain]), { quiet: true, progress: () => undefined, signal: live() });
    expect(room.images.store.upkeep.flawsOf(base.id)).toEqual([]);
    const files = await filesOf(await save(['base:1']));
    const [kept] = json(files, 'manifest.json') as { Layers: string[] }[];
    expect(kept?.Layers).toEqual([blobName(base.layers[0]?.diffId ?? ''), blobName(base.layers[1]?.digest ?? '')]);
  });
});
