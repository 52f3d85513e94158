import { expect, it } from 'vitest';
import { obstacleToContainers } from '../support/bundle.ts';
import { ContainerChaos } from '../support/container-chaos.ts';

/*
 * All container verbs at once by many clients, and the same under a daemon that is killed in the middle; see
 * container-chaos.ts. Other seeds, more clients and longer lives by MOORED_CHAOS_SEED, MOORED_CHAOS_CLIENTS and
 * MOORED_CHAOS_LIVES.
 */
const SEED = Number(process.env['MOORED_CHAOS_SEED'] ?? 20_261_122);
const CLIENTS = Number(process.env['MOORED_CHAOS_CLIENTS'] ?? 200);
const LIVES = Number(process.env['MOORED_CHAOS_LIVES'] ?? 1);
const LIFE_MS = 150_000; // on a busy machine

const obstacle = obstacleToContainers();
const because = obstacle === null ? '' : ` (skipped: ${obstacle})`;

it.skipIf(obstacle !== null)(
  `${String(CLIENTS)} clients, seed ${String(SEED)}${because}`,
  { timeout: (LIVES + 1) * LIFE_MS },
  async () => {
    await using chaos = await ContainerChaos.start(SEED);
    await chaos.clients(CLIENTS, LIVES);
    await chaos.removeAll();
    const { now, before } = await chaos.compared();
    expect(now).toEqual(before);
    expect([...chaos.complaints]).toEqual([]);
    expect(chaos.tally.get('POST /containers/…/start 204')).toBeGreaterThan(CLIENTS / 2);
  },
);

it.skipIf(obstacle !== null)(
  `clients of a daemon that is killed twice, seed ${String(SEED)}${because}`,
  { timeout: (LIVES + 1) * LIFE_MS },
  async () => {
    await using chaos = await ContainerChaos.start(SEED + 1);
    const work = chaos.clients(Math.ceil(CLIENTS / 4), LIVES + 1);
    for (const share of [1, 2]) {
      await chaos.answered((CLIENTS / 4) * share);
      await chaos.kill();
    }
    await work;
    await chaos.removeAll();
    const { now, before } = await chaos.compared();
    expect(now).toEqual(before);
    expect([...chaos.complaints]).toEqual([]);
  },
);
