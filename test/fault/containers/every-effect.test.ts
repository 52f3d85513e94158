import { describe, expect, it } from 'vitest';
import { EngineError, InternalError } from '../../../src/base/errors.ts';
import { ContainersFixture } from '../../support/containers-fixture.ts';
import type { SpecChange } from '../../support/container-spec.ts';

/** More effects than any verb has: a loop that gets here has lost its way. */
const EFFECTS_MAX = 60;

const MOUNTS: SpecChange['host'] = {
  ipcMode: { kind: 'shareable' },
  mounts: [
    {
      kind: 'volume',
      name: 'data',
      target: '/data',
      readOnly: false,
      noCopy: false,
      driver: null,
      labels: {},
      options: {},
      mode: '',
    },
  ],
};
/** With everything that a container can have: a named volume, an anonymous one, shared memory of its own. */
const RICH: SpecChange = { volumes: ['/cache'], workingDirectory: '/work', host: MOUNTS };

interface Fault {
  readonly engine: ContainersFixture;
  readonly error: unknown;
  readonly injected: InternalError;
  /** Name of the effect that was made to fail. */
  readonly effect: string;
}

/** Fails the 1st, 2nd, 3rd … effect of `verb`, each in a fresh room, and lets `judge` look; returns how many there were. */
async function failEach(
  prepare: (engine: ContainersFixture) => Promise<string>,
  verb: (engine: ContainersFixture, id: string) => Promise<unknown>,
  judge: (fault: Fault, id: string) => Promise<void>,
  alsoNext = false,
): Promise<number> {
  for (let n = 1; n < EFFECTS_MAX; n++) {
    await using engine = await ContainersFixture.open();
    const id = await prepare(engine);
    await engine.settle();
    const before = engine.script.calls.length;
    const injected = new InternalError(`injected failure of effect ${String(n)}`);
    engine.script.failNth(n, injected);
    if (alsoNext) engine.script.failNth(n + 1, new InternalError('a clean-up fails as well'));
    const error = await verb(engine, id).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    await engine.settle();
    const effect = engine.script.calls[before + n - 1];
    if (effect === undefined) return n - 1;
    await judge({ engine, error, injected, effect }, id);
  }
  throw new Error('the verb never ends');
}

/** What an error says was the reason, or itself. */
function causeOf(error: unknown): unknown {
  return error instanceof InternalError ? (error.cause ?? error) : error;
}

const nothing = async (): Promise<string> => '';
const created = (engine: ContainersFixture): Promise<string> => engine.create(RICH, 'box');

async function exitedOnce(engine: ContainersFixture): Promise<string> {
  const id = await engine.run(RICH, 'box');
  engine.monitor.taskOf(id).end();
  await engine.until(() => engine.status(id) === 'exited');
  return id;
}

/** After whatever went before, the container can be used and taken away like any other. */
async function livesOn(engine: ContainersFixture, id: string): Promise<void> {
  if (engine.status(id) !== 'running') expect(await engine.room.start(id)).toBe(true);
  expect(engine.status(id)).toBe('running');
  await engine.room.remove(id, { force: true, volumes: true });
  await engine.settle();
  await engine.volumes.remove('data', { force: true });
  expect(engine.leftovers()).toEqual([]);
  expect(engine.belongings()).toEqual([]);
}

describe('when any one effect fails, create', () => {
  it('leaves nothing, tells the injected error, and can be done again', async () => {
    const effects = await failEach(
      nothing,
      (engine) => engine.create(RICH, 'box'),
      async ({ engine, error, injected }) => {
        expect(causeOf(error)).toBe(injected);
        expect(error).toHaveProperty('cleanupFailures', []);
        expect(engine.belongings()).toEqual([]);
        expect(engine.leftovers()).toEqual([]);
        await livesOn(engine, await engine.create(RICH, 'box'));
      },
    );
    expect(effects).toBeGreaterThan(5);
  });

  it('adds what went wrong in cleaning up to the error and never puts it in its place', async () => {
    await failEach(
      nothing,
      (engine) => engine.create(RICH, 'box'),
      async ({ error, injected }) => {
        expect(causeOf(error)).toBe(injected);
        expect((error as InternalError).cleanupFailures.length).toBeLessThanOrEqual(1);
      },
      true,
    );
  });
});

describe.each([
  ['of a new container', created],
  ['of one that ran before', exitedOnce],
] as const)('when any one effect fails, start %s', (_title, prepare) => {
  it('takes everything back, tells the injected error, and can be done again', async () => {
    const effects = await failEach(
      prepare,
      (engine, id) => engine.room.start(id),
      async ({ engine, error, injected }, id) => {
        expect(error).toBe(injected);
        expect(engine.leftovers()).toEqual([]);
        expect(['created', 'exited']).toContain(engine.status(id));
        expect(engine.rowIds()).toEqual([id]);
        await livesOn(engine, id);
      },
    );
    expect(effects).toBeGreaterThan(8);
  });

  it('is taken for a start that did not happen by a daemon that comes up after it', async () => {
    await failEach(
      prepare,
      (engine, id) => engine.room.start(id),
      async ({ engine }, id) => {
        await engine.reopen();
        await engine.settle();
        expect(['created', 'exited']).toContain(engine.status(id));
        await livesOn(engine, id);
      },
    );
  });

  it('tells the first error also when a clean-up fails', async () => {
    await failEach(
      prepare,
      (engine, id) => engine.room.start(id),
      async ({ error, injected }) => expect(error).toBe(injected),
      true,
    );
  });
});

describe('when any one effect fails, the end of a process', () => {
  it('is believed all the same, and what was left behind goes with the container', async () => {
    const effects = await failEach(
      (engine) => engine.run(RICH, 'box'),
      async (engine, id) => engine.monitor.taskOf(engine.get(id).id).end({ exitCode: 4 }),
      async ({ engine, effect }, id) => {
        expect(engine.status(id), effect).toBe('exited');
        expect(engine.complaints.length, effect).toBeGreaterThan(0);
        await engine.room.remove(id, { force: false, volumes: true });
        await engine.volumes.remove('data', { force: true });
        expect(
          engine.leftovers().filter((what) => !what.startsWith('task')),
          effect,
        ).toEqual([]);
        expect(engine.belongings(), effect).toEqual([]);
      },
    );
    expect(effects).toBeGreaterThan(4);
  });

  it('takes a --rm container away now or, told in the log, by a later rm', async () => {
    await failEach(
      (engine) => engine.run({ host: { autoRemove: true } }, 'box'),
      async (engine, id) => engine.monitor.taskOf(engine.get(id).id).end(),
      async ({ engine, effect }, id) => {
        expect(engine.complaints.length, effect).toBeGreaterThan(0);
        if (engine.status(id) !== null) await engine.room.remove(id, { force: true, volumes: true });
        expect(engine.belongings(), effect).toEqual([]);
      },
    );
  });
});

describe.each([
  ['rm', exitedOnce, false],
  ['rm -f', (engine: ContainersFixture) => engine.run(RICH, 'box'), true],
] as const)('when any one effect fails, %s', (_title, prepare, force) => {
  it('either removes all or leaves what a second one removes', async () => {
    const effects = await failEach(
      prepare,
      (engine, id) => engine.room.remove(id, { force, volumes: true }),
      async ({ engine, error, injected, effect }, id) => {
        if (error === null) expect(engine.complaints, effect).not.toEqual([]);
        else expect(error, effect).toBe(injected);
        if (engine.status(id) !== null) {
          expect(engine.rowIds()).toEqual([id]);
          await engine.room.remove(id, { force: true, volumes: true });
        }
        expect(engine.status(id), effect).toBeNull();
        for (const { name } of engine.volumes.list()) await engine.volumes.remove(name, { force: true });
        expect(engine.belongings(), effect).toEqual([]);
        expect(
          engine.leftovers().filter((what) => !what.startsWith('task')),
          effect,
        ).toEqual([]);
      },
    );
    expect(effects).toBeGreaterThan(4);
  });

  it('is finished by a daemon that comes up after it', async () => {
    await failEach(
      prepare,
      (engine, id) => engine.room.remove(id, { force, volumes: true }),
      async ({ engine, effect }, id) => {
        const ran = engine.status(id) === 'running';
        await engine.reopen();
        await engine.settle();
        if (engine.status(id) !== null) {
          expect(['exited', 'running'], effect).toContain(engine.status(id));
          await engine.room.remove(id, { force: ran, volumes: true });
        }
        expect(engine.status(id), effect).toBeNull();
        expect(engine.rowIds(), effect).toEqual([]);
        expect([...engine.snapshots], effect).toEqual([]);
      },
    );
  });
});

describe('errors of a rolled back start', () => {
  it('carry the failures of their clean-up', async () => {
    const seen: EngineError[] = [];
    await failEach(
      created,
      (engine, id) => engine.room.start(id),
      async ({ error }) => {
        if (error instanceof EngineError && error.cleanupFailures.length > 0) seen.push(error);
      },
      true,
    );
    expect(seen.length).toBeGreaterThan(0);
  });
});
