/** The daemon dies in the middle of an unpack: the next one finds complete layers and nothing else. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { chainIdsOf, digestOf } from '../../src/engine/oci/digest.ts';
import { leftovers, openTestStorage } from '../support/layers.ts';
import { LoopDisk } from '../support/loop-disk.ts';
import { tarOf } from '../support/tar-builder.ts';

const UNPACKER = new URL('../support/unpack-and-tell.ts', import.meta.url).pathname;
const FILE_BYTES = 200_000;

describe.each([
  ['overlay2', null],
  ['vfs', null],
  ['overlay2', 'xfs'],
] as const)('a daemon killed while it unpacks on %s (disk: %s)', (name, kind) => {
  it('leaves what is complete and nothing else', async (context) => {
    if (process.getuid?.() !== 0) context.skip('mounting needs root');
    const obstacle = kind === null ? null : LoopDisk.obstacle(kind);
    if (obstacle !== null) context.skip(obstacle);
    await using disk = kind === null ? null : await LoopDisk.make(kind, { sizeMib: 512 });
    const root = mkdtempSync(join(disk?.path ?? tmpdir(), 'storage-killed-'));
    try {
      const small = tarOf([{ name: 'base', data: 'x' }]);
      const big = tarOf(
        Array.from({ length: 400 }, (_, index) => ({ name: `file-${String(index)}`, data: Buffer.alloc(FILE_BYTES) })),
      );
      const blobs = [small, big].map((tar, index) => {
        const path = join(root, `blob-${String(index)}`);
        writeFileSync(path, tar);
        return path;
      });
      const [base, top] = chainIdsOf([digestOf(small), digestOf(big)]);

      // Tells `unpacked` after the small layer and `writing` within the big one.
      const child = spawn(process.execPath, [UNPACKER, name, root, ...blobs], { stdio: ['ignore', 'pipe', 'inherit'] });
      const lines: string[] = [];
      for await (const line of createInterface(child.stdout)) {
        lines.push(line);
        if (line === 'writing') child.kill('SIGKILL');
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      expect(lines).toEqual(['unpacked', 'writing']);
      expect(child.signalCode).toBe('SIGKILL');

      await using storage = await openTestStorage(name, root);
      expect((await leftovers(storage)).snapshots.some((key) => key.startsWith('extract-'))).toBe(true);
      await storage.layers.sweep();
      expect(await leftovers(storage)).toEqual({ snapshots: [base], mounts: [] });
      if (name === 'overlay2') expect(readdirSync(join(root, 'overlay2/l'))).toHaveLength(1);
      expect(await storage.layers.stat(top!)).toBeNull();
      expect((await storage.layers.stat(base!))?.sizeBytes).toBe(1);

      const again = await storage.layers.unpack({ blobPath: blobs[1]!, parent: base!, diffId: digestOf(big) });
      expect(again).toMatchObject({ chainId: top, sizeBytes: 400 * FILE_BYTES });
      expect(existsSync(join(root, 'mounts'))).toBe(false);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
