import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Kernel } from '../../src/engine/kernel/kernel.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import { probeOverlay2 } from '../../src/engine/storage/overlay2/probe.ts';
import { LoopDisk } from '../support/loop-disk.ts';

const kernel = createLinuxKernel();
let root = '';

beforeEach((context) => {
  if (process.getuid?.() !== 0) context.skip('mounting needs root');
  root = mkdtempSync(join(tmpdir(), 'probe-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Takes every inode of a file system; the names of its files. */
function filesThatFit(directory: string): readonly string[] {
  const names: string[] = [];
  try {
    for (;;) {
      const name = `file-${String(names.length)}`;
      writeFileSync(join(directory, name), '');
      names.push(name);
    }
  } catch {
    return names;
  }
}

/** A kernel that has something on, whatever it is told. */
function insisting(option: string): Kernel {
  const { mounts } = kernel;
  const mount: Kernel['mounts']['mount'] = (wanted, target) =>
    mounts.mount(
      { ...wanted, options: [option, ...wanted.options.filter((word) => !/metacopy|redirect/.test(word))] },
      target,
    );
  return { ...kernel, mounts: { ...mounts, mount } };
}

describe('what overlay can do here', () => {
  it('is tried, and leaves nothing', async () => {
    expect(await probeOverlay2(kernel, root)).toMatchObject({ works: true });
    expect(readdirSync(root)).toEqual([]);
  });

  it('takes away what a killed one has left, mounted or not', async () => {
    for (const name of ['.probe-dead', '.probe-mounted']) mkdirSync(join(root, name, 'merged'), { recursive: true });
    const mounted = join(root, '.probe-mounted', 'merged');
    kernel.mounts.mount({ type: 'tmpfs', source: 'tmpfs', options: ['size=64k'] }, mounted);
    writeFileSync(join(mounted, 'file'), '');
    expect(await probeOverlay2(kernel, root)).toMatchObject({ works: true });
    expect(readdirSync(root)).toEqual([]);
    expect(kernel.mounts.listBelow(root)).toEqual([]);
  });

  it('is believed on a disk that is too full to try, where an engine must come up to remove things', async (context) => {
    const obstacle = LoopDisk.obstacle('ext4');
    if (obstacle !== null) context.skip(obstacle);
    await using disk = await LoopDisk.make('ext4', { mkfs: ['-N', '16'] });
    const attempts: boolean[] = [];
    // With each try one more file may be made: nowhere on the way is a full disk taken for what the kernel cannot do.
    for (const name of filesThatFit(disk.path)) {
      attempts.push((await probeOverlay2(kernel, disk.path)).works);
      rmSync(join(disk.path, name));
    }
    expect(attempts.length).toBeGreaterThan(1);
    expect(attempts).not.toContain(false);
    expect(readdirSync(disk.path)).toEqual(['lost+found']);
  });

  it.each([
    ['metacopy=on', /copies up without content \(metacopy\)/],
    ['redirect_dir=on', /renames directories without their content \(redirect_dir\)/],
  ])('is not enough where the kernel insists on %s', async (option, reason) => {
    const probe = await probeOverlay2(insisting(option), root);
    expect(probe.works ? 'works' : probe.reason).toMatch(reason);
    expect(readdirSync(root)).toEqual([]);
  });
});
