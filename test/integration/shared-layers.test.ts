import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../support/engine.ts';
import { pushImage, registryAbsence, startRegistry, type TestRegistry } from '../support/registry.ts';
import { syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';

/*
 * Two images of different registries have one layer, compressed in two ways. A pull does not fetch the second blob: the
 * second image leans on the first one's, and must not fall when that image goes.
 */
const SHARED = { 'data/': '', 'data/a': Buffer.alloc(600_000, 'abc') };

describe.skipIf(registryAbsence !== null)(
  `a layer in two blobs${registryAbsence === null ? '' : ` (${registryAbsence})`}`,
  () => {
    let engine: TestEngine;
    let near: TestRegistry;
    let far: TestRegistry;
    let first: SyntheticImage;
    let second: SyntheticImage;
    let folder: string;

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'moored-shared-'));
      [near, far] = await Promise.all([startRegistry(), startRegistry()]);
      first = await syntheticImage([SHARED, { word: 'first' }]);
      second = await syntheticImage([SHARED, { word: 'second' }], { format: 'zstd', oci: true });
      await pushImage(near.host, 'first', '1', first);
      await pushImage(near.host, 'second', '1', second);
      engine = await TestEngine.start();
      await engine.dockerOk('pull', '-q', `${near.host}/first:1`);
      await engine.dockerOk('pull', '-q', `${near.host}/second:1`);
      await engine.dockerOk('rmi', `${near.host}/first:1`);
    });
    afterAll(async () => {
      await engine[Symbol.asyncDispose]();
      await near[Symbol.asyncDispose]();
      await far[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    });

    const blobs = (): readonly string[] => readdirSync(join(engine.dataRoot, 'content', 'blobs', 'sha256')).toSorted();
    const hex = (digest: string | undefined): string => (digest ?? '').slice('sha256:'.length);
    const idOf = async (name: string): Promise<string> => engine.dockerOk('image', 'inspect', '-f', '{{.Id}}', name);

    it('keeps the blob that the image left has, and no other, over a restart and a prune', async () => {
      const expected = [second.id, second.digest, first.layers[0]?.digest, second.layers[1]?.digest]
        .map(hex)
        .toSorted();
      expect(blobs()).toEqual(expected);
      await engine.end('SIGKILL');
      await engine.boot();
      await engine.dockerOk('image', 'prune', '-f');
      expect(blobs()).toEqual(expected);
      const { json } = await engine.api('POST', '/v1.51/images/prune');
      expect(json).toMatchObject({ ImagesDeleted: null });
      expect(blobs()).toEqual(expected);
    });

    it('is saved, loaded and pushed', async () => {
      const archive = join(folder, 'second.tar');
      await engine.dockerOk('save', '-o', archive, `${near.host}/second:1`);
      await engine.dockerOk('tag', `${near.host}/second:1`, `${far.host}/second:1`);
      await engine.dockerOk('push', '-q', `${far.host}/second:1`);
      await engine.dockerOk('rmi', `${near.host}/second:1`, `${far.host}/second:1`);
      expect(blobs()).toEqual([]);
      await engine.dockerOk('load', '-i', archive);
      expect(await idOf(`${near.host}/second:1`)).toBe(second.id);
      await engine.dockerOk('rmi', `${near.host}/second:1`);
      await engine.dockerOk('pull', '-q', `${far.host}/second:1`);
      expect(await idOf(`${far.host}/second:1`)).toBe(second.id);
      await engine.dockerOk('rmi', `${far.host}/second:1`);
      expect(blobs()).toEqual([]);
    });

    it('brings the blobs again when the image was forced away under a container', async () => {
      await engine.dockerOk('pull', '-q', `${near.host}/first:1`);
      await engine.dockerOk('create', '--name', 'holder', `${near.host}/first:1`, 'none');
      await engine.dockerOk('rmi', '-f', `${near.host}/first:1`);
      expect(blobs()).toEqual([]);
      await engine.dockerOk('pull', '-q', `${near.host}/first:1`);
      await engine.dockerOk('save', '-o', join(folder, 'first.tar'), `${near.host}/first:1`);
      await engine.dockerOk('rm', 'holder');
      await engine.dockerOk('rmi', `${near.host}/first:1`);
      expect(blobs()).toEqual([]);
    });
  },
);
