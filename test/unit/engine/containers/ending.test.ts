import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { ConflictError, InvalidArgumentError } from '../../../../src/base/errors.ts';
import { ContainersFixture } from '../../../support/containers-fixture.ts';

const { SIGHUP, SIGINT, SIGKILL, SIGTERM } = constants.signals;
const OWN = { signal: null, timeoutSeconds: null };

/** Signals that the container's process was sent. */
const signalsOf = (engine: ContainersFixture): readonly string[] =>
  engine.script.calls.filter((call) => call.startsWith('signal ')).map((call) => call.split(' ')[2] ?? '');

describe('stop', () => {
  it('asks, and tells kill, die, stop', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    expect(await engine.room.stop(id, OWN)).toBe(true);
    expect(signalsOf(engine)).toEqual([String(SIGTERM)]);
    expect(engine.actions.slice(2)).toEqual(['kill', 'die', 'stop']);
    expect(engine.get(id).state).toMatchObject({ status: 'exited', lastExit: { exitCode: 128 + SIGTERM } });
    expect(await engine.room.stop(id, OWN)).toBe(false);
    expect(engine.actions.slice(5)).toEqual([]);
  });

  it.each([
    ['the container’s own time', { stopTimeoutSeconds: 3 }, OWN, 3],
    ['the time given', { stopTimeoutSeconds: 3 }, { signal: null, timeoutSeconds: 1 }, 1],
    ['ten seconds', {}, OWN, 10],
  ] as const)('kills after %s', async (_title, change, how, seconds) => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run(change);
    engine.monitor.taskOf(id).ignoredSignals.add(SIGTERM);
    const stopped = engine.room.stop(id, how);
    await engine.settle();
    await engine.clock.advance(seconds * 1000 - 1);
    expect(engine.status(id)).toBe('running');
    await engine.clock.advance(1);
    expect(await stopped).toBe(true);
    expect(signalsOf(engine)).toEqual([String(SIGTERM), String(SIGKILL)]);
    expect(engine.get(id).state).toMatchObject({ lastExit: { exitCode: 137 } });
  });

  it('without time kills at once, with -1 never', async () => {
    await using engine = await ContainersFixture.open();
    const hasty = await engine.run();
    engine.monitor.taskOf(hasty).ignoredSignals.add(SIGTERM);
    const killed = engine.room.stop(hasty, { signal: null, timeoutSeconds: 0 });
    await engine.settle();
    await engine.clock.advance(0);
    expect(await killed).toBe(true);
    expect(signalsOf(engine)).toEqual([String(SIGTERM), String(SIGKILL)]);
    const patient = await engine.run();
    const task = engine.monitor.taskOf(patient);
    task.ignoredSignals.add(SIGTERM);
    const stopped = engine.room.stop(patient, { signal: null, timeoutSeconds: -1 });
    await engine.settle();
    await engine.clock.advance(3_600_000);
    expect(engine.status(patient)).toBe('running');
    task.end();
    expect(await stopped).toBe(true);
    expect(task.signals).toEqual([SIGTERM]);
  });

  it('takes the image’s or the given signal, and refuses one there is not', async () => {
    await using engine = await ContainersFixture.open({ imageConfig: { StopSignal: 'SIGINT' } });
    const first = await engine.run();
    await engine.room.stop(first, OWN);
    const second = await engine.run();
    await engine.room.stop(second, { signal: 'HUP', timeoutSeconds: null });
    expect(signalsOf(engine)).toEqual([String(SIGINT), String(SIGHUP)]);
    const third = await engine.run();
    await expect(engine.room.stop(third, { signal: 'NOPE', timeoutSeconds: null })).rejects.toThrow(
      InvalidArgumentError,
    );
    expect(engine.status(third)).toBe('running');
  });

  it('of a paused container lets it go on, to die', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    await engine.room.pause(id);
    expect(await engine.room.stop(id, OWN)).toBe(true);
    expect(engine.script.calls).toContain(`resume ${id}`);
    expect(engine.status(id)).toBe('exited');
    expect(engine.leftovers()).toEqual([]);
  });

  it('twice at once ends it once', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    await Promise.all([engine.room.stop(id, OWN), engine.room.stop(id, OWN)]);
    expect(engine.actions.filter((action) => action === 'die')).toHaveLength(1);
    expect(engine.status(id)).toBe('exited');
  });

  it('and start close together are both seen by who waits', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    const { result } = engine.room.wait(id, 'not-running', new AbortController().signal);
    await engine.room.restart(id, OWN);
    expect(await result).toMatchObject({ exitCode: 128 + SIGTERM });
    expect(engine.status(id)).toBe('running');
  });
});

describe('kill', () => {
  it('sends any signal, and ends only by one that ends', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    const task = engine.monitor.taskOf(id);
    task.ignoredSignals.add(SIGHUP);
    await engine.room.kill(id, 'SIGHUP');
    expect(engine.status(id)).toBe('running');
    expect(engine.events.at(-1)).toMatchObject({ action: 'kill', attributes: { signal: String(SIGHUP) } });
    await engine.room.kill(id, 'KILL');
    expect(engine.status(id)).toBe('exited');
    expect(task.signals).toEqual([SIGHUP, SIGKILL]);
  });

  it('of what does not run, or by a signal there is not, says so', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create({}, 'box');
    await expect(engine.room.kill('box', 'KILL')).rejects.toThrow(
      `cannot kill container: box: container ${id} is not running`,
    );
    await engine.room.start(id);
    await expect(engine.room.kill('box', 'NOPE')).rejects.toThrow('invalid signal: NOPE');
    expect(signalsOf(engine)).toEqual([]);
  });

  it('is a wish that it stays ended, whatever its policy', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run({ host: { restartPolicy: { name: 'always', maximumRetryCount: 0 } } });
    await engine.room.kill(id, '');
    expect(engine.status(id)).toBe('exited');
    await engine.clock.advance(100_000);
    expect(engine.status(id)).toBe('exited');
  });

  it('of a paused container by KILL ends it', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    await engine.room.pause(id);
    await engine.room.kill(id, 'KILL');
    expect(engine.status(id)).toBe('exited');
  });
});

describe('restart', () => {
  it('tells kill, die, stop, start, restart; a --rm container outlives it', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run({ host: { autoRemove: true } });
    await engine.room.restart(id, OWN);
    expect(engine.actions.slice(2)).toEqual(['kill', 'die', 'stop', 'start', 'restart']);
    expect(engine.status(id)).toBe('running');
    engine.monitor.taskOf(id).end();
    await engine.settle();
    expect(engine.belongings()).toEqual([]);
  });

  it('of what does not run starts it', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    await engine.room.restart(id, OWN);
    expect(engine.actions.slice(1)).toEqual(['start', 'restart']);
  });
});

describe('a restart policy', () => {
  const always = { host: { restartPolicy: { name: 'always', maximumRetryCount: 0 } } } as const;

  it('starts it again after ever longer pauses, counts, and begins anew after a healthy run', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run(always);
    for (const [count, delayMs] of [100, 200, 400, 800].entries()) {
      engine.monitor.taskOf(id).end({ exitCode: 1 });
      await engine.settle();
      expect(engine.get(id).state).toMatchObject({ status: 'restarting', restartCount: count + 1 });
      expect(engine.leftovers()).toEqual([]);
      await engine.clock.advance(delayMs - 1);
      expect(engine.status(id)).toBe('restarting');
      await engine.clock.advance(1);
      await engine.until(() => engine.status(id) === 'running');
    }
    await engine.clock.advance(10_001);
    engine.monitor.taskOf(id).end();
    await engine.settle();
    await engine.clock.advance(100);
    await engine.until(() => engine.status(id) === 'running');
  });

  it('begins its pauses anew when a user starts it', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run(always);
    for (const delayMs of [100, 200, 400]) {
      engine.monitor.taskOf(id).end({ exitCode: 1 });
      await engine.settle();
      await engine.clock.advance(delayMs);
      await engine.until(() => engine.status(id) === 'running');
    }
    await engine.room.stop(id, OWN);
    await engine.room.start(id);
    engine.monitor.taskOf(id).end({ exitCode: 1 });
    await engine.settle();
    await engine.clock.advance(100);
    await engine.until(() => engine.status(id) === 'running');
    expect(engine.get(id).state).toMatchObject({ restartCount: 1 });
  });

  it('gives up after on-failure:2, and leaves a clean exit alone', async () => {
    await using engine = await ContainersFixture.open();
    const host = { restartPolicy: { name: 'on-failure', maximumRetryCount: 2 } } as const;
    const id = await engine.run({ host });
    for (let run = 0; run < 2; run++) {
      engine.monitor.taskOf(id).end({ exitCode: 1 });
      await engine.settle();
      await engine.clock.advance(60_000);
      await engine.until(() => engine.status(id) === 'running');
    }
    engine.monitor.taskOf(id).end({ exitCode: 1 });
    await engine.settle();
    expect(engine.status(id)).toBe('exited');
    const clean = await engine.run({ host });
    engine.monitor.taskOf(clean).end({ exitCode: 0 });
    await engine.settle();
    expect(engine.status(clean)).toBe('exited');
  });

  it.each([
    ['stop', async (engine: ContainersFixture, id: string): Promise<unknown> => engine.room.stop(id, OWN)],
    ['kill', async (engine: ContainersFixture, id: string): Promise<unknown> => engine.room.kill(id, 'KILL')],
  ])('is called off by %s in its pause', async (_verb, end) => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run(always);
    engine.monitor.taskOf(id).end({ exitCode: 1 });
    await engine.settle();
    await end(engine, id);
    expect(engine.status(id)).toBe('exited');
    await engine.clock.advance(100_000);
    expect(engine.status(id)).toBe('exited');
  });

  it('in its pause keeps the container from other verbs, but rm -f removes it', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run(always);
    engine.monitor.taskOf(id).end({ exitCode: 1 });
    await engine.settle();
    await expect(engine.room.pause(id)).rejects.toThrow('is restarting, wait until the container is running');
    await expect(engine.room.remove(id, { force: false, volumes: false })).rejects.toThrow(ConflictError);
    await engine.room.remove(id, { force: true, volumes: false });
    await engine.clock.advance(100_000);
    expect(engine.belongings()).toEqual([]);
  });

  it('whose start fails rests, told in the log', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run(always);
    engine.monitor.taskOf(id).end({ exitCode: 1 });
    await engine.settle();
    engine.script.failNth(3);
    await engine.clock.advance(100);
    await engine.until(() => engine.status(id) === 'exited');
    expect(engine.complaints).toEqual(['a restart by policy failed']);
    expect(engine.leftovers()).toEqual([]);
  });
});

describe('closing', () => {
  it('lets containers run where it is not told to stop them', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    await engine.room.close({ stopContainers: false });
    await engine.room.close({ stopContainers: false });
    expect(engine.status(id)).toBe('running');
    await engine.reopen();
    expect(engine.status(id)).toBe('running');
  });

  it('stops all at the same time, each with its own time, without a policy’s restart, and they come back', async () => {
    await using engine = await ContainersFixture.open({ options: { shutdownTimeoutSeconds: 5 } });
    const host = { restartPolicy: { name: 'unless-stopped', maximumRetryCount: 0 } } as const;
    const stubborn = await engine.run({ stopTimeoutSeconds: 60, host });
    const eternal = await engine.run({ stopTimeoutSeconds: -1 });
    const meek = await engine.run({ host });
    const plain = await engine.run();
    for (const id of [stubborn, eternal]) engine.monitor.taskOf(id).ignoredSignals.add(SIGTERM);
    const closed = engine.room.close({ stopContainers: true });
    await engine.settle();
    expect([stubborn, meek, plain].map((id) => engine.status(id))).toEqual(['running', 'exited', 'exited']);
    // Who would take for ever is bounded by the engine's time; who asked for a minute has it.
    await engine.clock.advance(5000);
    await engine.until(() => engine.status(eternal) === 'exited');
    expect(engine.status(stubborn)).toBe('running');
    await engine.clock.advance(55_000);
    await closed;
    expect(engine.status(stubborn)).toBe('exited');
    expect(engine.leftovers()).toEqual([]);
    await engine.reopen();
    await engine.room.started(60_000);
    expect([stubborn, meek].map((id) => engine.status(id))).toEqual(['running', 'running']);
    expect(engine.status(plain)).toBe('exited');
  });
});
