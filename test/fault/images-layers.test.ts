import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, TestEngine } from '../support/engine.ts';
import { pushImage, registryAbsence, startRegistry, type TestRegistry } from '../support/registry.ts';
import { sha256, syntheticImage, tarOf, type SyntheticImage } from '../support/synthetic-image.ts';
import { MediaType } from '../../src/engine/oci/image-spec.ts';

/*
 * Layers that are what their digest says and still no layers: pull, load and import say what is wrong, and keep nothing.
 * And layers in the forms of lazy pulling (estargz, zstd:chunked), which are as good as any other.
 */
const tar = await tarOf({
  'a/': '',
  'a/one': 'x'.repeat(100_000),
  two: Buffer.from(Array.from({ length: 200_000 }, (_, index) => ((index * 2_654_435_761) >>> 11) & 255)),
});
const gzip = gzipSync(tar);
const zstd = zstdCompressSync(tar);

interface Case {
  readonly blob: Buffer;
  /** What is unpacked, where that is not {@link tar}. */
  readonly tar?: Buffer;
  readonly isZstd?: boolean;
  readonly says: RegExp;
  /** The bytes do unpack, to something else than the config says: only an import can take them. */
  readonly isOther?: boolean;
}

const badHeader = flipped(tar, 512 + 5);
const BAD: Readonly<Record<string, Case>> = {
  'gzip cut in the middle': { blob: gzip.subarray(0, gzip.length >> 1), says: /unexpected EOF$/ },
  'gzip without its sum': { blob: gzip.subarray(0, -8), says: /unexpected EOF$/ },
  'gzip with a wrong sum': { blob: flipped(gzip, gzip.length - 6), says: /incorrect data check|checksum/ },
  'gzip with garbage behind': { blob: Buffer.concat([gzip, Buffer.from('garbage!')]), says: /unexpected EOF|header/ },
  'zstd cut in the middle': { blob: zstd.subarray(0, zstd.length >> 1), isZstd: true, says: /unexpected EOF$/ },
  'zstd with a flipped bit': {
    blob: flipped(zstd, zstd.length >> 1),
    isZstd: true,
    says: /don't match image configuration|invalid diffID/,
    isOther: true,
  },
  'zstd with garbage behind': {
    blob: Buffer.concat([zstd, Buffer.from('garbage!')]),
    isZstd: true,
    says: /magic number mismatch/,
  },
  'a tar with a wrong sum, in gzip': { blob: gzipSync(badHeader), tar: badHeader, says: /invalid tar header$/ },
  'a tar with a wrong sum, plain': { blob: badHeader, tar: badHeader, says: /invalid tar header$/ },
  'a tar that is cut': {
    blob: gzipSync(tar.subarray(0, 1500)),
    tar: tar.subarray(0, 1500),
    says: /unexpected EOF$/,
  },
  'no tar': { blob: Buffer.from('hello world'.repeat(100)), says: /invalid tar header$/ },
};
const GOOD: Readonly<Record<string, Case>> = {
  'gzip with zeros behind': { blob: Buffer.concat([gzip, Buffer.alloc(512)]), says: /./ },
  estargz: { blob: estargz(), says: /./ },
  'zstd:chunked': { blob: zstdChunked(), isZstd: true, says: /./ },
};

describe.skipIf(registryAbsence !== null)(
  `layers that are${registryAbsence === null ? '' : ` (${registryAbsence})`}`,
  () => {
    let registry: TestRegistry;
    let engine: TestEngine;

    beforeAll(async () => {
      registry = await startRegistry();
      engine = await TestEngine.start('--bridge', 'none', '--storage-driver', 'overlay2');
    });
    afterAll(async () => {
      await engine[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    });

    const kept = (): readonly string[] =>
      [['content', 'blobs', 'sha256'], ['content', 'ingest'], ['overlay2'], ['overlay2', 'l']]
        .flatMap((path) => readdirSync(join(engine.dataRoot, ...path)))
        .filter((name) => name !== 'l');
    const removeAll = async (): Promise<void> => {
      await engine.dockerOk('rmi', '-f', ...new Set((await engine.dockerOk('images', '-aq')).split('\n')));
      expect(kept()).toEqual([]);
    };

    it.each(Object.entries(BAD))('%s are told at once, and leave nothing', async (_name, given) => {
      const image = await imageWith(given);
      await pushImage(registry.host, 'f/ault', 'x', image);
      const pulled = await engine.docker(['pull', '-q', `${registry.host}/f/ault:x`]);
      expect([pulled.code, pulled.stderr.trim()]).toEqual([1, expect.stringMatching(given.says) as string]);
      expect(kept()).toEqual([]);
      const loaded = await engine.docker(['load', '-q'], { stdin: await archiveOf(image) });
      expect([loaded.code, loaded.stderr.trim()]).toEqual([1, expect.stringMatching(given.says) as string]);
      expect(kept()).toEqual([]);
      const imported = await engine.docker(['import', '-', 'x:1'], { stdin: given.blob });
      if (given.isOther === true) {
        await removeAll();
        return;
      }
      expect([imported.code, imported.stderr.trim()]).toEqual([1, expect.stringMatching(given.says) as string]);
      expect(kept()).toEqual([]);
    });

    it.each(Object.entries(GOOD))('%s are taken by pull and load, and kept as they came', async (_name, given) => {
      const image = await imageWith(given);
      await pushImage(registry.host, 'f/ine', 'x', image);
      await engine.dockerOk('pull', '-q', `${registry.host}/f/ine:x`);
      expect(kept()).toContain(sha256(given.blob).slice('sha256:'.length));
      // What is pushed and saved is the same to the bit.
      await engine.dockerOk('tag', `${registry.host}/f/ine:x`, `${registry.host}/f/ine:again`);
      expect(await engine.dockerOk('push', `${registry.host}/f/ine:again`)).toContain(`digest: ${image.digest}`);
      await removeAll();
      const loaded = await engine.docker(['load', '-q'], { stdin: await archiveOf(image) });
      expect([loaded.code, loaded.stderr]).toEqual([0, '']);
      expect(kept()).toContain(sha256(given.blob).slice('sha256:'.length));
      await removeAll();
    });

    it('of one tag among many fail a pull of all, and leave the other tags alone', async () => {
      const good = await syntheticImage([{ base: '1' }, { good: '1' }]);
      const other = await syntheticImage([{ base: '1' }, { good: '2' }]);
      for (const [tag, image] of Object.entries({ a: good, b: other })) {
        await pushImage(registry.host, 'f/all', tag, image);
      }
      const all = await engine.docker(['pull', '-a', `${registry.host}/f/all`]);
      expect([all.code, all.stderr]).toEqual([0, '']);
      expect(all.stdout).toContain(`Status: Downloaded newer image for ${registry.host}/f/all`);
      expect((await engine.dockerOk('images', '-q', '--no-trunc')).split('\n').toSorted()).toEqual(
        [good.id, other.id].toSorted(),
      );
      await removeAll();
      await pushImage(registry.host, 'f/all', 'z', await imageWith(BAD['no tar'] ?? { blob: gzip, says: /./ }));
      const bad = await engine.docker(['pull', '-a', `${registry.host}/f/all`]);
      expect([bad.code, bad.stderr]).toEqual([1, expect.stringContaining('invalid tar header') as string]);
      // Those that came before it, in the registry's order, stay.
      const left = (await engine.dockerOk('images', '-q', '--no-trunc')).split('\n').filter((id) => id !== '');
      expect([good.id, other.id]).toEqual(expect.arrayContaining(left));
      if (left.length > 0) await removeAll();
      expect(kept()).toEqual([]);
    });

    it('saved to a full disk fail at the client alone', async () => {
      const image = await syntheticImage([{ 'big/': '', 'big/file': 'x'.repeat(1_000_000), noise: tar }], {
        format: 'none',
      });
      await pushImage(registry.host, 'f/ull', 'x', image);
      await engine.dockerOk('pull', '-q', `${registry.host}/f/ull:x`);
      const script = `docker save ${image.id} > /dev/full`;
      const saved = await run('sh', ['-c', script], { env: engine.cliEnvironment });
      expect([saved.code, saved.stderr]).toEqual([1, expect.stringContaining('no space left on device') as string]);
      await removeAll();
      expect(engine.log()).not.toMatch(/level=(error|fatal)/);
    });
  },
);

/** An image of two layers, the second as given. */
async function imageWith({ blob, tar: unpacked = tar, isZstd = false }: Case): Promise<SyntheticImage> {
  const plain = await syntheticImage([{ base: '1' }]);
  const [base] = plain.layers;
  if (base === undefined) throw new Error('no layer');
  const mediaType = isZstd ? MediaType.ociLayerZstd : MediaType.ociLayerGzip;
  const layers = [
    { ...base, mediaType: MediaType.ociLayerGzip },
    { tar: unpacked, blob, diffId: sha256(unpacked), digest: sha256(blob), mediaType },
  ];
  const { config } = await syntheticImage([{ base: '1' }, { other: '' }], {
    diffIds: layers.map(({ diffId }) => diffId),
  });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: { mediaType: MediaType.ociConfig, size: config.length, digest: sha256(config) },
      layers: layers.map((layer) => ({ mediaType: layer.mediaType, size: layer.blob.length, digest: layer.digest })),
    }),
  );
  const id = sha256(config);
  return { layers, config, id, manifest, manifestMediaType: MediaType.ociManifest, digest: sha256(manifest) };
}

/** The image as an OCI layout. */
async function archiveOf({ layers, config, id, manifest, manifestMediaType, digest }: SyntheticImage): Promise<Buffer> {
  const blobs = [...layers.map((layer) => layer.blob), config, manifest];
  const manifests = [{ mediaType: manifestMediaType, size: manifest.length, digest }];
  expect(sha256(config)).toBe(id);
  return tarOf({
    'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
    'index.json': JSON.stringify({ schemaVersion: 2, manifests }),
    ...Object.fromEntries(blobs.map((blob) => [`blobs/sha256/${sha256(blob).slice('sha256:'.length)}`, blob])),
  });
}

/** Many members of gzip, and the footer by which the table of contents is found. */
function estargz(): Buffer {
  const members = pieces(4096).map((piece) => gzipSync(piece));
  const header = Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 26, 0]);
  const extra = Buffer.concat([Buffer.from('SG'), Buffer.from([22, 0]), Buffer.from('0000000000001000STARGZ')]);
  return Buffer.concat([...members, header, extra, Buffer.from([1, 0, 0, 255, 255]), Buffer.alloc(8)]);
}

/** Many frames of zstd, and two that are to be skipped: the table of contents and where it is. */
function zstdChunked(): Buffer {
  const skipped = (body: Buffer): Buffer => {
    const header = Buffer.alloc(8);
    header.writeUInt32LE(0x184d2a50);
    header.writeUInt32LE(body.length, 4);
    return Buffer.concat([header, body]);
  };
  const frames = pieces(8192).map((piece) => zstdCompressSync(piece));
  const contents = zstdCompressSync(Buffer.from('{"version":1,"entries":[]}'));
  return Buffer.concat([...frames, skipped(contents), skipped(Buffer.alloc(64, 'GNUlInUx'))]);
}

function pieces(sizeBytes: number): readonly Buffer[] {
  const count = Math.ceil(tar.length / sizeBytes);
  return Array.from({ length: count }, (_, index) => tar.subarray(index * sizeBytes, (index + 1) * sizeBytes));
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0x41;
  return copy;
}
