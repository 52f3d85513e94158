import { describe, expect, it } from 'vitest';
import type { HealthcheckConfig } from '../../../../../src/engine/oci/image-spec.ts';
import type { Program } from '../../../../support/fake-monitor.ts';
import { ContainersFixture } from '../../../../support/containers-fixture.ts';

const EVERY_SECOND: HealthcheckConfig = { Test: ['CMD', 'check', 'it'], Interval: 1e9, Timeout: 5e8, Retries: 2 };

/** A room whose probes answer as `probe` says, and how to change that. */
async function roomWith(probe: Program): Promise<{ fixture: ContainersFixture; answer: (next: Program) => void }> {
  let program = probe;
  const fixture = await ContainersFixture.open({
    programOf: (request) => ('execId' in request ? program : { kind: 'wait' }),
  });
  return { fixture, answer: (next) => void (program = next) };
}

function says(exitCode: number, text = ''): Program {
  return { kind: 'say', output: text === '' ? [] : [['stdout', text]], exitCode };
}

const label = (name: string): string => `org.moored.unhealthy.${name}`;

describe('a container with a health check', () => {
  it('is starting, then what its probes say, with events in the order of dockerd', async () => {
    const { fixture, answer } = await roomWith(says(0, 'fine\n'));
    await using room = fixture;
    const id = await room.create({ healthcheck: EVERY_SECOND });
    expect(room.get(id).health).toBeNull();
    await room.room.start(id);
    expect(room.get(id).health).toEqual({ status: 'starting', failingStreak: 0, log: [] });
    await room.clock.advance(1000);
    await room.settle();
    expect(room.get(id).health).toMatchObject({ status: 'healthy', log: [{ exitCode: 0, output: 'fine\n' }] });
    answer(says(7));
    await room.clock.advance(1000);
    await room.settle();
    expect(room.get(id).health).toMatchObject({ status: 'healthy', failingStreak: 1 });
    await room.clock.advance(1000);
    await room.settle();
    expect(room.get(id).health).toMatchObject({ status: 'unhealthy', failingStreak: 2 });
    const probe = ['exec_create: check it', 'exec_start: check it', 'exec_die'];
    expect(room.actions).toEqual([
      'create',
      'start',
      ...probe,
      'health_status: healthy',
      ...probe,
      ...probe,
      'health_status: unhealthy',
    ]);
    expect(room.get(id).execIds).toEqual([]);
  });

  it('kills a probe at its time-out, and says so in the words of dockerd', async () => {
    const { fixture } = await roomWith({ kind: 'wait' });
    await using room = fixture;
    const id = await room.run({ healthcheck: EVERY_SECOND });
    await room.clock.advance(1000);
    await room.settle();
    await room.clock.advance(500);
    await room.settle();
    expect(room.get(id).health?.log).toMatchObject([{ exitCode: -1, output: 'Health check exceeded timeout (500ms)' }]);
    expect(room.monitor.held).toEqual([id]);
  });

  it('tells why a probe could not be started', async () => {
    const { fixture } = await roomWith(says(0));
    await using room = fixture;
    const id = await room.run({ healthcheck: EVERY_SECOND });
    room.script.failFrom(1, new Error('no such program'));
    await room.clock.advance(1000);
    await room.settle();
    room.script.heal();
    expect(room.get(id).health).toMatchObject({
      failingStreak: 1,
      log: [{ exitCode: -1, output: 'no such program' }],
    });
  });

  it('is not probed while paused or ended, and is called unhealthy then without an event', async () => {
    const { fixture } = await roomWith(says(0));
    await using room = fixture;
    const id = await room.run({ healthcheck: EVERY_SECOND });
    await room.clock.advance(1000);
    await room.settle();
    await room.room.pause(id);
    expect(room.get(id).health?.status).toBe('unhealthy');
    const before = room.actions.length;
    await room.clock.advance(10_000);
    expect(room.actions).toHaveLength(before);
    await room.room.unpause(id);
    await room.clock.advance(1000);
    await room.settle();
    expect(room.get(id).health?.status).toBe('healthy');
    await room.room.stop(id, { signal: null, timeoutSeconds: null });
    expect(room.get(id).health?.status).toBe('unhealthy');
    expect(room.actions.filter((action) => action.startsWith('health_status'))).toEqual([
      'health_status: healthy',
      'health_status: healthy',
    ]);
    expect(room.clock.pendingCount).toBe(0);
  });

  it('drops a probe that runs when the container ends', async () => {
    const { fixture } = await roomWith({ kind: 'wait' });
    await using room = fixture;
    const id = await room.run({ healthcheck: EVERY_SECOND });
    await room.clock.advance(1000);
    await room.settle();
    room.monitor.taskOf(id).end();
    await room.until(() => room.status(id) === 'exited');
    await room.settle();
    expect(room.get(id).health).toEqual({ status: 'unhealthy', failingStreak: 0, log: [] });
  });

  it('keeps its status over a restart of the engine, and is probed on', async () => {
    const { fixture, answer } = await roomWith(says(0));
    await using room = fixture;
    const id = await room.run({ healthcheck: EVERY_SECOND });
    await room.clock.advance(1000);
    await room.settle();
    await room.room.close({ stopContainers: false });
    await room.reopen();
    expect(room.get(id).health).toMatchObject({ status: 'healthy', log: [{ exitCode: 0 }] });
    answer(says(1));
    await room.clock.advance(1000);
    await room.settle();
    expect(room.get(id).health).toMatchObject({ status: 'healthy', failingStreak: 1 });
  });

  it('costs nothing without a check, or with NONE', async () => {
    const { fixture } = await roomWith(says(0));
    await using room = fixture;
    await room.run();
    const { pendingCount } = room.clock;
    const id = await room.run({ healthcheck: { Test: ['NONE'] } });
    expect(room.clock.pendingCount).toBe(pendingCount);
    expect(room.get(id).health).toBeNull();
  });
});

describe('waiting for a container to be healthy', () => {
  it('settles with the first good probe, or at once', async () => {
    const { fixture } = await roomWith(says(0));
    await using room = fixture;
    const id = await room.run({ healthcheck: EVERY_SECOND });
    const { signal } = new AbortController();
    const { result } = room.room.wait(id, 'healthy', signal);
    await room.clock.advance(1000);
    expect(await result).toEqual({ exitCode: 0, error: null });
    expect(await room.room.wait(id, 'healthy', signal).result).toEqual({ exitCode: 0, error: null });
  });

  it('settles with the end of a container that never was', async () => {
    const { fixture } = await roomWith(says(1));
    await using room = fixture;
    const id = await room.run({ healthcheck: EVERY_SECOND });
    const { result } = room.room.wait(id, 'healthy', new AbortController().signal);
    room.monitor.taskOf(id).end({ exitCode: 3 });
    expect(await result).toEqual({ exitCode: 3, error: 'the container ended before it was healthy' });
  });

  it('is refused where nothing is checked', async () => {
    const { fixture } = await roomWith(says(0));
    await using room = fixture;
    const id = await room.run();
    expect(() => room.room.wait(id, 'healthy', new AbortController().signal)).toThrow('has no health check');
  });
});

describe('an unhealthy container', () => {
  const failing = { healthcheck: { ...EVERY_SECOND, Retries: 1 } };

  it('is restarted after a pause, and given up after the limit', async () => {
    const { fixture } = await roomWith(says(1));
    await using room = fixture;
    const id = await room.run({
      ...failing,
      labels: { [label('action')]: 'restart', [label('pause')]: '3s', [label('max-restarts')]: '2' },
    });
    const deeds: string[] = [];
    for (let second = 0; second < 20; second++) {
      const before = room.actions.length;
      await room.clock.advance(1000);
      await room.settle();
      deeds.push(...room.actions.slice(before).filter((action) => /^unhealthy_action|^restart$/.test(action)));
    }
    expect(deeds).toEqual([
      'unhealthy_action: restart',
      'restart',
      'unhealthy_action: restart',
      'restart',
      'unhealthy_action: give-up',
    ]);
    expect(room.status(id)).toBe('running');
    await room.room.restart(id, { signal: null, timeoutSeconds: null });
    await room.clock.advance(1000);
    await room.settle();
    expect(room.actions.at(-1)).toBe('restart');
  });

  it('remembers what was done over a restart of the engine', async () => {
    const { fixture } = await roomWith(says(1));
    await using room = fixture;
    const labels = { [label('action')]: 'restart', [label('pause')]: '1h' };
    await room.run({ ...failing, labels });
    await room.clock.advance(1000);
    await room.settle();
    expect(room.actions.at(-1)).toBe('restart');
    await room.room.close({ stopContainers: false });
    await room.reopen();
    await room.clock.advance(60_000);
    await room.settle();
    expect(room.actions.filter((action) => action === 'restart')).toHaveLength(1);
  });

  it('is stopped for good', async () => {
    const { fixture } = await roomWith(says(1));
    await using room = fixture;
    const id = await room.run({
      ...failing,
      labels: { [label('action')]: 'stop' },
      host: { restartPolicy: { name: 'always', maximumRetryCount: 0 } },
    });
    await room.clock.advance(1000);
    await room.settle();
    expect(room.status(id)).toBe('exited');
    expect(room.actions.slice(-5)).toEqual([
      'health_status: unhealthy',
      'unhealthy_action: stop',
      'kill',
      'die',
      'stop',
    ]);
  });

  it('is only told of', async () => {
    const { fixture } = await roomWith(says(1));
    await using room = fixture;
    await room.run({ ...failing, labels: { [label('action')]: 'notify' } });
    await room.clock.advance(3000);
    await room.settle();
    const told = room.actions.filter((action) => action.startsWith('unhealthy_action'));
    expect(told).toEqual(['unhealthy_action: notify']);
  });

  it('of which labels say nonsense is not made', async () => {
    const { fixture } = await roomWith(says(1));
    await using room = fixture;
    await expect(room.create({ labels: { [label('action')]: 'reboot' } })).rejects.toThrow('invalid label');
    expect(room.belongings()).toEqual([]);
  });
});
