/** The state file on a disk that others have filled to the last byte. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { UnavailableError } from '../../src/base/errors.ts';
import { LinuxFiles } from '../../src/engine/kernel/linux/files.ts';
import { Database } from '../../src/engine/state/database.ts';
import { makeChaosDisk, type ChaosDisk } from '../support/chaos-disk.ts';
import { LoopDisk } from '../support/loop-disk.ts';

const CHANGES = 400;
const KINDS = ['ext4', 'xfs', 'tmpfs'] as const;
const files = new LinuxFiles();

function openOn(disk: ChaosDisk, path: string): Database {
  return Database.open(join(disk.path, path), (fd, offset, length) => files.allocate(fd, offset, length));
}

/** To the last byte that the file system gives: a whole block may not fit any more where a small one does. */
function fill(disk: ChaosDisk): void {
  const filler = join(disk.path, 'filler');
  let size = -1;
  for (;;) {
    execFileSync('sh', ['-c', 'cat /dev/zero >> "$0" 2>/dev/null; sync -f "$0"', filler]);
    const grown = statSync(filler).size;
    if (grown === size) return;
    size = grown;
  }
}

for (const kind of KINDS) {
  const obstacle = kind === 'tmpfs' ? LoopDisk.obstacle('ext4') : LoopDisk.obstacle(kind);
  describe.skipIf(obstacle !== null)(
    `the state file on a full ${kind}${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
    () => {
      it('takes many changes, of which none is lost', async () => {
        await using disk = await makeChaosDisk(kind, 320);
        mkdirSync(disk.path, { recursive: true });
        {
          using database = openOn(disk, 'state.db');
          fill(disk);
          for (let n = 0; n < CHANGES; n += 1) {
            database.run(
              'INSERT OR REPLACE INTO fact VALUES (?, ?)',
              `key ${String(n % 7)}`,
              'v'.repeat(500) + String(n),
            );
          }
        }
        using database = openOn(disk, 'state.db');
        const value = database.get('SELECT value FROM fact WHERE key = ?', `key ${String((CHANGES - 1) % 7)}`)?.[
          'value'
        ];
        expect(value).toBe('v'.repeat(500) + String(CHANGES - 1));
      });

      it('without room of its own fails, gives its reserve away, and makes it again when there is room', async () => {
        await using disk = await makeChaosDisk(kind, 320);
        mkdirSync(disk.path, { recursive: true });
        const path = join(disk.path, 'state.db');
        using database = Database.open(path);
        expect(existsSync(`${path}-reserve`)).toBe(true);
        fill(disk);
        const write = (n: number): number =>
          database.run('INSERT INTO fact VALUES (?, ?)', `key ${String(n)}`, 'v'.repeat(3000));
        expect(() => {
          for (let n = 0; n < CHANGES; n += 1) write(n);
        }).toThrow(/no space left on device/);
        expect(existsSync(`${path}-reserve`)).toBe(false);
        rmSync(join(disk.path, 'filler'));
        expect(write(CHANGES)).toBe(1);
        expect(existsSync(`${path}-reserve`)).toBe(true);
      });
    },
  );
}

const obstacle = LoopDisk.obstacle('ext4');

describe.skipIf(obstacle !== null)(
  `the state file on a disk that takes no more files${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
  () => {
    it('opens with what its reserve gives back, and says else that there is no room', async () => {
      await using disk = await LoopDisk.make('ext4', { mkfs: ['-N', '16'] });
      const path = join(disk.path, 'state.db');
      {
        using database = Database.open(path);
        database.run('INSERT INTO fact VALUES (?, ?)', 'key', 'kept');
      }
      takeAllInodes(disk.path);
      expect(disk.freeBytes).toBeGreaterThan(1_000_000);
      {
        using database = Database.open(path);
        expect(database.get('SELECT value FROM fact')).toEqual({ value: 'kept' });
      }
      takeAllInodes(disk.path);
      expect(() => Database.open(path)).toThrow(new UnavailableError(`open ${path}: no space left on device`));
    });
  },
);

/** Each by an empty file. */
function takeAllInodes(directory: string): void {
  try {
    for (let n = 0; ; n += 1) writeFileSync(join(directory, `empty-${String(n)}`), '');
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' });
  }
}
