import { describe, expect, it } from 'vitest';
import { BuildChaos, type BuildChaosDriver } from '../support/build-chaos.ts';
import { obstacleToContainers } from '../support/bundle.ts';
import { LoopDisk } from '../support/loop-disk.ts';

/*
 * Builds at once, on a small disk, under a daemon that is killed again and again; see build-chaos.ts. Other seeds, more
 * rounds and other storage drivers by MOORED_CHAOS_SEED, MOORED_CHAOS_ROUNDS and MOORED_CHAOS_DRIVERS.
 */
const SEED = Number(process.env['MOORED_CHAOS_SEED'] ?? 20_261_122);
const ROUNDS = Number(process.env['MOORED_CHAOS_ROUNDS'] ?? 2);
const ROUND_MS = 90_000; // on a busy machine

const obstacle = obstacleToContainers();
const DRIVERS = (process.env['MOORED_CHAOS_DRIVERS'] ?? 'overlay2').split(',') as readonly BuildChaosDriver[];

describe.each(DRIVERS)('on %s', (driver) => {
  const why = obstacle ?? (driver === 'btrfs' ? LoopDisk.obstacle('btrfs') : null);

  it.skipIf(why !== null)(
    `builds, kills and full disks, seed ${String(SEED)}${why === null ? '' : ` (skipped: ${why})`}`,
    { timeout: (ROUNDS + 2) * ROUND_MS },
    async () => {
      await using chaos = await BuildChaos.start(SEED, driver);
      for (let round = 0; round < ROUNDS; round += 1) await chaos.round();
      await chaos.finish();
      expect([...chaos.complaints]).toEqual([]);
      expect(chaos.tally.get('built')).toBeGreaterThan(0);
    },
  );
});
