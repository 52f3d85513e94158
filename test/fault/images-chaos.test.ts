import { describe, expect, it } from 'vitest';
import { obstacleToContainers } from '../support/bundle.ts';
import { ImageChaos, type ChaosDriver } from '../support/image-chaos.ts';
import { LoopDisk } from '../support/loop-disk.ts';
import { registryAbsence } from '../support/registry.ts';

/*
 * All image verbs at once, on a small disk, under a daemon that is killed again and again; see image-chaos.ts. Other seeds and
 * more rounds by MOORED_CHAOS_SEED and MOORED_CHAOS_ROUNDS, some of the storage drivers only by MOORED_CHAOS_DRIVERS.
 */
const SEED = Number(process.env['MOORED_CHAOS_SEED'] ?? 20_261_121);
const ROUNDS = Number(process.env['MOORED_CHAOS_ROUNDS'] ?? 3);
const ROUND_MS = 60_000;

const obstacle = obstacleToContainers() ?? registryAbsence;

const DRIVERS = (process.env['MOORED_CHAOS_DRIVERS'] ?? 'overlay2,vfs,btrfs').split(',') as readonly ChaosDriver[];

describe.each(DRIVERS)('on %s', (driver) => {
  const why = obstacle ?? (driver === 'btrfs' ? LoopDisk.obstacle('btrfs') : null);
  // The first has seen most of it.
  const rounds = driver === 'overlay2' ? ROUNDS : Math.ceil(ROUNDS / 4);

  it.skipIf(why !== null)(
    `image verbs, kills and full disks, seed ${String(SEED)}${why === null ? '' : ` (skipped: ${why})`}`,
    { timeout: (ROUNDS + 2) * ROUND_MS },
    async () => {
      await using chaos = await ImageChaos.start(SEED, driver);
      for (let round = 0; round < rounds; round += 1) await chaos.round();
      await chaos.finish();
      // On a sound disk no verb fails in a way that nobody could expect.
      expect([...chaos.complaints.keys()]).toEqual([]);
      expect([...chaos.tally.values()].reduce((sum, { done }) => sum + done, 0)).toBeGreaterThan(0);
    },
  );
});
