import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger, type LogFields, type Logger } from '../../../../src/base/logger.ts';
import type { EngineEvent } from '../../../../src/engine/index.ts';
import { PRUNE_NOTHING, type Prune, type PruneRequest } from '../../../../src/engine/prune/types.ts';
import {
  createSchedules,
  type ConfiguredSchedule,
  type EngineSchedules,
} from '../../../../src/engine/schedules/index.ts';
import type { ScheduleDefinition } from '../../../../src/engine/schedules/types.ts';
import { Database } from '../../../../src/engine/state/database.ts';
import { exampleSpec } from '../../../support/container-spec.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeEngine } from '../../../support/fake-engine.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

const PRUNE: ScheduleDefinition = {
  name: 'tidy',
  cron: '0 * * * *',
  timeZone: 'UTC',
  missed: 'skip',
  overlap: 'skip',
  randomDelaySeconds: 0,
  enabled: true,
  operation: { kind: 'prune', request: PRUNE_NOTHING, dryRun: false },
};

/** A prune that tells when it is asked, and ends when it is told. */
class FakePrune implements Prune {
  readonly asked: string[] = [];
  hold: PromiseWithResolvers<void> | null = null;
  failure: Error | null = null;

  async preview() {
    this.asked.push('preview');
    const victim = { type: 'image', id: 'i1', name: 'old:1', bytes: 5 } as const;
    return { victims: [victim], reclaimableBytes: 5 };
  }

  async run(_request: PruneRequest, signal: AbortSignal) {
    signal.throwIfAborted();
    this.asked.push('run');
    if (this.failure !== null) throw this.failure;
    const aborted = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error));
    });
    await Promise.race([this.hold?.promise, aborted]);
    const victim = { type: 'container', id: 'c1', name: 'old', bytes: 7 } as const;
    return { removed: [victim], imageRemovals: [], reclaimedBytes: 7 };
  }
}

let clock: FakeClock;
let engine: FakeEngine;
let database: Database;
let prune: FakePrune;
let events: EngineEvent[];
let lines: { readonly level: string; readonly fields: LogFields }[];
let schedules: EngineSchedules;

beforeEach(async () => {
  clock = new FakeClock('2026-01-01T00:30:00Z');
  engine = new FakeEngine(clock);
  database = Database.open(':memory:');
  prune = new FakePrune();
  events = [];
  lines = [];
  await boot();
});

afterEach(async () => {
  await schedules[Symbol.asyncDispose]();
});

/** An engine process: what is stored and what containers there are stays. */
async function boot(configured: readonly ConfiguredSchedule[] = []): Promise<void> {
  const note =
    (level: string) =>
    (_text: string, fields: LogFields = {}): void =>
      void lines.push({ level, fields });
  const logger: Logger = { ...silentLogger, info: note('info'), warn: note('warn') };
  const { containers, images } = engine;
  schedules = createSchedules({
    database,
    clock,
    logger,
    events: {
      listen: (listener) => engine.events.listen(listener),
      publish: (event) => void events.push({ ...event, time: clock.now() }),
    },
    rooms: { containers, images, prune, gc: engine.gc },
    random: () => 0.5,
  });
  await schedules.recover(configured);
}

const ended = async (): Promise<void> => {
  await schedules[Symbol.asyncDispose]();
};

const timeOf = (time: bigint | null): string | null =>
  time === null ? null : new Date(Number(time / 1_000_000n)).toISOString().slice(0, 19);

/** Containers are noticed by their events; changes are made one after another, so an empty one comes last. */
const settled = (): Promise<void> => schedules.configure([]);

async function container(command: readonly string[], labels: Readonly<Record<string, string>>, name = 'job') {
  const spec = { ...exampleSpec(), image: 'busybox', command, labels };
  const { id } = await engine.containers.create({ name, spec, frontDocument: null });
  await settled();
  return id;
}

const outcomes = (): readonly unknown[] => lines.map(({ fields }) => fields['outcome']);

describe('a schedule', () => {
  it('runs on time, again and again, and remembers', async () => {
    await schedules.add(PRUNE);
    expect(timeOf(schedules.get('tidy').nextRun)).toBe('2026-01-01T01:00:00');
    await clock.advance(30 * MINUTE_MS - 1);
    expect(prune.asked).toEqual([]);
    await clock.advance(1);
    expect(prune.asked).toEqual(['run']);
    await clock.advance(2 * HOUR_MS);
    expect(prune.asked).toEqual(['run', 'run', 'run']);
    expect(schedules.get('tidy')).toMatchObject({
      origin: 'dbus',
      isRunning: false,
      lastRun: { result: 'done', message: 'removed container old', reclaimedBytes: 7 },
    });
    expect(lines.at(-1)).toMatchObject({
      level: 'info',
      fields: { schedule: 'tidy', outcome: 'done', reclaimedBytes: 7, message: 'schedule-run' },
    });
  });

  it('is put off by its random delay', async () => {
    await schedules.add({ ...PRUNE, randomDelaySeconds: 600 });
    expect(timeOf(schedules.get('tidy').nextRun)).toBe('2026-01-01T01:05:00');
    await clock.advance(35 * MINUTE_MS);
    expect(prune.asked).toEqual(['run']);
    expect(timeOf(schedules.get('tidy').nextRun)).toBe('2026-01-01T02:05:00');
  });

  it('tells what a dry run would remove, and removes nothing', async () => {
    await schedules.add({ ...PRUNE, operation: { kind: 'prune', request: PRUNE_NOTHING, dryRun: true } });
    await clock.advance(HOUR_MS);
    expect(prune.asked).toEqual(['preview']);
    expect(schedules.get('tidy').lastRun).toMatchObject({ message: 'would remove image old:1', reclaimedBytes: 5 });
  });

  it('says why a run failed, and goes on', async () => {
    prune.failure = new Error('disk on fire');
    await schedules.add(PRUNE);
    await clock.advance(HOUR_MS);
    expect(schedules.get('tidy').lastRun).toMatchObject({ result: 'failed', message: 'disk on fire' });
    expect(lines.at(-1)).toMatchObject({ level: 'warn', fields: { outcome: 'failed', message: 'schedule-failed' } });
    prune.failure = null;
    await clock.advance(HOUR_MS);
    expect(schedules.get('tidy').lastRun).toMatchObject({ result: 'done' });
  });

  it('can be changed, switched off and on, and removed', async () => {
    await schedules.add(PRUNE);
    await schedules.modify('tidy', { cron: '45 * * * *' });
    expect(timeOf(schedules.get('tidy').nextRun)).toBe('2026-01-01T00:45:00');
    await schedules.modify('tidy', { enabled: false });
    expect(schedules.get('tidy').nextRun).toBeNull();
    expect(schedules.hasWork()).toBe(false);
    await clock.advance(24 * HOUR_MS);
    await schedules.modify('tidy', { enabled: true });
    await clock.advance(0);
    // What was due while it was off is over.
    expect(prune.asked).toEqual([]);
    expect(schedules.hasWork()).toBe(true);
    await schedules.remove('tidy');
    expect(schedules.list()).toEqual([]);
    await clock.advance(24 * HOUR_MS);
    expect(prune.asked).toEqual([]);
    expect(clock.pendingCount).toBe(0);
  });

  it('runs when it is told, and not twice at a time', async () => {
    await schedules.add(PRUNE);
    prune.hold = Promise.withResolvers();
    const run = schedules.runNow('tidy');
    await expect(schedules.runNow('tidy')).rejects.toThrow('schedule tidy is already running');
    expect(schedules.get('tidy').isRunning).toBe(true);
    prune.hold.resolve();
    await expect(run).resolves.toMatchObject({ result: 'done' });
    const canceling = new AbortController();
    prune.hold = Promise.withResolvers();
    const canceled = schedules.runNow('tidy', { signal: canceling.signal });
    canceling.abort(new Error('enough'));
    await expect(canceled).resolves.toMatchObject({ result: 'canceled' });
  });

  it.each([
    [{ cron: '61 * * * *' }, 'invalid schedule "61 * * * *"'],
    [{ timeZone: 'Mars' }, 'unknown time zone "Mars"'],
    [{ name: 'a b' }, 'invalid schedule name "a b"'],
    [{ name: 'prune' }, 'is kept for the configuration'],
    [{ name: 'container-x' }, 'is kept for the configuration and for labels'],
    [{ randomDelaySeconds: -1 }, 'the random delay is negative'],
  ])('is refused with %j', async (change: Partial<ScheduleDefinition>, text) => {
    await expect(schedules.add({ ...PRUNE, ...change })).rejects.toThrow(text);
    expect(schedules.list()).toEqual([]);
  });

  it('has a name of its own', async () => {
    await schedules.add(PRUNE);
    await expect(schedules.add(PRUNE)).rejects.toThrow('schedule tidy exists already');
    expect(() => schedules.get('other')).toThrow('No such schedule: other');
    await expect(schedules.remove('other')).rejects.toThrow('No such schedule: other');
  });
});

describe('missed runs', () => {
  it.each([
    ['skip', [], ['skipped']],
    ['run-once', ['run'], ['done']],
  ] as const)('after downtime with %s', async (missed, asked, told) => {
    await schedules.add({ ...PRUNE, missed });
    await ended();
    await clock.advance(5 * HOUR_MS);
    await boot();
    await clock.advance(1);
    expect(prune.asked).toEqual(asked);
    expect(outcomes()).toEqual(told);
    expect(timeOf(schedules.get('tidy').nextRun)).toBe('2026-01-01T06:00:00');
  });

  it('are none when nothing was due', async () => {
    await schedules.add({ ...PRUNE, missed: 'run-once' });
    await ended();
    await clock.advance(10 * MINUTE_MS);
    await boot();
    await clock.advance(1);
    expect(prune.asked).toEqual([]);
  });

  it('of an expression that has changed meanwhile are none', async () => {
    const configured = (cron: string): readonly ConfiguredSchedule[] => [
      { origin: 'daemon.json', definition: { ...PRUNE, name: 'prune', cron, missed: 'run-once' } },
    ];
    await schedules.configure(configured('0 * * * *'));
    await ended();
    await clock.advance(5 * HOUR_MS);
    await boot(configured('15 * * * *'));
    await clock.advance(1);
    expect(prune.asked).toEqual([]);
  });

  it('are told as interrupted when the engine ended during a run', async () => {
    await schedules.add(PRUNE);
    prune.hold = Promise.withResolvers();
    await clock.advance(HOUR_MS);
    await ended();
    await boot();
    expect(schedules.get('tidy')).toMatchObject({ isRunning: false, lastRun: { result: 'interrupted' } });
    expect(timeOf(schedules.get('tidy').nextRun)).toBe('2026-01-01T02:00:00');
  });
});

describe('overlap', () => {
  it('skip leaves a run out', async () => {
    await schedules.add(PRUNE);
    prune.hold = Promise.withResolvers();
    await clock.advance(2 * HOUR_MS);
    prune.hold.resolve();
    await clock.advance(0);
    expect(prune.asked).toEqual(['run']);
    expect(outcomes()).toEqual(['skipped', 'done']);
  });

  it('queue runs once more when the run ends, however many were due', async () => {
    await schedules.add({ ...PRUNE, overlap: 'queue' });
    const hold = Promise.withResolvers<void>();
    prune.hold = hold;
    await clock.advance(3 * HOUR_MS);
    prune.hold = null;
    hold.resolve();
    await clock.advance(0);
    expect(prune.asked).toEqual(['run', 'run']);
    expect(outcomes()).toEqual(['done', 'done']);
  });

  it('replace ends the run', async () => {
    await schedules.add({ ...PRUNE, overlap: 'replace' });
    prune.hold = Promise.withResolvers();
    await clock.advance(HOUR_MS);
    prune.hold = null;
    await clock.advance(HOUR_MS);
    expect(prune.asked).toEqual(['run', 'run']);
    expect(outcomes()).toEqual(['canceled', 'done']);
  });
});

describe('a container with a label', () => {
  const HOURLY = { 'moored.schedule': '0 * * * *', 'moored.schedule.timezone': 'UTC' };

  it('is started on time; its exit code is the result', async () => {
    const id = await container(['exit', '3'], HOURLY);
    expect(schedules.get('container-job')).toMatchObject({ origin: 'label', containerId: id, problem: null });
    await clock.advance(HOUR_MS);
    expect(schedules.get('container-job').lastRun).toMatchObject({ result: 'failed', message: 'exit code 3' });
    expect(lines.at(-1)?.fields).toMatchObject({ containerId: id, containerName: 'job', schedule: 'container-job' });
  });

  it('is found after a restart, renamed and removed with its container', async () => {
    const id = await container(['true'], HOURLY);
    await clock.advance(HOUR_MS);
    await ended();
    await boot();
    expect(schedules.get('container-job').lastRun).toMatchObject({ result: 'done' });
    await engine.containers.rename(id, 'other');
    await settled();
    expect(schedules.list().map(({ name }) => name)).toEqual(['container-other']);
    expect(schedules.get('container-other').lastRun).toMatchObject({ result: 'done' });
    await engine.containers.remove(id, { force: true, volumes: false });
    await settled();
    expect(schedules.list()).toEqual([]);
    expect(database.all('SELECT key FROM schedule')).toEqual([]);
  });

  it('that still runs is left alone, restarted or waited for', async () => {
    await container(['sleep'], HOURLY, 'kept');
    await container(['sleep'], { ...HOURLY, 'moored.schedule.overlap': 'replace' }, 'replaced');
    await container(['sleep'], { ...HOURLY, 'moored.schedule.overlap': 'queue' }, 'queued');
    const startOf = (name: string): unknown => {
      const { state } = engine.containers.get(name);
      return 'startedAt' in state ? timeOf(state.startedAt) : null;
    };
    await clock.advance(30 * MINUTE_MS);
    const first = '2026-01-01T01:00:00';
    expect(['kept', 'replaced', 'queued'].map(startOf)).toEqual([first, first, first]);
    await clock.advance(HOUR_MS);
    expect(['kept', 'replaced', 'queued'].map(startOf)).toEqual([first, '2026-01-01T02:00:00', first]);
    await clock.advance(30 * MINUTE_MS);
    await engine.containers.kill('queued', 'KILL');
    await clock.advance(0);
    expect(startOf('queued')).toBe('2026-01-01T02:30:00');
  });

  it('that somebody else has started follows the same rule', async () => {
    await container(['sleep'], HOURLY);
    await engine.containers.start('job');
    await clock.advance(HOUR_MS);
    expect(outcomes()).toEqual(['skipped']);
    await expect(schedules.runNow('container-job')).rejects.toThrow('its container runs');
  });

  it('goes on without the engine, and its end is the run’s', async () => {
    await container(['sleep'], HOURLY);
    await clock.advance(HOUR_MS);
    await ended();
    expect(engine.containers.get('job').state.status).toBe('running');
    await boot();
    expect(schedules.get('container-job').isRunning).toBe(true);
    await engine.containers.kill('job', 'KILL');
    await clock.advance(0);
    expect(schedules.get('container-job')).toMatchObject({ isRunning: false, lastRun: { message: 'exit code 137' } });
  });

  it('whose words are none is left alone, and that is told', async () => {
    const id = await container(['true'], { 'moored.schedule': 'sometimes' });
    expect(schedules.get('container-job')).toMatchObject({
      nextRun: null,
      problem: expect.stringContaining('invalid'),
    });
    expect(events).toMatchObject([{ type: 'container', action: 'schedule_invalid', actorId: id }]);
    expect(lines).toMatchObject([{ level: 'warn', fields: { outcome: 'invalid', containerId: id } }]);
    await clock.advance(24 * HOUR_MS);
    expect(engine.containers.get(id).state.status).toBe('created');
    expect(schedules.hasWork()).toBe(false);
  });

  it('cannot be changed or removed from elsewhere', async () => {
    await container(['true'], HOURLY);
    await expect(schedules.remove('container-job')).rejects.toThrow('follows a label of its container');
    await expect(schedules.modify('container-job', { enabled: false })).rejects.toThrow('change it there');
  });

  it('without one makes none', async () => {
    await container(['true'], { other: 'label' });
    expect(schedules.list()).toEqual([]);
    expect(clock.pendingCount).toBe(0);
  });
});

describe('the configuration', () => {
  const of = (cron: string, origin: ConfiguredSchedule['origin'] = 'sysconfig'): readonly ConfiguredSchedule[] => [
    { origin, definition: { ...PRUNE, name: 'prune', cron } },
  ];

  it('makes, changes and takes away its own', async () => {
    const told: string[] = [];
    using _listening = schedules.listen(({ kind, name }) => void told.push(`${kind} ${name}`));
    await schedules.configure(of('0 * * * *'));
    await clock.advance(HOUR_MS);
    await schedules.configure(of('30 * * * *'));
    expect(schedules.get('prune')).toMatchObject({ origin: 'sysconfig', cron: '30 * * * *' });
    expect(schedules.get('prune').lastRun).toMatchObject({ result: 'done' });
    await schedules.configure(of('30 * * * *', 'daemon.json'));
    expect(schedules.get('prune')).toMatchObject({ origin: 'daemon.json', lastRun: { result: 'done' } });
    await expect(schedules.remove('prune')).rejects.toThrow('follows the configuration (daemon.json)');
    await schedules.configure([]);
    expect(schedules.list()).toEqual([]);
    expect([told[0], told.at(-1)]).toEqual(['added prune', 'removed prune']);
  });

  it('leaves what others have made', async () => {
    await schedules.add(PRUNE);
    await schedules.configure(of('0 0 * * *'));
    await schedules.configure([]);
    expect(schedules.list().map(({ name }) => name)).toEqual(['tidy']);
  });
});

describe('other operations', () => {
  it('that are removed while they run hold no other up', async () => {
    const stopped = Promise.withResolvers<void>();
    const id = await container(['true'], {});
    engine.containers.restart = () => stopped.promise;
    await schedules.add({ ...PRUNE, operation: { kind: 'restart-container', container: id } });
    void schedules.runNow('tidy');
    const removed = schedules.remove('tidy');
    await schedules.add({ ...PRUNE, name: 'other' });
    expect(schedules.list().map(({ name }) => name)).toEqual(['other']);
    stopped.resolve();
    await removed;
  });

  it('that end after the engine write nothing any more', async () => {
    const stopped = Promise.withResolvers<void>();
    const id = await container(['true'], {});
    engine.containers.restart = () => stopped.promise;
    await schedules.add({ ...PRUNE, operation: { kind: 'restart-container', container: id } });
    const run = schedules.runNow('tidy');
    await ended();
    database[Symbol.dispose]();
    stopped.resolve();
    await expect(run).resolves.toMatchObject({ result: 'done' });
  });

  it('restart a container', async () => {
    const id = await container(['sleep'], {}, 'web');
    await engine.containers.start(id);
    await schedules.add({ ...PRUNE, name: 'again', operation: { kind: 'restart-container', container: 'web' } });
    await clock.advance(HOUR_MS);
    const { state } = engine.containers.get('web');
    expect('startedAt' in state ? timeOf(state.startedAt) : null).toBe('2026-01-01T01:00:00');
  });

  it('pull an image', async () => {
    await schedules.add({ ...PRUNE, name: 'fresh', operation: { kind: 'pull', reference: 'busybox:latest' } });
    await clock.advance(HOUR_MS);
    expect(schedules.get('fresh').lastRun).toMatchObject({ result: 'done', reclaimedBytes: 0 });
  });

  it('of a container that is gone fail', async () => {
    await schedules.add({ ...PRUNE, name: 'ghost', operation: { kind: 'run-container', container: 'ghost' } });
    await clock.advance(HOUR_MS);
    expect(schedules.get('ghost').lastRun).toMatchObject({
      result: 'failed',
      message: expect.stringContaining('No such container'),
    });
  });
});
