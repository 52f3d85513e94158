import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Kernel } from '../../src/engine/kernel/kernel.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import { probeOverlay2 } from '../../src/engine/storage/overlay2/probe.ts';

const kernel = createLinuxKernel();
let root = '';

beforeEach((context) => {
  if (process.getuid?.() !== 0) context.skip('mounting needs root');
  root = mkdtempSync(join(tmpdir(), 'probe-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

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

  it.each([
    ['metacopy=on', /copies up without content \(metacopy\)/],
    ['redirect_dir=on', /renames directories without their content \(redirect_dir\)/],
  ])('is not enough where the kernel insists on %s', async (option, reason) => {
    const probe = await probeOverlay2(insisting(option), root);
    expect(probe.works ? 'works' : probe.reason).toMatch(reason);
    expect(readdirSync(root)).toEqual([]);
  });
});
