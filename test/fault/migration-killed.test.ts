/** A migration is killed at moments of all kinds: run again it goes on, and in the end all is there, once. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LinuxFiles } from '../../src/engine/kernel/linux/files.ts';
import { LoopDisk } from '../support/loop-disk.ts';
import { MigratingStore, type Moment } from '../support/migrating-store.ts';
import { Dice, portrait, shake } from '../support/random-tree.ts';

/** As long as a migration takes until it works, on this machine or a slower one. */
const START_MS = 900;
const STEP_MS = 150;
const KILLS = 3;
const SEED = 20;
/** Of what the containers have: with other seeds a sticky directory may keep root out, too (fs.protected_regular). */
const TREES = 20;
const CONTAINERS = ['one', 'two', 'three'];

const WAYS = [
  ['overlay2', 'vfs'],
  ['vfs', 'btrfs'],
  ['btrfs', 'overlay2'],
  ['overlay2', 'btrfs'],
  ['btrfs', 'vfs'],
  ['vfs', 'overlay2'],
] as const;

const obstacle = LoopDisk.obstacle('btrfs');

describe.skipIf(obstacle !== null)(`a killed migration${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let disk: LoopDisk;
  let store: MigratingStore;
  let before: readonly string[];

  beforeAll(async () => {
    // Space of deleted subvolumes comes back with a commit.
    disk = await LoopDisk.make('btrfs', { sizeMib: 600, mountOptions: ['commit=1'] });
    store = await MigratingStore.make(join(disk.path, 'data'), 'overlay2');
    const { engine } = store;
    await engine.importBusybox('base');
    for (const [from, to] of [
      ['base', 'lower'],
      ['lower', 'upper'],
    ] as const) {
      await engine.dockerOk('run', '--network', 'none', '--name', `of-${to}`, from, 'sh', '-c', writing(to));
      await engine.dockerOk('commit', `of-${to}`, to);
      await engine.dockerOk('rm', `of-${to}`);
    }
    for (const name of CONTAINERS) await engine.dockerOk('create', '--name', name, 'upper', 'sleep', '1000');
    await eachRoot((root, name) => {
      shake(join(root, 'etc'), new LinuxFiles(), new Dice(TREES + CONTAINERS.indexOf(name)), 300);
      execFileSync('sh', [
        '-c',
        'rm -r "$0"/lower/1*; mkdir "$0/lower/1"; head -c 3000000 /dev/urandom > "$0/big"',
        root,
      ]);
    });
    before = await facts();
    await engine.end();
  });
  afterAll(async () => {
    await store[Symbol.asyncDispose]();
    await disk[Symbol.asyncDispose]();
  });

  /** With each container's root directory, while it runs. */
  const eachRoot = async (look: (root: string, name: string) => void): Promise<void> => {
    const { engine } = store;
    await engine.dockerOk('start', ...CONTAINERS);
    for (const name of CONTAINERS) {
      const pid = await engine.dockerOk('inspect', '-f', '{{.State.Pid}}', name);
      look(`/proc/${pid}/root`, name);
    }
    await engine.dockerOk('kill', ...CONTAINERS);
  };
  const facts = async (): Promise<readonly string[]> => {
    const lines: string[] = [];
    await eachRoot((root, name) => {
      const files = new LinuxFiles();
      const seen = ['etc', 'lower', 'upper'].flatMap((inner) => portrait(join(root, inner), files));
      // Files that the engine mounts there are made anew with each start.
      const own = /^\{"path":"(?:hosts|hostname|resolv\.conf)"/;
      lines.push(name, ...seen.filter((line) => !own.test(line)));
      lines.push(execFileSync('sha256sum', [join(root, 'big')], { encoding: 'utf8' }).slice(0, 64));
    });
    for (const name of CONTAINERS) lines.push(await store.engine.dockerOk('diff', name));
    return lines;
  };

  it.each(WAYS.map(([from, to], index) => [from, to, SEED + index] as const))(
    'from %s to %s (seed %i) goes on and leaves nothing half done',
    async (from, to, seed) => {
      const dice = new Dice(seed * 7919);
      const moments = Array.from({ length: KILLS }, () => momentBy(dice));
      for (const moment of moments) {
        await store.killed(to, moment);
        // Whatever it has left: nothing is lost with either driver.
        const found = await store.check();
        expect({ seed, found: found.filter(({ kind }) => kind !== 'leftover') }).toEqual({ seed, found: [] });
      }
      const moved = await store.migrate(to);
      expect({ code: moved.code, failures: moved.report.failures, seed }).toEqual({ code: 0, failures: 0, seed });
      // Old data stays until its end is asked for, and that may be killed, too.
      expect(store.lyingAt(from).filter((name) => /^[0-9a-f]{64}$/.test(name))).toHaveLength(CONTAINERS.length);
      for (const afterMs of [dice.below(10), dice.below(60)])
        await store.killed(to, momentBy(dice, afterMs), '--remove-old');
      expect((await store.migrate(to, '--remove-old')).code).toBe(0);
      // As of one that was killed in its last removal: the driver has nothing else any more.
      mkdirSync(join(store.dataRoot, from, '.old-0123456789abcdef', 'tree'), { recursive: true });
      expect((await store.migrate(to, '--remove-old')).code).toBe(0);
      expect({ seed, old: store.lyingAt(from) }).toEqual({ seed, old: [] });

      store.use(to);
      expect(await store.check('--deep')).toEqual([]);
      expect({ old: store.lyingAt(from), drafts: store.drafts, mounts: store.mounts }).toEqual({
        old: [],
        drafts: [],
        mounts: [],
      });
      await store.engine.boot();
      expect(await facts()).toEqual(before);
      await store.engine.end();
    },
  );
});

function momentBy(dice: Dice, afterMs = dice.below(STEP_MS)): Moment {
  const steps = dice.below(3);
  return steps === 0 ? { steps, afterMs: dice.below(START_MS) } : { steps, afterMs };
}

function writing(name: string): string {
  return `mkdir /${name}; cd /${name}; for i in $(seq 150); do mkdir $i; head -c 20000 /dev/urandom > $i/file; ln $i/file $i/second; done`;
}
