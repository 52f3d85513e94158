import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UnauthorizedError } from '../../../../src/base/errors.ts';
import { shortId } from '../../../../src/base/ids.ts';
import type { Progress } from '../../../../src/engine/images/types.ts';
import { MediaType } from '../../../../src/engine/oci/image-spec.ts';
import { parseReference } from '../../../../src/engine/oci/reference.ts';
import { makeImageRoom, type TestRoom } from '../../../support/image-room.ts';
import { sha256, syntheticImage, type SyntheticImage } from '../../../support/synthetic-image.ts';

let room: TestRoom;
let image: SyntheticImage;
beforeEach(async () => {
  room = await makeImageRoom();
  image = await syntheticImage([{ a: 'first' }, { b: 'second' }]);
  room.registry.add('lib/x', '1', image);
});
afterEach(async () => {
  await room[Symbol.asyncDispose]();
});

async function push(reference: string, signal = new AbortController().signal): Promise<readonly Progress[]> {
  const shown: Progress[] = [];
  const progress = (record: Progress): void => void shown.push(record);
  await room.images.push(reference, { platform: null, auth: null, progress, signal });
  return shown;
}

/** Without the records that only move a bar. */
function linesOf(shown: readonly Progress[]): readonly string[] {
  return shown
    .filter(({ current, pushed }) => current === undefined && pushed === undefined)
    .map(({ status, id }) => (id === undefined ? (status ?? '') : `${id}: ${status ?? ''}`));
}

const idOf = (index: number): string => shortId(image.layers[index]?.diffId ?? '');
const resolve = async (name: string): ReturnType<TestRoom['registry']['resolve']> =>
  room.registry.resolve(parseReference(name));

async function archiveOf(entries: readonly { readonly name: string; readonly bytes: Buffer }[]): Promise<Buffer> {
  const archive = pack();
  for (const { name, bytes } of entries) archive.entry({ name }, bytes);
  archive.finalize();
  return Buffer.concat((await Readable.from(archive).toArray()) as Buffer[]);
}

/** Loads it as `docker save` of 20.10 writes it: plain layers, no manifest. */
async function loadPlain(of: SyntheticImage, tag: string): Promise<void> {
  const layers = of.layers.map(({ tar }, index) => ({ name: `${String(index)}/layer.tar`, bytes: tar }));
  const manifest = [{ Config: 'c.json', RepoTags: [tag], Layers: layers.map(({ name }) => name) }];
  const archive = await archiveOf([
    { name: 'c.json', bytes: of.config },
    ...layers,
    { name: 'manifest.json', bytes: Buffer.from(JSON.stringify(manifest)) },
  ]);
  const options = { quiet: true, progress: () => undefined, signal: new AbortController().signal };
  await room.images.load(Readable.from([archive]), options);
}

describe('push', () => {
  it('says what dockerd says, and keeps the manifest byte for byte', async () => {
    await room.pull('reg.test/lib/x:1');
    room.images.tag('reg.test/lib/x:1', 'other.test/team/app', '2');
    const shown = await push('other.test/team/app:2');
    expect(linesOf(shown)).toEqual([
      'The push refers to repository [other.test/team/app]',
      `${idOf(1)}: Preparing`,
      `${idOf(0)}: Preparing`,
      expect.stringMatching(/: Pushed$/),
      expect.stringMatching(/: Pushed$/),
      `2: digest: ${image.digest} size: ${String(image.manifest.length)}`,
    ]);
    expect(shown.at(-1)).toEqual({ pushed: { tag: '2', digest: image.digest, sizeBytes: image.manifest.length } });
    expect((await resolve('other.test/team/app:2')).bytes.equals(image.manifest)).toBe(true);
    expect(room.images.get('other.test/team/app:2').digests).toContain(`other.test/team/app@${image.digest}`);
    expect(room.events.filter(({ action }) => action === 'push')).toEqual([
      { type: 'image', action: 'push', actorId: 'other.test/team/app:2', attributes: { name: 'other.test/team/app' } },
    ]);
  });

  it('sends nothing that is there, and mounts what another repository has', async () => {
    await room.pull('reg.test/lib/x:1');
    room.images.tag('reg.test/lib/x:1', 'reg.test/lib/x', '2');
    expect(linesOf(await push('reg.test/lib/x:2')).slice(3, 5)).toEqual([
      `${idOf(1)}: Layer already exists`,
      `${idOf(0)}: Layer already exists`,
    ]);
    room.images.tag('reg.test/lib/x:1', 'reg.test/team/app', null);
    expect(linesOf(await push('reg.test/team/app:latest')).slice(3, 5)).toEqual([
      `${idOf(1)}: Mounted from lib/x`,
      `${idOf(0)}: Mounted from lib/x`,
    ]);
    // The config alone.
    expect(room.registry.uploads).toEqual([image.id]);
  });

  it('pushes all tags of a repository when none is said', async () => {
    await room.pull('reg.test/lib/x:1');
    for (const tag of ['2', '3']) room.images.tag('reg.test/lib/x:1', 'new.test/app', tag);
    const ends = (await push('new.test/app')).flatMap(({ pushed }) => pushed?.tag ?? []);
    expect(ends).toEqual(['2', '3']);
    expect((await room.registry.tags(parseReference('new.test/app'))).toSorted()).toEqual(['2', '3']);
  });

  it('refuses in Docker’s words', async () => {
    await room.pull('reg.test/lib/x:1');
    const refusals = [
      ['reg.test/none:1', 'An image does not exist locally with the tag: reg.test/none'],
      ['none', 'An image does not exist locally with the tag: none'],
      ['reg.test/lib/x:2', 'tag does not exist: reg.test/lib/x:2'],
      [`reg.test/lib/x@${image.digest}`, 'cannot push a digest reference'],
    ] as const;
    for (const [reference, text] of refusals) await expect(push(reference)).rejects.toThrow(text);
    const windows = { os: 'windows', architecture: 'amd64' };
    const shown: Progress[] = [];
    const options = {
      platform: windows,
      auth: null,
      progress: (record: Progress) => void shown.push(record),
      signal: new AbortController().signal,
    };
    await expect(room.images.push('reg.test/lib/x:1', options)).rejects.toMatchObject({
      kind: 'not-found',
      message:
        'image with reference reg.test/lib/x:1 was found but its platform (linux/amd64) does not match the specified ' +
        'platform (windows/amd64)',
    });
    expect(shown).toEqual([]);
  });

  it('has no tags to push where only a digest is known', async () => {
    await room.pull(`reg.test/lib/x@${image.digest}`);
    await expect(push('reg.test/lib/x')).rejects.toThrow('no tags to push for reg.test/lib/x');
  });

  it('compresses a plain layer once and for all', async () => {
    const plain = await syntheticImage([{ a: 'x'.repeat(5000) }, { b: '2' }], { format: 'none' });
    await loadPlain(plain, 'new.test/plain:1');
    await push('new.test/plain:1');
    const { bytes, descriptor } = await resolve('new.test/plain:1');
    expect(descriptor.mediaType).toBe(MediaType.dockerManifest);
    const { config, layers } = JSON.parse(bytes.toString('utf8')) as {
      config: { digest: string; mediaType: string };
      layers: { digest: string; mediaType: string; size: number }[];
    };
    expect(config).toMatchObject({ digest: plain.id, mediaType: MediaType.dockerConfig });
    expect(layers.map(({ mediaType }) => mediaType)).toEqual([MediaType.dockerLayerGzip, MediaType.dockerLayerGzip]);
    const kept = await room.files();
    expect(kept.blobs.toSorted()).toEqual(
      [config, ...layers].map(({ digest }) => digest.slice('sha256:'.length)).toSorted(),
    );
    for (const [index, { digest }] of layers.entries()) {
      expect(sha256(gunzipSync(await room.content.read(digest as never)))).toBe(plain.layers[index]?.diffId);
    }
    room.images.tag('new.test/plain:1', 'new.test/plain', '2');
    const again = linesOf(await push('new.test/plain:2'));
    expect(again.filter((line) => line.endsWith('Layer already exists'))).toHaveLength(2);
    expect((await resolve('new.test/plain:2')).bytes.equals(bytes)).toBe(true);
    // What was pushed is what comes back.
    await room.images.remove(plain.id, { force: true, prune: true });
    await room.pull('new.test/plain:1');
    expect(room.images.get('new.test/plain:1').id).toBe(plain.id);
  });

  it('pushes zstd layers as OCI, also of an image without a manifest', async () => {
    const zstd = await syntheticImage([{ a: 'zstd' }], { format: 'zstd', oci: true });
    room.registry.add('lib/z', '1', zstd);
    await room.pull('reg.test/lib/z:1');
    await room.content.remove(zstd.digest);
    room.images.tag('reg.test/lib/z:1', 'new.test/z', '1');
    await push('new.test/z:1');
    const { bytes, descriptor } = await resolve('new.test/z:1');
    expect(descriptor.mediaType).toBe(MediaType.ociManifest);
    expect(JSON.parse(bytes.toString('utf8'))).toMatchObject({
      mediaType: MediaType.ociManifest,
      config: { mediaType: MediaType.ociConfig },
      layers: [{ mediaType: MediaType.ociLayerZstd, digest: zstd.layers[0]?.digest }],
    });
  });

  it('keeps the manifest where a blob is only at the registry, and takes another of the same layer where not', async () => {
    const sibling = await syntheticImage([{ a: 'first' }, { c: 'third' }], { format: 'none' });
    room.registry.add('lib/sibling', '1', sibling);
    await room.pull('reg.test/lib/x:1');
    await room.pull('reg.test/lib/sibling:1');
    expect(await room.content.stat(sibling.layers[0]?.digest as never)).toBeNull();
    room.images.tag('reg.test/lib/sibling:1', 'reg.test/near', '1');
    room.images.tag('reg.test/lib/sibling:1', 'far.test/far', '1');
    await push('reg.test/near:1');
    expect((await resolve('reg.test/near:1')).bytes.equals(sibling.manifest)).toBe(true);
    await push('far.test/far:1');
    const { layers } = JSON.parse((await resolve('far.test/far:1')).bytes.toString('utf8')) as {
      layers: { digest: string }[];
    };
    expect(layers[0]?.digest).toBe(image.layers[0]?.digest);
  });

  it('says what to do when nobody has the layer', async () => {
    await room.pull('reg.test/lib/x:1');
    await room.content.remove(image.layers[1]?.digest as never);
    room.images.tag('reg.test/lib/x:1', 'far.test/far', '1');
    await expect(push('far.test/far:1')).rejects.toThrow(`the content of layer ${idOf(1)} is not kept here`);
  });

  it('skips foreign layers', async () => {
    const manifest = JSON.parse(image.manifest.toString('utf8')) as { layers: object[] };
    manifest.layers[0] = { ...manifest.layers[0], urls: ['https://elsewhere.test/blob'] };
    const bytes = Buffer.from(JSON.stringify(manifest));
    room.registry.addManifest('lib/x', 'foreign', bytes, image.manifestMediaType);
    await room.pull('reg.test/lib/x:foreign');
    room.images.tag('reg.test/lib/x:foreign', 'reg.test/lib/x', 'again');
    expect(linesOf(await push('reg.test/lib/x:again'))).toContain(`${idOf(0)}: Skipped foreign layer`);
    expect((await resolve('reg.test/lib/x:again')).bytes.equals(bytes)).toBe(true);
  });

  it('sends a layer once that two clients push', async () => {
    await room.pull('reg.test/lib/x:1');
    for (const tag of ['1', '2']) room.images.tag('reg.test/lib/x:1', 'new.test/app', tag);
    await Promise.all([push('new.test/app:1'), push('new.test/app:2')]);
    const sent = room.registry.uploads.filter((digest) => digest !== image.id);
    expect(sent.toSorted()).toEqual(image.layers.map(({ digest }) => digest).toSorted());
  });

  it('ends with the first failure of the registry, and leaves the image as it was', async () => {
    await room.pull('reg.test/lib/x:1');
    room.images.tag('reg.test/lib/x:1', 'new.test/app', '1');
    room.registry.onPush = async (_reference, digest, { signal }) => {
      if (digest === image.layers[0]?.digest) throw new UnauthorizedError('no basic auth credentials');
      await new Promise((_, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      });
    };
    await expect(push('new.test/app:1')).rejects.toThrow('no basic auth credentials');
    expect(room.images.get('new.test/app:1').digests).toEqual([`reg.test/lib/x@${image.digest}`]);
    expect(room.events.some(({ action }) => action === 'push')).toBe(false);
  });

  it('stops when its client goes', async () => {
    await room.pull('reg.test/lib/x:1');
    room.images.tag('reg.test/lib/x:1', 'new.test/app', '1');
    const gone = new AbortController();
    room.registry.onPush = async (_reference, _digest, { signal }) => {
      gone.abort(new Error('client has gone'));
      signal?.throwIfAborted();
    };
    await expect(push('new.test/app:1', gone.signal)).rejects.toThrow('client has gone');
    await expect(resolve('new.test/app:1')).rejects.toThrow('manifest unknown');
  });
});
