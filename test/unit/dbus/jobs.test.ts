import { describe, expect, test } from 'vitest';
import { ForbiddenError, InternalError } from '../../../src/base/errors.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { variant } from '../../../src/dbus/bus/exported.ts';
import { JobRegistry } from '../../../src/dbus/jobs/job-registry.ts';
import type { JobProgress, JobRequest } from '../../../src/dbus/jobs/jobs.ts';
import { MANAGER_PATH } from '../../../src/dbus/names.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { callOf, RecordingTree } from '../../support/recording-tree.ts';

const JOB_1 = '/org/moored/Engine1/job/1';

function setUp() {
  const clock = new FakeClock();
  const tree = new RecordingTree();
  const jobs = new JobRegistry({ tree, clock, logger: silentLogger });
  return { clock, tree, jobs };
}

function requestOf(options: Partial<JobRequest> = {}): JobRequest {
  return {
    type: 'pull',
    objects: ['/org/moored/Engine1/image/aa'],
    call: callOf({ uid: 1000 }),
    action: 'manage-images',
    details: { image: 'busybox' },
    cancelable: true,
    ...options,
  };
}

/** Work that ends when the test says so. */
function heldWork() {
  const gate = Promise.withResolvers<Record<string, ReturnType<typeof variant>>>();
  let progress: JobProgress | null = null;
  return {
    work: (given: JobProgress) => {
      progress = given;
      given.signal.addEventListener('abort', () => {
        gate.reject(given.signal.reason);
      });
      return gate.promise;
    },
    gate,
    get progress(): JobProgress {
      if (progress === null) throw new Error('the work has not begun');
      return progress;
    },
  };
}

describe('life of a job', () => {
  test('is announced before the reply, works after it, is announced again at its end and stays a minute', async () => {
    const { clock, tree, jobs } = setUp();
    const held = heldWork();
    const path = jobs.start(requestOf(), held.work);

    expect(path).toBe(JOB_1);
    expect(tree.announced[0]).toMatchObject({ kind: 'added', path: JOB_1, values: { State: 'queued', Result: '' } });
    expect(tree.signals).toEqual([
      {
        path: MANAGER_PATH,
        interfaceName: 'org.moored.Engine1.Manager',
        signal: 'JobNew',
        args: [1, JOB_1],
        destination: null,
      },
    ]);
    expect(() => held.progress).toThrow('has not begun');

    await clock.advance(0);
    expect(tree.properties(JOB_1)).toMatchObject({
      State: 'running',
      Type: 'pull',
      StartedByUID: 1000,
      Cancelable: true,
      Progress: -1,
      StartedAt: BigInt(Date.parse('2026-01-01T00:00:00Z')) * 1000n,
      Objects: ['/org/moored/Engine1/image/aa'],
    });

    held.gate.resolve({ Digest: variant('s', 'sha256:aa') });
    await clock.advance(0);
    expect(tree.properties(JOB_1)).toMatchObject({
      State: 'finished',
      Result: 'done',
      ErrorName: '',
      Cancelable: false,
      Details: { Digest: variant('s', 'sha256:aa') },
    });
    expect(tree.sent('Completed')[0]?.args).toEqual(['done', { Digest: variant('s', 'sha256:aa') }]);
    expect(tree.sent('JobRemoved')[0]?.args).toEqual([1, JOB_1, 'done', { Digest: variant('s', 'sha256:aa') }]);

    await clock.advance(59_999);
    expect(tree.has(JOB_1)).toBe(true);
    await clock.advance(1);
    expect(tree.has(JOB_1)).toBe(false);
    expect(jobs.list()).toEqual([]);
    expect(clock.pendingCount).toBe(0);
  });

  test('says in its own words and in the signals why it failed', async () => {
    const { clock, tree, jobs } = setUp();
    jobs.start(requestOf(), () => Promise.reject(new InternalError('the disk is full')));
    await clock.advance(0);
    const why = { ErrorName: 'org.moored.Engine1.Error.Failed', ErrorMessage: 'the disk is full' };
    expect(tree.properties(JOB_1)).toMatchObject({ Result: 'failed', ...why });
    expect(tree.sent('Completed')[0]?.args).toEqual([
      'failed',
      { ErrorName: variant('s', why.ErrorName), ErrorMessage: variant('s', why.ErrorMessage) },
    ]);
  });

  test('tells a time-out from a failure', async () => {
    const { clock, tree, jobs } = setUp();
    jobs.start(requestOf(), () => Promise.reject(new DOMException('it took too long', 'TimeoutError')));
    await clock.advance(0);
    expect(tree.properties(JOB_1)).toMatchObject({
      Result: 'timeout',
      ErrorName: 'org.moored.Engine1.Error.Timeout',
      ErrorMessage: 'it took too long',
    });
  });

  test('goes on when its starter has left the bus', async () => {
    const { clock, tree, jobs } = setUp();
    const caller = { name: ':1.1', isHere: true };
    const held = heldWork();
    jobs.start(requestOf({ call: callOf({ uid: 1000, caller }) }), held.work);
    await clock.advance(0);
    caller.isHere = false;
    held.progress.log(6, 'nobody hears this');
    held.gate.resolve({});
    await clock.advance(0);
    expect(tree.properties(JOB_1)).toMatchObject({ Result: 'done' });
    expect(tree.sent('Log')).toEqual([]);
  });

  test('keeps the newest 256 finished jobs only', async () => {
    const { clock, tree, jobs } = setUp();
    for (let i = 0; i < 260; i += 1) jobs.start(requestOf(), () => Promise.resolve({}));
    await clock.advance(0);
    expect(jobs.list()).toHaveLength(256);
    expect(jobs.list()[0]?.id).toBe(5);
    expect(tree.has(JOB_1)).toBe(false);
  });

  test('refuses more work than the daemon can hold', () => {
    const { jobs } = setUp();
    for (let i = 0; i < 1024; i += 1) jobs.start(requestOf(), () => Promise.resolve({}));
    expect(() => jobs.start(requestOf(), () => Promise.resolve({}))).toThrow('too many jobs are under way');
  });
});

describe('Cancel', () => {
  test('by its starter ends the job as canceled', async () => {
    const { clock, tree, jobs } = setUp();
    const held = heldWork();
    jobs.start(requestOf(), held.work);
    await clock.advance(0);
    await tree.call(JOB_1, 'Cancel', [], callOf({ uid: 1000, authorize: refuse }));
    await clock.advance(0);
    expect(tree.properties(JOB_1)).toMatchObject({
      Result: 'canceled',
      ErrorName: 'org.moored.Engine1.Error.Cancelled',
      ErrorMessage: 'the job was canceled',
    });
  });

  test('by another needs the right to do what the job does', async () => {
    const { clock, tree, jobs } = setUp();
    const held = heldWork();
    jobs.start(requestOf(), held.work);
    await clock.advance(0);
    await expect(tree.call(JOB_1, 'Cancel', [], callOf({ uid: 1001, authorize: refuse }))).rejects.toThrow(
      'not allowed',
    );
    const asked: unknown[] = [];
    const authorize = (action: string, details: unknown): Promise<void> => {
      asked.push([action, details]);
      return Promise.resolve();
    };
    await tree.call(JOB_1, 'Cancel', [], callOf({ uid: 1001, authorize }));
    await clock.advance(0);
    expect(asked).toEqual([['manage-images', { image: 'busybox', job: 'pull' }]]);
    expect(tree.properties(JOB_1)['Result']).toBe('canceled');
  });

  test('before the work has begun leaves it undone', async () => {
    const { clock, tree, jobs } = setUp();
    let hasBegun = false;
    jobs.start(requestOf(), () => {
      hasBegun = true;
      return Promise.resolve({});
    });
    await tree.call(JOB_1, 'Cancel', [], callOf());
    await clock.advance(0);
    expect(tree.properties(JOB_1)['Result']).toBe('canceled');
    expect(hasBegun).toBe(false);
  });

  test('is refused for what cannot be canceled, and for what has finished', async () => {
    const { clock, tree, jobs } = setUp();
    jobs.start(requestOf({ cancelable: false }), () => Promise.resolve({}));
    await expect(tree.call(JOB_1, 'Cancel', [], callOf())).rejects.toThrow('job 1 cannot be canceled');
    await clock.advance(0);
    await expect(tree.call(JOB_1, 'Cancel', [], callOf())).rejects.toThrow('job 1 has finished already');
  });

  test('leaves a job done that is done before it noticed', async () => {
    const { clock, tree, jobs } = setUp();
    const gate = Promise.withResolvers<object>();
    jobs.start(requestOf(), () => gate.promise.then(() => ({})));
    await clock.advance(0);
    await tree.call(JOB_1, 'Cancel', [], callOf());
    gate.resolve({});
    await clock.advance(0);
    expect(tree.properties(JOB_1)['Result']).toBe('done');
  });
});

describe('progress', () => {
  test('leaves at most four times a second, and the last is never lost', async () => {
    const { clock, tree, jobs } = setUp();
    const held = heldWork();
    jobs.start(requestOf(), held.work);
    await clock.advance(0);
    for (let i = 1; i <= 100; i += 1) {
      held.progress.report({ phase: 'downloading', done: i, total: 200 });
      await clock.advance(10);
    }
    const first = tree.sent('Progress');
    expect(first.length).toBeLessThanOrEqual(5);
    expect(first[0]?.args).toEqual([0.005, 1, 200, 'downloading']);
    held.progress.report({ phase: 'downloading', done: 200, total: 200 });
    held.gate.resolve({});
    await clock.advance(0);
    expect(tree.sent('Progress').at(-1)?.args).toEqual([1, 200, 200, 'downloading']);
    expect(tree.signals.map(({ signal }) => signal).slice(-2)).toEqual(['Completed', 'JobRemoved']);
  });

  test('of items comes with the newest word of each', async () => {
    const { clock, tree, jobs } = setUp();
    const held = heldWork();
    jobs.start(requestOf(), held.work);
    await clock.advance(0);
    for (let i = 1; i <= 3; i += 1) {
      held.progress.item({ item: 'layer-a', phase: 'downloading', done: i, total: 3 });
      held.progress.item({ item: 'layer-b', phase: 'extracting', done: i, total: 3 });
    }
    await clock.advance(250);
    expect(tree.sent('ItemProgress').map(({ args }) => args)).toEqual([
      ['layer-a', 'downloading', 1, 3],
      ['layer-b', 'extracting', 3, 3],
      ['layer-a', 'downloading', 3, 3],
    ]);
  });

  test('of very many items is spread, and all are told at the end', async () => {
    const { clock, tree, jobs } = setUp();
    const held = heldWork();
    jobs.start(requestOf(), held.work);
    await clock.advance(0);
    for (let i = 0; i < 40; i += 1) held.progress.item({ item: `l${String(i)}`, phase: 'waiting', done: 0, total: 0 });
    await clock.advance(250);
    expect(tree.sent('ItemProgress')).toHaveLength(9);
    held.gate.resolve({});
    await clock.advance(0);
    expect(tree.sent('ItemProgress')).toHaveLength(40);
  });

  test('gives a rate and an expected end, and neither before they are known', async () => {
    const { clock, tree, jobs } = setUp();
    const held = heldWork();
    jobs.start(requestOf(), held.work);
    await clock.advance(0);
    held.progress.report({ phase: 'downloading', done: 0, total: 10_000 });
    expect(tree.properties(JOB_1)).toMatchObject({ Rate: 0, ExpectedEndTime: 0n, Progress: 0 });
    for (let i = 1; i <= 4; i += 1) {
      await clock.advance(250);
      held.progress.report({ phase: 'downloading', done: 250 * i, total: 10_000 });
    }
    await clock.advance(250);
    const { Rate, ExpectedEndTime } = tree.properties(JOB_1);
    expect(Rate).toBe(1000);
    const leftUsec = (ExpectedEndTime as bigint) - clock.now() / 1000n;
    expect(Number(leftUsec)).toBe(9_000_000);
    held.progress.report({ phase: 'unpacking', done: 0, total: 0 });
    expect(tree.properties(JOB_1)).toMatchObject({ Rate: 0, ExpectedEndTime: 0n, Progress: -1 });
  });

  test('makes whole, unsigned numbers of what it gets', async () => {
    const { clock, tree, jobs } = setUp();
    const held = heldWork();
    jobs.start(requestOf(), held.work);
    await clock.advance(0);
    held.progress.report({ phase: '', done: Number.NaN, total: -3.5 });
    expect(tree.sent('Progress').at(-1)?.args).toEqual([-1, 0, 0, '']);
  });

  test('logs go to the starter alone, as bytes', async () => {
    const { clock, tree, jobs } = setUp();
    const held = heldWork();
    jobs.start(requestOf({ call: callOf({ caller: { name: ':1.77', isHere: true } }) }), held.work);
    await clock.advance(0);
    held.progress.log(4, 'layer exists');
    expect(tree.sent('Log')).toEqual([
      {
        path: JOB_1,
        interfaceName: 'org.moored.Engine1.Job',
        signal: 'Log',
        args: [4, Buffer.from('layer exists')],
        destination: ':1.77',
      },
    ]);
  });

  test('after the end is not heard', async () => {
    const { clock, tree, jobs } = setUp();
    const held = heldWork();
    jobs.start(requestOf(), held.work);
    await clock.advance(0);
    held.gate.resolve({});
    await clock.advance(0);
    const count = tree.signals.length;
    held.progress.report({ phase: 'late', done: 1, total: 1 });
    held.progress.log(6, 'late');
    await clock.advance(1000);
    expect(tree.signals).toHaveLength(count);
  });
});

describe('waiting', () => {
  const never = new AbortController().signal;

  test('replies at the end, and at once when that was less than a minute ago', async () => {
    const { clock, jobs } = setUp();
    const held = heldWork();
    jobs.start(requestOf(), held.work);
    const waiting = jobs.wait(1, null, never);
    await clock.advance(0);
    held.gate.resolve({});
    await expect(waiting).resolves.toMatchObject({ result: 'done' });
    await expect(jobs.wait(1, null, never)).resolves.toMatchObject({ result: 'done' });
    await clock.advance(60_000);
    await expect(jobs.wait(1, null, never)).rejects.toThrow('No such job: 1');
  });

  test('gives up after the time, and when the caller leaves; the job goes on', async () => {
    const { clock, tree, jobs } = setUp();
    jobs.start(requestOf(), heldWork().work);
    const inTime = expect(jobs.wait(1, 1000, never)).rejects.toMatchObject({
      busName: 'org.moored.Engine1.Error.Timeout',
      message: 'job 1 has not finished yet',
    });
    await clock.advance(1000);
    await inTime;
    const leaving = new AbortController();
    const left = expect(jobs.wait(1, null, leaving.signal)).rejects.toThrow('left the bus');
    leaving.abort(new Error('left the bus'));
    await left;
    expect(tree.properties(JOB_1)['State']).toBe('running');
    expect(clock.pendingCount).toBe(0);
  });
});

describe('the end of the daemon', () => {
  test('cancels what is under way, cancelable or not, and takes nothing new', async () => {
    const { clock, tree, jobs } = setUp();
    jobs.start(requestOf({ cancelable: false }), heldWork().work);
    await clock.advance(0);
    jobs.start(requestOf(), heldWork().work);
    await jobs.close();
    for (const id of [1, 2]) {
      expect(tree.properties(`/org/moored/Engine1/job/${String(id)}`)).toMatchObject({
        Result: 'canceled',
        ErrorMessage: 'the engine is shutting down',
      });
    }
    expect(() => jobs.start(requestOf(), heldWork().work)).toThrow('shutting down');
    await clock.advance(0);
    expect(clock.pendingCount).toBe(0);
    await jobs.close();
  });

  test('does not wait for ever for work that does not let go', async () => {
    const { clock, tree, jobs } = setUp();
    jobs.start(requestOf(), () => new Promise(() => undefined));
    await clock.advance(0);
    const closing = jobs.close();
    await clock.advance(10_000);
    await closing;
    expect(tree.properties(JOB_1)['Result']).toBe('canceled');
  });
});

function refuse(): Promise<void> {
  return Promise.reject(new ForbiddenError('not allowed'));
}
