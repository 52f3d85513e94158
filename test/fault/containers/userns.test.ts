import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { InternalError } from '../../../src/base/errors.ts';
import { mappingOfRun } from '../../../src/engine/containers/userns/pool.ts';
import { createUsernsLeases } from '../../../src/engine/state/userns-leases.ts';
import type { SpecChange } from '../../support/container-spec.ts';
import { ContainersFixture, exampleOptions } from '../../support/containers-fixture.ts';

const isRoot = process.getuid?.() === 0;
const EFFECTS_MAX = 60;
const POOL = { runs: [{ first: 900_000, count: 20 }], source: 'the pool of the test' };
const VOLUME = {
  kind: 'volume',
  name: 'data',
  target: '/data',
  readOnly: false,
  noCopy: false,
  driver: null,
  labels: {},
  options: {},
  mode: '',
} as const;
const OWN_IDS: SpecChange = {
  host: { usernsMode: 'auto:size=20', ipcMode: { kind: 'shareable' }, mounts: [VOLUME] },
};

async function open(): Promise<ContainersFixture> {
  const { userns } = exampleOptions('/');
  return ContainersFixture.open({
    options: { userns: { ...userns, pool: POOL, remap: mappingOfRun({ first: 300_000, count: 100 }) } },
  });
}

const leased = (engine: ContainersFixture): readonly number[] =>
  createUsernsLeases(engine.db)
    .all()
    .map(({ first }) => first);

/** Lets each effect of `verb` fail in turn; returns how many there are. */
async function failEach(
  verb: (engine: ContainersFixture) => Promise<unknown>,
  judge: (engine: ContainersFixture) => Promise<void>,
): Promise<readonly string[]> {
  for (let n = 1; n < EFFECTS_MAX; n += 1) {
    await using engine = await open();
    const injected = new InternalError(`injected failure of effect ${String(n)}`);
    engine.script.failNth(n, injected);
    const error = await verb(engine).catch((thrown: unknown) => thrown);
    await engine.settle();
    if (engine.script.calls.length < n) return engine.script.calls;
    if (error instanceof Error) await judge(engine);
    engine.script.heal();
  }
  throw new Error('the verb never ends');
}

describe.skipIf(!isRoot)(
  `a container with ids of its own${isRoot ? '' : ' (skipped: needs root to give files away)'}`,
  () => {
    it('that cannot be made gives its ids back', async () => {
      await failEach(
        (engine) => engine.create(OWN_IDS, 'box'),
        async (engine) => {
          expect(leased(engine)).toEqual([]);
          await engine.create(OWN_IDS, 'box');
          expect(leased(engine)).toEqual([900_000]);
        },
      );
    });

    it('that cannot be started leaves no mount and no namespace, keeps its ids, and can be started again', async () => {
      const calls = await failEach(
        async (engine) => engine.room.start(await engine.create(OWN_IDS, 'box')),
        async (engine) => {
          expect(engine.leftovers()).toEqual([]);
          const id = engine.room.list()[0]?.id ?? (await engine.create(OWN_IDS, 'box'));
          expect(leased(engine)).toEqual([900_000]);
          expect(await engine.room.start(id)).toBe(true);
          expect(engine.kernel.mounted.some(({ target }) => target.endsWith('/rootfs'))).toBe(true);
          await engine.room.remove(id, { force: true, volumes: true });
          await engine.settle();
          expect(engine.leftovers()).toEqual([]);
          expect(leased(engine)).toEqual([]);
        },
      );
      for (const effect of ['mounts.mountMapped', 'userNamespaces.open', 'userNamespaces.remove']) {
        expect(calls).toContain(effect);
      }
    });

    it('opens its directories to its own root alone', async () => {
      await using engine = await open();
      const id = await engine.run(OWN_IDS, 'box');
      const { gid, mode } = statSync(`${engine.root}/containers/${id}`);
      expect([gid, mode & 0o777]).toEqual([900_000, 0o710]);
      expect(statSync(engine.get(id).hostsPath).uid).toBe(900_000);
      expect(statSync(engine.root).mode & 0o007).toBe(0o001);
      for (const name of readdirSync(engine.root)) {
        const others = statSync(join(engine.root, name)).mode & 0o007;
        expect(others, name).toBe(['containers', 'bundles'].includes(name) ? others & ~0o002 : 0);
      }
    });

    it('is told the first that goes beyond the pool', async () => {
      await using engine = await open();
      await engine.create(OWN_IDS, 'box');
      await expect(engine.create(OWN_IDS, 'more')).rejects.toThrow(
        'no 20 ids in a row are free for a user namespace in the pool of the test: 1 containers have theirs',
      );
      expect(engine.room.list()).toHaveLength(1);
    });
  },
);
