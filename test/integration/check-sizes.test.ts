/** Sizes of containers and volumes that Btrfs has lost: the check tells of them, and sets them again where it can. */
import { execFileSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { StoreFinding } from '../../src/engine/check/types.ts';
import { LoopDisk } from '../support/loop-disk.ts';
import { MigratingStore } from '../support/migrating-store.ts';

const obstacle = LoopDisk.obstacle('btrfs');
const LOST = [
  ['container', 'limited', 'its size of 67.11MB is not kept'],
  ['volume', 'small', 'its size of 16.78MB is not kept'],
];

/** Where each driver has what it limits of a container. */
const LIMITED = {
  btrfs: (root: string, id: string) => join(root, id, 'tree'),
  vfs: (root: string, id: string) => join(root, id, 'tree'),
  // What the directory of its files lies in.
  overlay2: (root: string, id: string) => join(root, id, dirname(readlinkSync(join(root, id, 'diff')))),
};
const DRIVERS = ['btrfs', 'vfs', 'overlay2'] as const;
const note = obstacle === null ? '' : ` (skipped: ${obstacle})`;

describe.skipIf(obstacle !== null).each(DRIVERS)(`sizes on Btrfs with %s${note}`, (driver) => {
  let disk: LoopDisk;
  let store: MigratingStore;

  beforeAll(async () => {
    disk = await LoopDisk.make('btrfs', { sizeMib: 400, mountOptions: ['commit=1'] });
    btrfs('quota', 'enable', disk.path);
    store = await MigratingStore.make(join(disk.path, 'data'), driver);
    await store.engine.importBusybox();
  });
  afterAll(async () => {
    await store[Symbol.asyncDispose]();
    await disk[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    const { engine } = store;
    await engine.dockerOk('volume', 'create', '-o', 'size=16M', 'small');
    await engine.dockerOk('volume', 'create', 'boundless');
    const words = ['--network', 'none', 'busybox', 'dd', 'if=/dev/zero', 'of=/big', 'bs=1M', 'count=100'];
    await engine.dockerOk('create', '--name', 'limited', '--storage-opt', 'size=64M', '-v', 'small:/small', ...words);
    await engine.dockerOk('create', '--name', 'unlimited', 'busybox', 'true');
    expect(await store.check()).toEqual([]);
  });
  afterEach(async () => {
    await store.engine.dockerOk('rm', 'limited', 'unlimited');
    await store.engine.dockerOk('volume', 'rm', 'small', 'boundless');
  });

  const told = (findings: readonly StoreFinding[]): readonly (readonly string[])[] =>
    findings.map(({ kind, subject, problem }) => [kind, subject, problem]);
  const outcomes = (findings: readonly StoreFinding[]): readonly string[] => [
    ...new Set(findings.map(({ outcome, remedy }) => `${outcome}: ${remedy}`)),
  ];
  /** A container that is not kept to its size writes all that it wants to. */
  const isKept = async (): Promise<boolean> => {
    const { code, stderr } = await store.engine.docker(['start', '-a', 'limited']);
    if (code !== 0) expect(stderr).toMatch(/quota exceeded/i);
    return code !== 0;
  };

  it('that went with quotas are set again when those are on, and count', async () => {
    btrfs('quota', 'disable', disk.path);
    const off = await store.check('--repair');
    expect(told(off)).toEqual(LOST);
    for (const { outcome, remedy } of off) {
      expect(outcome).toBe('remains');
      expect(remedy).toMatch(/^quotas are off for the Btrfs file system of .*: btrfs quota enable \//);
    }
    btrfs('quota', 'enable', disk.path);
    const found = await store.check();
    expect([told(found), outcomes(found)]).toEqual([LOST, ['found: can be set again']]);
    const repaired = await store.check('--repair');
    expect([told(repaired), outcomes(repaired)]).toEqual([LOST, ['repaired: set again']]);
    expect(await store.check()).toEqual([]);
    expect(await isKept()).toBe(true);
  });

  it('that were changed by hand are set again beside no daemon', async () => {
    const { engine } = store;
    const id = await engine.dockerOk('inspect', '-f', '{{.Id}}', 'limited');
    await engine.end();
    btrfs('qgroup', 'limit', '128M', LIMITED[driver](join(store.dataRoot, driver), id));
    btrfs('qgroup', 'limit', 'none', join(store.dataRoot, 'volumes/small/_data'));
    const repaired = await store.check('--repair');
    expect([told(repaired), outcomes(repaired)]).toEqual([
      [['container', 'limited', 'its size of 67.11MB is 134.2MB where it is kept'], LOST[1]],
      ['repaired: set again'],
    ]);
    expect(await store.check()).toEqual([]);
    await engine.boot();
    expect(await isKept()).toBe(true);
  });

  it('of a volume that was copied, and is no subvolume any more, is told with what to do', async () => {
    const path = join(store.dataRoot, 'volumes/small/_data');
    btrfs('subvolume', 'delete', path);
    execFileSync('mkdir', [path]);
    const found = await store.check('--repair');
    expect([told(found), outcomes(found)]).toEqual([
      [LOST[1]],
      [`remains: ${path} is no subvolume, and no other directory can be limited: make it anew`],
    ]);
  });
});

function btrfs(...words: readonly string[]): void {
  execFileSync('btrfs', words, { stdio: 'pipe' });
}
