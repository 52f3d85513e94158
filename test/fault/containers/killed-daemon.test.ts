import { describe, expect, it } from 'vitest';
import { ContainersFixture } from '../../support/containers-fixture.ts';
import type { SpecChange } from '../../support/container-spec.ts';

/** More effects than any verb has: a loop that gets here has lost its way. */
const EFFECTS_MAX = 60;
/** With an anonymous volume, and shared memory of its own. */
const RICH: SpecChange = { volumes: ['/cache'], host: { ipcMode: { kind: 'shareable' } } };

type Verb = (engine: ContainersFixture, id: string) => Promise<unknown>;

/**
 * For every n: the daemon is killed at the n-th effect of `verb`, so that neither this one nor any later one happens, not
 * even an undo; then it comes up again, and `judge` looks. Returns how many effects there were.
 */
async function killAtEach(
  prepare: (engine: ContainersFixture) => Promise<string>,
  verb: Verb,
  judge: (engine: ContainersFixture, id: string, effect: string) => Promise<void>,
): Promise<number> {
  for (let n = 1; n < EFFECTS_MAX; n++) {
    await using engine = await ContainersFixture.open();
    const id = await prepare(engine);
    await engine.settle();
    const before = engine.script.calls.length;
    engine.script.failFrom(n, new Error('the daemon was killed'));
    await verb(engine, id).catch(() => undefined);
    await engine.settle();
    const effect = engine.script.calls[before + n - 1];
    engine.script.heal();
    if (effect === undefined) return n - 1;
    await engine.reopen();
    await engine.settle();
    await judge(engine, id, `killed at ${effect}, effect ${String(n)}`);
  }
  throw new Error('the verb never ends');
}

/** All that is there belongs to a container that is there, and goes with it. */
async function endsClean(engine: ContainersFixture, how: string): Promise<void> {
  const ids = engine.room.list().map(({ id }) => id);
  expect(engine.rowIds(), how).toEqual(ids);
  expect([...engine.snapshots], how).toEqual(ids);
  for (const id of ids) {
    await engine.room.start(id);
    expect(engine.status(id), how).toBe('running');
    await engine.room.remove(id, { force: true, volumes: true });
  }
  await engine.settle();
  expect(engine.leftovers(), how).toEqual([]);
  expect(engine.belongings(), how).toEqual([]);
}

const running = (engine: ContainersFixture): Promise<string> => engine.run(RICH, 'box');

describe('a daemon killed at any effect', () => {
  it('of create has made a container or none', async () => {
    const effects = await killAtEach(
      async () => '',
      (engine) => engine.create(RICH, 'box'),
      async (engine, _id, how) => {
        if (engine.room.list().length === 0) expect(engine.belongings(), how).toEqual([]);
        await endsClean(engine, how);
        await engine.create({}, 'box');
      },
    );
    expect(effects).toBeGreaterThan(5);
  });

  it('of start has not started it', async () => {
    const effects = await killAtEach(
      (engine) => engine.create(RICH, 'box'),
      (engine, id) => engine.room.start(id),
      async (engine, id, how) => {
        expect(engine.status(id), how).toBe('created');
        expect(engine.leftovers(), how).toEqual([]);
        await endsClean(engine, how);
      },
    );
    expect(effects).toBeGreaterThan(8);
  });

  it('of an exit loses neither the exit nor its code', async () => {
    const effects = await killAtEach(
      running,
      async (engine, id) => engine.monitor.taskOf(engine.get(id).id).end({ exitCode: 42 }),
      async (engine, id, how) => {
        expect(engine.get(id).state, how).toMatchObject({ status: 'exited', lastExit: { exitCode: 42 } });
        expect(engine.leftovers(), how).toEqual([]);
        await endsClean(engine, how);
      },
    );
    expect(effects).toBeGreaterThan(4);
  });

  it('of stop has stopped it or not', async () => {
    await killAtEach(
      running,
      (engine, id) => Promise.race([engine.room.stop(id, { signal: null, timeoutSeconds: null }), engine.settle()]),
      async (engine, id, how) => {
        expect(['running', 'exited'], how).toContain(engine.status(id));
        await endsClean(engine, how);
      },
    );
  });

  it('of commit leaves nothing paused', async () => {
    const effects = await killAtEach(
      running,
      async (engine, id) =>
        engine.room.commit(id, {
          repository: null,
          tag: null,
          author: '',
          comment: '',
          pause: true,
          changes: [],
          config: null,
        }),
      async (engine, id, how) => {
        expect(engine.status(id), how).toBe('running');
        // Whichever pause the user makes is his own again.
        await engine.room.pause(id);
        await engine.reopen();
        await engine.settle();
        expect(engine.status(id), how).toBe('paused');
        await engine.room.remove(id, { force: true, volumes: true });
        await endsClean(engine, how);
      },
    );
    expect(effects).toBeGreaterThan(4);
  });

  it('of rm goes on with it, or never began', async () => {
    const effects = await killAtEach(
      (engine) => engine.create(RICH, 'box'),
      (engine, id) => engine.room.remove(id, { force: false, volumes: true }),
      async (engine, _id, how) => endsClean(engine, how),
    );
    expect(effects).toBeGreaterThan(3);
  });

  it('of a --rm container’s end takes it away when it comes up', async () => {
    await killAtEach(
      (engine) => engine.run({ ...RICH, host: { autoRemove: true } }, 'box'),
      async (engine, id) => engine.monitor.taskOf(engine.get(id).id).end(),
      async (engine, id, how) => {
        expect(engine.status(id), how).toBeNull();
        await endsClean(engine, how);
      },
    );
  });
});
