/** The disks that other tests write on. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LoopDisk, type DiskKind } from '../support/loop-disk.ts';

const KINDS: readonly DiskKind[] = ['ext4', 'xfs', 'btrfs'];

describe.each(KINDS)('a disk with %s', (kind) => {
  const obstacle = LoopDisk.obstacle(kind);

  it.skipIf(obstacle !== null)(
    `keeps its files over a mount, can be filled, and is gone when disposed of ${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
    async () => {
      const disk = await LoopDisk.make(kind);
      const { path, image } = disk;
      writeFileSync(join(path, 'kept'), 'yes');
      await disk.unmount();
      expect(existsSync(join(path, 'kept'))).toBe(false);
      await disk.mount();
      expect(readFileSync(join(path, 'kept'), 'utf8')).toBe('yes');

      const before = disk.freeBytes;
      {
        using _ballast = await disk.fill(4 * 1024 * 1024);
        expect(disk.freeBytes).toBeLessThan(16 * 1024 * 1024);
      }
      expect(disk.freeBytes).toBeGreaterThan(before - 16 * 1024 * 1024);

      await disk[Symbol.asyncDispose]();
      expect(existsSync(image)).toBe(false);
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(path);
    },
  );
});
