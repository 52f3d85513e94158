import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../../src/base/logger.ts';
import { variant } from '../../../../src/dbus/bus/exported.ts';
import { JobRegistry } from '../../../../src/dbus/jobs/job-registry.ts';
import { namedPath } from '../../../../src/dbus/names.ts';
import { mirrorSchedules } from '../../../../src/dbus/objects/schedule.ts';
import { scheduleOf } from '../../../../src/dbus/words/schedule-words.ts';
import { exampleSpec } from '../../../support/container-spec.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeEngine } from '../../../support/fake-engine.ts';
import { callOf, RecordingTree } from '../../../support/recording-tree.ts';

const TIDY = namedPath('schedule', 'tidy');
const HOUR_MS = 3_600_000;

let clock: FakeClock;
let engine: FakeEngine;
let tree: RecordingTree;
let jobs: JobRegistry;
let mirror: Disposable;

beforeEach(() => {
  clock = new FakeClock('2026-01-01T00:30:00Z');
  engine = new FakeEngine(clock);
  tree = new RecordingTree();
  jobs = new JobRegistry({ tree, clock, logger: silentLogger });
  mirror = mirrorSchedules({ engine, tree, jobs });
});

afterEach(async () => {
  mirror[Symbol.dispose]();
  await engine.schedules[Symbol.asyncDispose]();
});

const add = (operation = 'prune', options = {}) =>
  engine.schedules.add(scheduleOf('tidy', '0 * * * *', operation, { TimeZone: variant('s', 'UTC'), ...options }));

describe('schedules on the bus', () => {
  it('come, change and go with the engine’s', async () => {
    await add();
    expect(tree.properties(TIDY)).toEqual({
      Name: 'tidy',
      Cron: '0 * * * *',
      TimeZone: 'UTC',
      Operation: 'prune',
      Enabled: true,
      Missed: 'skip',
      Overlap: 'skip',
      RandomDelay: 0n,
      Problem: '',
      Running: false,
      NextRun: BigInt(Date.parse('2026-01-01T01:00:00Z')) * 1000n,
      LastRun: 0n,
      LastResult: '',
      LastMessage: '',
      LastReclaimed: 0n,
      Origin: 'dbus',
    });
    await clock.advance(HOUR_MS);
    expect(tree.properties(TIDY)).toMatchObject({
      LastResult: 'done',
      LastRun: BigInt(Date.parse('2026-01-01T01:00:00Z')) * 1000n,
      NextRun: BigInt(Date.parse('2026-01-01T02:00:00Z')) * 1000n,
    });
    await tree.call(TIDY, 'Modify', ['15 * * * *', { Persistent: variant('b', true) }], callOf());
    expect(tree.properties(TIDY)).toMatchObject({ Cron: '15 * * * *', Missed: 'run-once' });
    await tree.call(TIDY, 'Modify', ['', { Enabled: variant('b', false) }], callOf());
    expect(tree.properties(TIDY)).toMatchObject({ Cron: '15 * * * *', Enabled: false, NextRun: 0n });
    await tree.call(TIDY, 'Remove', [], callOf());
    expect(tree.has(TIDY)).toBe(false);
  });

  it('are there that were made before', async () => {
    mirror[Symbol.dispose]();
    await add();
    mirror = mirrorSchedules({ engine, tree, jobs });
    expect(tree.has(TIDY)).toBe(true);
  });

  it('run now as a job', async () => {
    await add();
    const [job] = await tree.call(TIDY, 'RunNow', [], callOf());
    await clock.advance(0);
    expect(tree.properties(job as string)).toMatchObject({ State: 'finished', Result: 'done', Type: 'schedule' });
    expect(tree.properties(TIDY)).toMatchObject({ LastResult: 'done' });
  });

  it('ask for what their operation needs, and the job fails as the run does', async () => {
    const spec = { ...exampleSpec(), image: 'busybox', command: ['exit', '3'] };
    await engine.containers.create({ name: 'web', spec, frontDocument: null });
    await add('run-container', { Container: variant('s', 'web') });
    const asked: unknown[] = [];
    const call = { ...callOf(), authorize: async (...args: readonly unknown[]) => void asked.push(args) };
    const [job] = await tree.call(TIDY, 'RunNow', [], call);
    expect(asked).toEqual([['manage-containers', { schedule: 'tidy', scheduled: 'run-container', container: 'web' }]]);
    await clock.advance(0);
    expect(tree.properties(job as string)).toMatchObject({ Result: 'failed' });
    expect(tree.properties(TIDY)).toMatchObject({ LastResult: 'failed', LastMessage: 'exit code 3' });
  });

  it.each([
    ['Modify', ['61 * * * *', {}], 'invalid schedule "61 * * * *"'],
    ['Modify', ['', { TimeZone: variant('s', 'Mars') }], 'unknown time zone "Mars"'],
    ['Modify', ['', { Overlap: variant('s', 'maybe') }], 'must be one of skip, queue, replace'],
    ['Modify', ['', { Nonsense: variant('b', true) }], 'unknown key "Nonsense"'],
  ] as const)('refuse %s with %j', async (member, args, text) => {
    await add();
    await expect(tree.call(TIDY, member, args, callOf())).rejects.toThrow(text);
  });
});
