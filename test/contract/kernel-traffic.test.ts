/** Token buckets as the kernel understood them, read back by tc. */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Fd, RouteSocket } from '../../src/engine/kernel/kernel.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import { thrownBy } from './kernel.contract.ts';

const why =
  process.getuid?.() !== 0 ? 'needs root' : spawnSync('tc', ['-V']).error === undefined ? null : 'tc is not installed';

const kernel = createLinuxKernel();
let directory = '';
let netns: Fd;
let inside: RouteSocket;
let linkIndex = 0;

describe.skipIf(why !== null)(`token buckets (${why ?? 'on this kernel'})`, () => {
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'kernel-traffic-'));
    kernel.namespaces.createNetns(join(directory, 'ns'));
    netns = kernel.namespaces.openNetns(join(directory, 'ns'));
    inside = kernel.openRoute(netns);
    linkIndex = inside.createBridge('br0').index;
  });
  afterEach(() => {
    inside[Symbol.dispose]();
    closeSync(netns);
    kernel.namespaces.removeNetns(join(directory, 'ns'));
    rmSync(directory, { recursive: true });
  });

  const shown = (): unknown => {
    const args = [`--net=${join(directory, 'ns')}`, 'tc', '-j', 'qdisc', 'show', 'dev', 'br0'];
    return (JSON.parse(execFileSync('nsenter', args, { encoding: 'utf8' })) as unknown[])[0];
  };

  it.each([
    [1_250_000, 25_000],
    [125, 2048],
    [12_500_000_000, 4 * 1024 * 1024],
  ])('lets %i bytes a second go, %i at once', (bytesPerSecond, burstBytes) => {
    inside.limitRate(linkIndex, { bytesPerSecond, burstBytes });
    expect(shown()).toMatchObject({ kind: 'tbf', root: true, options: { rate: bytesPerSecond } });
    const { burst } = (shown() as { readonly options: { readonly burst: number } }).options;
    // The kernel keeps it as a time.
    expect(Math.abs(burst - burstBytes)).toBeLessThan(burstBytes * 0.01 + 1);
  });

  it('is replaced by the next one', () => {
    inside.limitRate(linkIndex, { bytesPerSecond: 1000, burstBytes: 4096 });
    inside.limitRate(linkIndex, { bytesPerSecond: 2000, burstBytes: 4096 });
    expect(shown()).toMatchObject({ options: { rate: 2000 } });
  });

  it('needs a link', () => {
    const limit = { bytesPerSecond: 1000, burstBytes: 4096 };
    expect(thrownBy(() => inside.limitRate(4711, limit))).toMatchObject({ code: 'ENODEV' });
  });
});
