import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineError } from '../../src/base/errors.ts';
import { EVERY_IMAGE } from '../../src/engine/images/types.ts';
import { MediaType } from '../../src/engine/oci/image-spec.ts';
import { makeImageRoom, type TestRoom } from '../support/image-room.ts';
import { indexOf, sha256, syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';

/*
 * Whatever bytes a registry gives for manifest, index or config: a pull ends with an error that was meant (never a bare
 * TypeError, which would be HTTP 500 with internal text) or with an image that can be shown, and leaves nothing else.
 */
const RUNS = 300;
const SEED = 20_261_121;

let room: TestRoom;
let image: SyntheticImage;
beforeAll(async () => {
  room = await makeImageRoom({ maxDownloadAttempts: 0 });
  image = await syntheticImage([{ a: '1' }, { b: '2' }], {
    config: { Env: ['A=b'], Labels: { l: 'v' }, ExposedPorts: { '80/tcp': {} }, Healthcheck: { Test: ['NONE'] } },
  });
  room.registry.add('x/y', 'good', image);
});
afterAll(async () => {
  await room[Symbol.asyncDispose]();
});

/** Values that surprise: wrong types, extremes, hostile names, depth. */
const surprise = fc.oneof(
  fc.constantFrom<unknown>(null, true, '', 0, -1, 1.5, 1e300, Number.MAX_SAFE_INTEGER, [], {}, [null], '__proto__'),
  fc.constantFrom<unknown>(
    '../../etc/passwd',
    `sha256:${'0'.repeat(64)}`,
    `sha512:${'0'.repeat(128)}`,
    'x'.repeat(5000),
  ),
  fc.jsonValue({ maxDepth: 3 }),
);

/** The document with the value at one of its places replaced, removed, or doubled. */
function mutated(document: unknown): fc.Arbitrary<unknown> {
  const places = placesOf(document);
  return fc
    .record({ place: fc.constantFrom(...places), value: surprise, way: fc.constantFrom('replace', 'remove', 'add') })
    .map(({ place, value, way }) => {
      const copy = structuredClone(document);
      const holder = place.slice(0, -1).reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], copy);
      const key = place.at(-1) ?? '';
      const target = holder as Record<string, unknown>;
      if (way === 'remove') Reflect.deleteProperty(target, key);
      else if (way === 'add') target[`${key}x`] = value;
      else target[key] = value;
      return copy;
    });
}

function placesOf(value: unknown, path: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return path.length === 0 ? [] : [path];
  const inner = Object.entries(value).flatMap(([key, child]) => placesOf(child, [...path, key]));
  return path.length === 0 ? inner : [path, ...inner];
}

/** The bytes with some flipped, cut off or inserted. */
function mangled(bytes: Buffer): fc.Arbitrary<Buffer> {
  return fc
    .record({ at: fc.nat(bytes.length - 1), junk: fc.uint8Array({ maxLength: 8 }), drop: fc.nat(20) })
    .map(({ at, junk, drop }) => Buffer.concat([bytes.subarray(0, at), junk, bytes.subarray(at + drop)]));
}

async function pullMeans(tag: string): Promise<void> {
  try {
    await room.pull(`r.io/x/y:${tag}`);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    expect(error.message).not.toMatch(/undefined is not|not a function|Cannot read|Maximum call stack/);
  }
  // What came in can be shown and taken away again; what did not has left nothing.
  const shown = await room.images.list(EVERY_IMAGE);
  for (const { id } of shown) {
    expect(room.images.get(id).id).toBe(id);
    room.images.history(id);
    await room.images.remove(id, { force: true, prune: true });
  }
  expect(await room.files()).toEqual({ blobs: [], ingests: [] });
  expect(room.layerTable.all()).toEqual([]);
}

const parsed = (bytes: Buffer): unknown => JSON.parse(bytes.toString());
const settings = { numRuns: RUNS, seed: SEED };

describe('a registry that gives anything', () => {
  it('as a manifest', async () => {
    const bytes = fc.oneof(
      mutated(parsed(image.manifest)).map((document) => Buffer.from(JSON.stringify(document))),
      mangled(image.manifest),
    );
    await fc.assert(
      fc.asyncProperty(bytes, fc.constantFrom(MediaType.dockerManifest, MediaType.ociManifest), async (given, type) => {
        room.registry.addManifest('x/y', 'm', given, type);
        await pullMeans('m');
      }),
      settings,
    );
  });

  it('as an index', async () => {
    const index = indexOf([
      { image, platform: { os: 'linux', architecture: 'amd64' } },
      { image, platform: { os: 'linux', architecture: 'arm', variant: 'v7' } },
    ]);
    const bytes = fc.oneof(
      mutated(parsed(index.bytes)).map((document) => Buffer.from(JSON.stringify(document))),
      mangled(index.bytes),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (given) => {
        room.registry.addManifest('x/y', 'm', given, MediaType.dockerManifestList);
        await pullMeans('m');
      }),
      settings,
    );
  });

  it('as a config', async () => {
    const manifest = parsed(image.manifest) as { config: { digest: string; size: number } };
    const bytes = fc.oneof(
      mutated(parsed(image.config)).map((document) => Buffer.from(JSON.stringify(document))),
      mangled(image.config),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (given) => {
        const bent = { ...manifest, config: { ...manifest.config, digest: sha256(given), size: given.length } };
        const document = Buffer.from(JSON.stringify(bent));
        room.registry.add('x/y', null, { ...image, config: given });
        room.registry.addManifest('x/y', 'm', document, MediaType.dockerManifest);
        await pullMeans('m');
      }),
      settings,
    );
  });
});
