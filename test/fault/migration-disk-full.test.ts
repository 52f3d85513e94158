/** A disk gets full while everything moves to another storage driver: it is said, nothing is lost, and with room it goes through. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LoopDisk, type DiskKind } from '../support/loop-disk.ts';
import { MigratingStore } from '../support/migrating-store.ts';

const MIB = 1024 * 1024;
const CONTAINERS = ['one', 'two', 'three'];
/** Of what each container wrote. */
const WRITTEN_MIB = 12;
/** From next to nothing to room for all but the last container. */
const ROOM_MIB = [2, 9, 33];
/** A Btrfs that is fuller than this takes no new file at all, whatever it says of its free bytes. */
const LEAST_BTRFS_MIB = 9;

/** In Docker's words, or what follows from a layer that had no room. */
const REASON =
  /^(?:Error processing tar file\(exit status 1\): )?(?:copy|write|open|mkdir|sync|link) (?:\S+): no space left on device$|^the layer below it, .* could not be moved$|^layer .*, on which it stands, did not move$/;

const WAYS: readonly (readonly [from: string, to: string, disk: DiskKind])[] = [
  ['overlay2', 'vfs', 'ext4'],
  ['vfs', 'overlay2', 'ext4'],
  ['overlay2', 'btrfs', 'btrfs'],
];

describe.each(WAYS)('a migration from %s to %s on a disk of %s that gets full', (from, to, kind) => {
  const obstacle = LoopDisk.obstacle(kind);

  it.skipIf(obstacle !== null)(
    `says so, loses nothing, and goes through when there is room${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
    async () => {
      await using disk = await LoopDisk.make(kind, { sizeMib: 320 });
      await using store = await MigratingStore.make(join(disk.path, 'data'), from);
      const { engine } = store;
      await engine.importBusybox('base');
      const writing = (name: string): string =>
        `mkdir -p /${name}/deep; for i in 1 2 3; do head -c ${String((WRITTEN_MIB / 3) * MIB)} /dev/urandom > /${name}/deep/$i; done`;
      await engine.dockerOk('run', '--network', 'none', '--name', 'maker', 'base', 'sh', '-c', writing('layer'));
      await engine.dockerOk('commit', 'maker', 'image');
      await engine.dockerOk('rm', 'maker');
      for (const name of CONTAINERS) {
        await engine.dockerOk('run', '--network', 'none', '--name', name, 'image', 'sh', '-c', writing(name));
      }
      const sums = async (names: readonly string[]): Promise<readonly string[]> => {
        const texts: string[] = [];
        for (const name of names) {
          const { stdout } = await engine.shell(
            `docker export ${name} | tar -xO ./layer/deep ./${name}/deep 2>/dev/null | sha256sum`,
          );
          texts.push(`${name} ${stdout}`);
        }
        return texts;
      };
      const before = await sums(CONTAINERS);
      expect(new Set(before).size).toBe(CONTAINERS.length);
      await engine.end();

      let whole = 0;
      const least = kind === 'btrfs' ? LEAST_BTRFS_MIB : 0;
      for (const roomMib of ROOM_MIB.filter((room) => room >= least)) {
        // What Btrfs says of its free bytes is of its last transaction.
        execFileSync('sync', ['-f', disk.path]);
        const ballast = await disk.fill(roomMib * MIB);
        const refused = await store.migrate(to).catch((error: unknown) => (error as Error).message);
        expect(refused).toMatch(
          /^no report \(2\): moored migrate-storage: moving everything to .* or begin all the same with --force/,
        );
        const { code, report } = await store.migrate(to, '--force', '--remove-old');
        const failed = report.steps.filter(({ outcome }) => outcome === 'failed');
        expect({ roomMib, code, failed: failed.length > 0 }).toEqual({ roomMib, code: 1, failed: true });
        for (const { detail } of failed) expect(detail).toMatch(REASON);
        expect(failed.some(({ detail }) => detail.endsWith(': no space left on device'))).toBe(true);
        expect(report.steps.at(-1)).toMatchObject({ subject: from, outcome: 'kept' });
        expect(store.drafts).toEqual([]);
        // No half of a container is left in the way of the others.
        const moved = report.steps.filter(({ kind: what, outcome }) => what === 'container' && outcome === 'moved');
        whole += moved.length;
        expect(store.lyingAt(to).filter((name) => /^[0-9a-f]{64}$/.test(name))).toHaveLength(whole);
        ballast[Symbol.dispose]();
        expect({ roomMib, found: await store.check() }).toEqual({ roomMib, found: [] });
      }
      // Those that stayed are as they were, with the driver that was in use.
      await engine.boot();
      const stayed: string[] = [];
      for (const name of CONTAINERS) {
        if ((await engine.dockerOk('inspect', '-f', '{{.Driver}}', name)) === from) stayed.push(name);
      }
      expect(stayed).not.toEqual([]);
      expect(await sums(stayed)).toEqual(before.filter((line) => stayed.some((name) => line.startsWith(`${name} `))));
      expect(await engine.dockerOk('run', '--rm', '--network', 'none', 'image', 'ls', '/layer/deep')).toBe('1\n2\n3');
      await engine.end();

      expect((await store.migrate(to, '--remove-old')).code).toBe(0);
      store.use(to);
      expect(await store.check('--deep')).toEqual([]);
      expect(store.lyingAt(from)).toEqual([]);
      await engine.boot();
      expect(await sums(CONTAINERS)).toEqual(before);
    },
  );
});
