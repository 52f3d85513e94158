import { existsSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createBlockCalls } from '../../src/engine/kernel/linux/block.ts';

const MIB = 1024 * 1024;
const obstacle = obstacleHere();
const block = createBlockCalls();

describe.skipIf(obstacle !== null)(`loop devices${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  it.each([true, false])(
    'have a file for as long as they are open, and grow with it (direct I/O: %s)',
    async (directIo) => {
      const scratch = mkdtempSync(join(tmpdir(), 'block-'));
      try {
        const file = join(scratch, 'image');
        writeFileSync(file, '');
        truncateSync(file, 4 * MIB);
        const { dev, ino } = statSync(file, { bigint: true });
        const loop = await block.attach(file, { directIo });
        try {
          expect(block.numberOf(loop.path)).toStrictEqual(loop.number);
          expect(block.nodeOf(loop.number)).toBe(loop.path);
          expect(block.backing(loop.number)).toStrictEqual({ device: dev, inode: ino });
          expect(block.sizeBytes(loop.number)).toBe(4 * MIB);
          truncateSync(file, 8 * MIB);
          await block.grow(loop.path);
          expect(block.sizeBytes(loop.number)).toBe(8 * MIB);
          writeFileSync(loop.path, Buffer.alloc(MIB, 1), { flush: true });
          expect(statSync(file).blocks).toBeGreaterThan(0);
          await block.discard(loop.path);
          expect(statSync(file).blocks).toBe(0);
        } finally {
          loop[Symbol.dispose]();
          loop[Symbol.dispose]();
        }
        await expect.poll(() => block.backing(loop.number)?.inode === ino).toBe(false);
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    },
  );

  it('are told from other things', async () => {
    expect(() => block.numberOf(tmpdir())).toThrow(expect.objectContaining({ code: 'ENOTBLK' }));
    expect(() => block.numberOf('/nowhere')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(block.backing({ major: 1, minor: 0 })).toBeNull();
    await expect(block.attach('/nowhere', { directIo: false })).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

function obstacleHere(): string | null {
  if (process.getuid?.() !== 0) return 'loop devices need root';
  return existsSync('/dev/loop-control') ? null : 'this machine has no loop devices';
}
