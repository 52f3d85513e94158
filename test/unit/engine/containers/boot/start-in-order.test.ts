import { describe, expect, it } from 'vitest';
import type { SpecChange } from '../../../../support/container-spec.ts';
import { ContainersFixture } from '../../../../support/containers-fixture.ts';
import type { Program } from '../../../../support/fake-monitor.ts';

const ALWAYS = { restartPolicy: { name: 'always', maximumRetryCount: 0 } } as const;
const CHECK = { Test: ['CMD', 'check'], Interval: 1e9 };

function service(name: string, dependsOn = '', change: SpecChange = {}): SpecChange {
  return {
    host: ALWAYS,
    ...change,
    labels: {
      'com.docker.compose.project': 'shop',
      'com.docker.compose.service': name,
      'com.docker.compose.depends_on': dependsOn,
    },
  };
}

/** The host goes down: every process ends, nobody writes anything, and the engine comes up. */
async function reboot(fixture: ContainersFixture): Promise<void> {
  await fixture.room.close({ stopContainers: false });
  fixture.monitor.forgetAll();
  fixture.kernel.mounted.length = 0;
  fixture.events.length = 0;
  await fixture.reopen();
}

/** Names in the order in which they were started. */
function started({ events }: ContainersFixture): readonly string[] {
  return events.filter(({ action }) => action === 'start').map(({ attributes }) => attributes['name'] ?? '');
}

async function roomWith(probe: Program): Promise<ContainersFixture> {
  return ContainersFixture.open({ programOf: (request) => ('execId' in request ? probe : { kind: 'wait' }) });
}

describe('after a reboot', () => {
  it('services start when what they depend on has', async () => {
    await using fixture = await roomWith({ kind: 'wait' });
    await fixture.run(service('web', 'app:service_started:false'), 'web');
    await fixture.run(service('app', 'db:service_started:false,cache:service_started:false'), 'app');
    await fixture.run(service('db'), 'db');
    await fixture.run(service('cache'), 'cache');
    await reboot(fixture);
    await fixture.settle();
    expect([...started(fixture).slice(0, 2)].sort()).toEqual(['cache', 'db']);
    expect(started(fixture).slice(2)).toEqual(['app', 'web']);
  });

  it('a service waits until the other is healthy', async () => {
    await using fixture = await roomWith({ kind: 'say', output: [], exitCode: 0 });
    await fixture.run(service('web', 'db:service_healthy:false'), 'web');
    await fixture.run(service('db', '', { healthcheck: CHECK }), 'db');
    await reboot(fixture);
    await fixture.settle();
    expect(started(fixture)).toEqual(['db']);
    await fixture.clock.advance(1000);
    await fixture.settle();
    expect(started(fixture)).toEqual(['db', 'web']);
  });

  it('a service waits for what must have ended well', async () => {
    await using fixture = await roomWith({ kind: 'wait' });
    const init = await fixture.run(service('init'), 'init');
    await fixture.run(service('web', 'init:service_completed_successfully:false'), 'web');
    await reboot(fixture);
    await fixture.settle();
    expect(started(fixture)).toEqual(['init']);
    fixture.monitor.taskOf(init).end({ exitCode: 0 });
    await fixture.settle();
    expect(started(fixture)).toContain('web');
  });

  it('what has ended well long ago is not waited for', async () => {
    await using fixture = await roomWith({ kind: 'wait' });
    const once = { host: { restartPolicy: { name: 'no', maximumRetryCount: 0 } } } as const;
    const init = await fixture.run(service('init', '', once), 'init');
    fixture.monitor.taskOf(init).end({ exitCode: 0 });
    await fixture.until(() => fixture.status(init) === 'exited');
    await fixture.run(service('web', 'init:service_completed_successfully:false'), 'web');
    await reboot(fixture);
    await fixture.settle();
    expect(started(fixture)).toEqual(['web']);
    expect(fixture.complaints).toEqual([]);
  });

  it('waiting has an end, and is told', async () => {
    await using fixture = await roomWith({ kind: 'say', output: [], exitCode: 1 });
    await fixture.run(service('web', 'db:service_healthy:false'), 'web');
    await fixture.run(service('db', '', { healthcheck: CHECK }), 'db');
    await reboot(fixture);
    await fixture.clock.advance(119_000);
    expect(started(fixture)).toEqual(['db']);
    await fixture.clock.advance(2000);
    await fixture.settle();
    expect(started(fixture)).toEqual(['db', 'web']);
    expect(fixture.complaints).toContain('a container is started though what it depends on is not as it should be');
  });

  it('circles do not hang', async () => {
    await using fixture = await roomWith({ kind: 'wait' });
    await fixture.run(service('a', 'b:service_started:false'), 'svc-a');
    await fixture.run(service('b', 'c:service_healthy:false'), 'svc-b');
    await fixture.run(service('c', 'a:service_completed_successfully:false'), 'svc-c');
    await reboot(fixture);
    await fixture.settle();
    expect([...started(fixture)].sort()).toEqual(['svc-a', 'svc-b', 'svc-c']);
  });

  it('who joins a network comes after who lends it', async () => {
    await using fixture = await roomWith({ kind: 'wait' });
    const donor = await fixture.run({ host: ALWAYS }, 'donor');
    await fixture.run({ host: { ...ALWAYS, network: { kind: 'container', ref: donor } } }, 'guest');
    await reboot(fixture);
    await fixture.settle();
    expect(started(fixture)).toEqual(['donor', 'guest']);
  });

  it('a failed start keeps nobody from starting', async () => {
    await using fixture = await roomWith({ kind: 'wait' });
    await fixture.run(service('web', 'db:service_started:false'), 'web');
    const db = await fixture.run(service('db'), 'db');
    await fixture.room.close({ stopContainers: false });
    fixture.monitor.forgetAll();
    fixture.kernel.mounted.length = 0;
    fixture.monitor.programOf = ({ containerId }) => {
      if (containerId === db) throw new Error('no');
      return { kind: 'wait' };
    };
    fixture.events.length = 0;
    await fixture.reopen();
    await fixture.settle();
    expect(started(fixture)).toEqual(['web']);
    expect(fixture.status(db)).toBe('exited');
  });

  it('an engine that ends does not wait', async () => {
    await using fixture = await roomWith({ kind: 'wait' });
    await fixture.run(service('web', 'db:service_healthy:false'), 'web');
    await fixture.run(service('db', '', { healthcheck: CHECK }), 'db');
    await reboot(fixture);
    await fixture.settle();
    await fixture.room.close({ stopContainers: false });
    await fixture.room.started(1);
    expect(started(fixture)).toEqual(['db']);
  });
});
