import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../support/engine.ts';
import { pushImage, registryAbsence, startRegistry, type TestRegistry } from '../support/registry.ts';
import { syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';

/*
 * A data root that is too small by a little more each time, so that the disk is full while blobs come in, while layers
 * are unpacked, while rows are written: the pull says so, nothing of it stays, the daemon lives, and with room it goes
 * through. And a data root that turns read-only in the midst.
 */
describe.skipIf(registryAbsence !== null)(
  `full disks${registryAbsence === null ? '' : ` (${registryAbsence})`}`,
  () => {
    let registry: TestRegistry;
    let image: SyntheticImage;
    let name: string;
    let scratch: string;

    beforeAll(async () => {
      scratch = mkdtempSync(join(tmpdir(), 'moored-full-'));
      registry = await startRegistry();
      const filler = (seed: number, count: number): Buffer =>
        Buffer.from(Array.from({ length: count }, (_, index) => (index * seed * 2_654_435_761) >>> 13));
      image = await syntheticImage([
        { one: filler(3, 1_000_000) },
        Object.fromEntries(
          Array.from({ length: 200 }, (_, index) => [`many-${String(index)}`, `file ${String(index)}`]),
        ),
        { two: filler(7, 700_000), zeros: Buffer.alloc(1_500_000) },
      ]);
      await pushImage(registry.host, 'd/isk', '1', image);
      name = `${registry.host}/d/isk:1`;
    });
    afterAll(async () => {
      await registry[Symbol.asyncDispose]();
      rmSync(scratch, { recursive: true, force: true });
    });

    const mount = (...args: readonly string[]): void => void execFileSync('mount', [...args], { stdio: 'pipe' });

    function left(root: string): object {
      const list = (...path: readonly string[]): readonly string[] => readdirSync(join(root, ...path));
      return {
        blobs: list('content', 'blobs', 'sha256'),
        ingests: list('content', 'ingest'),
        layers: list('overlay2').filter((entry) => entry !== 'l'),
      };
    }
    const nothing = { blobs: [], ingests: [], layers: [] };

    /** Runs `job` with a daemon whose data root is a file system of this size. */
    async function withRoot(sizeKib: number, job: (engine: TestEngine, root: string) => Promise<void>): Promise<void> {
      const root = mkdtempSync(join(scratch, 'root-'));
      mount('-t', 'tmpfs', '-o', `size=${String(sizeKib)}k`, 'moored-full', root);
      try {
        await using engine = await TestEngine.start('--data-root', root, '--storage-driver', 'overlay2');
        await job(engine, root);
      } finally {
        execFileSync('umount', [root]);
      }
    }

    it('at every stage', { timeout: 240_000 }, async () => {
      const texts = new Set<string>();
      let wentThrough = 0;
      // A daemon without images takes some 300 KiB, most of it its log of writes; the image needs 1.7 MB compressed and 3.3 MB unpacked. The first size
      // has no room for any layer: its blobs are what fails.
      for (let sizeKib = 520; sizeKib <= 6680; sizeKib += 880) {
        await withRoot(sizeKib, async (engine, root) => {
          const { code, stderr } = await engine.docker(['pull', '-q', name]);
          if (code === 0) {
            wentThrough += 1;
          } else {
            expect(stderr, `${String(sizeKib)} KiB`).toMatch(/no space left on device/);
            texts.add(stderr.replace(/\S*\/\S+|[0-9a-f]{12,}|\d+/g, '…').trim());
            expect(await engine.dockerOk('images', '-aq')).toBe('');
            expect(left(root), `${String(sizeKib)} KiB`).toEqual(nothing);
            mount('-o', 'remount,size=64m', root);
            await engine.dockerOk('pull', '-q', name);
          }
          expect(await engine.dockerOk('images', '-q', '--no-trunc')).toBe(image.id);
          await engine.dockerOk('rmi', '-f', image.id);
          expect(left(root)).toEqual(nothing);
        });
      }
      // The sweep met the download as well as the unpacking, and the last sizes were enough.
      expect([...texts].some((text) => text.includes('failed to register layer'))).toBe(true);
      expect([...texts].some((text) => !text.includes('failed to register layer'))).toBe(true);
      expect(wentThrough).toBeGreaterThan(0);
    });

    it.each([
      ['for blobs', ['content', 'ingest'], /open .*read-only file system/, []],
      // What was half there of other layers stays for the next attempt.
      ['for layers', ['overlay2'], /failed to register layer: /, expect.any(Array)],
    ])(
      'that turn read-only %s: the pull says so, and goes through when they do not',
      async (_what, path, text, ingests) => {
        await withRoot(65_536, async (engine, root) => {
          const place = join(root, ...path);
          mount('--bind', place, place);
          mount('-o', 'remount,bind,ro', place);
          const { code, stderr } = await engine.docker(['pull', '-q', name]);
          execFileSync('umount', [place]);
          expect(code).toBe(1);
          expect(stderr).toMatch(text);
          expect(await engine.dockerOk('images', '-aq')).toBe('');
          expect(left(root)).toEqual({ ...nothing, ingests });
          await engine.dockerOk('pull', '-q', name);
          await engine.dockerOk('rmi', '-f', image.id);
          expect(left(root)).toEqual(nothing);
        });
      },
    );

    it('that are read-only from the start keep the daemon from starting, and it says why', async () => {
      const root = join(scratch, 'read-only');
      mkdirSync(root);
      mount('-t', 'tmpfs', '-o', 'ro', 'moored-full', root);
      try {
        await expect(TestEngine.start('--data-root', root)).rejects.toThrow(/read-only file system/i);
      } finally {
        execFileSync('umount', [root]);
      }
    });
  },
);
