import { expect, it } from 'vitest';
import { obstacleToContainers } from '../support/bundle.ts';
import { NetworkChaos } from '../support/network-chaos.ts';

/*
 * All network verbs at once by many clients under a daemon that is killed again and again; see network-chaos.ts. Other
 * seeds, more clients, lives and kills by MOORED_CHAOS_SEED, MOORED_CHAOS_CLIENTS, MOORED_CHAOS_LIVES and
 * MOORED_CHAOS_KILLS.
 */
const SEED = Number(process.env['MOORED_CHAOS_SEED'] ?? 20_261_121);
const CLIENTS = Number(process.env['MOORED_CHAOS_CLIENTS'] ?? 10);
const LIVES = Number(process.env['MOORED_CHAOS_LIVES'] ?? 2);
const KILLS = Number(process.env['MOORED_CHAOS_KILLS'] ?? 3);
const LIMIT_MS = 300_000; // on a busy machine

const obstacle = obstacleToContainers();
const because = obstacle === null ? '' : ` (skipped: ${obstacle})`;

it.skipIf(obstacle !== null)(
  `networks of ${String(CLIENTS)} clients under a daemon that is killed, seed ${String(SEED)}${because}`,
  { timeout: LIMIT_MS },
  async () => {
    await using chaos = await NetworkChaos.start(SEED);
    const work = chaos.clients(CLIENTS, LIVES);
    for (let kills = 0; kills < KILLS; kills += 1) {
      await Promise.race([chaos.answered(CLIENTS * 2), work]);
      await chaos.kill();
    }
    await work;
    await chaos.removeAll();
    const { now, before } = await chaos.compared();
    expect([...chaos.complaints]).toEqual([]);
    expect(now).toEqual(before);
    expect(chaos.tally.get('POST /networks/create 201')).toBeGreaterThan(CLIENTS / 2);
  },
);
