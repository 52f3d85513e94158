import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { peerAbsence, startDockerPeer, type DockerPeer } from '../support/docker-peer.ts';
import { busyboxTar, TestEngine, until, type CommandResult } from '../support/engine.ts';

interface Health {
  readonly Status: string;
  readonly FailingStreak: number;
  readonly Log: readonly { readonly ExitCode: number; readonly Output: string }[];
}

/** What either of the two is to a test. */
interface Side {
  docker(args: readonly string[]): Promise<CommandResult>;
}

let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterEach(async () => {
  await engine.removeContainers();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

const SLEEP = ['busybox', 'sleep', '300'];
const QUICK = ['--health-interval', '200ms', '--health-timeout', '5s', '--health-retries', '2'];

async function ok(side: Side, ...args: readonly string[]): Promise<string> {
  const result = await side.docker(args);
  if (result.code !== 0) throw new Error(`docker ${args.join(' ')}: ${result.stderr}`);
  return result.stdout.trimEnd();
}

/** Starts a container that has a check and no network. */
async function run(side: Side, name: string, ...options: readonly string[]): Promise<void> {
  await ok(side, 'run', '-d', '--network', 'none', '--name', name, ...options, ...SLEEP);
}

async function healthOf(side: Side, name: string): Promise<Health | null> {
  return JSON.parse(await ok(side, 'inspect', '-f', '{{json .State.Health}}', name)) as Health | null;
}

async function becomes(side: Side, name: string, status: string): Promise<Health> {
  return until(async () => {
    const health = await healthOf(side, name);
    return health?.Status === status ? health : null;
  });
}

/** What happened to a container so far. */
async function eventsOf(side: Side, name: string): Promise<readonly string[]> {
  // dockerd replays up to whole seconds.
  const until = String(Math.floor(Date.now() / 1000) + 1);
  const which = ['--since', '1', '--until', until, '--filter', `container=${name}`];
  return (await ok(side, 'events', ...which, '--format', '{{.Action}}')).split('\n');
}

/** The first round of probing, and all that is not about execs. */
function digest(events: readonly string[]): readonly string[] {
  const isExec = (action: string): boolean => action.startsWith('exec_');
  return [...events.filter(isExec).slice(0, 3), ...events.filter((action) => !isExec(action))];
}

/** From starting over unhealthy to healthy, paused, ended and started again. */
async function wholeStory(side: Side): Promise<unknown> {
  const told: unknown[] = [];
  const tell = async (): Promise<void> => {
    const health = await healthOf(side, 'story');
    told.push([health?.Status, await ok(side, 'ps', '-a', '--filter', 'name=story', '--format', '{{.Status}}')]);
  };
  await run(side, 'story', '--health-cmd', 'echo looking; test -e /tmp/ok', ...QUICK);
  await tell();
  const { Log: log, FailingStreak: streak } = await becomes(side, 'story', 'unhealthy');
  told.push(
    streak,
    log.map(({ ExitCode, Output }) => [ExitCode, Output]),
  );
  await tell();
  await ok(side, 'exec', 'story', 'touch', '/tmp/ok');
  const healthy = await becomes(side, 'story', 'healthy');
  told.push(healthy.FailingStreak, healthy.Log.at(-1)?.ExitCode);
  await tell();
  await ok(side, 'pause', 'story');
  await tell();
  await ok(side, 'unpause', 'story');
  await becomes(side, 'story', 'healthy');
  await ok(side, 'stop', '-t', '0', 'story');
  const { Status: after } = (await healthOf(side, 'story')) ?? {};
  told.push(after);
  for (const filter of ['healthy', 'unhealthy', 'starting', 'none']) {
    told.push(await ok(side, 'ps', '-a', '--filter', `health=${filter}`, '--format', '{{.Names}}'));
  }
  told.push(digest(await eventsOf(side, 'story')));
  return JSON.parse(JSON.stringify(told).replace(/\d+ seconds?|Less than a second/g, 'a while')) as unknown;
}

describe('health checks', () => {
  it.skipIf(peerAbsence !== null)(
    `tell the same story as dockerd's, in states, lists and events${peerAbsence === null ? '' : ` (skipped: ${peerAbsence})`}`,
    async () => {
      await using peer: DockerPeer = await startDockerPeer();
      const stdin = await busyboxTar();
      await ok({ docker: (args) => peer.docker(args, { stdin }) }, 'import', '-', 'busybox');
      const [ours, theirs] = await Promise.all([wholeStory(engine), wholeStory(peer)]);
      expect(ours).toEqual(theirs);
    },
    60_000,
  );

  it('keep the first 4096 bytes of output, and the last five results', async () => {
    await run(engine, 'loud', '--health-cmd', 'yes | head -c 5000', ...QUICK);
    const log = await until(async () => {
      const health = await healthOf(engine, 'loud');
      return health !== null && health.Log.length >= 5 ? health.Log : null;
    });
    expect(log).toHaveLength(5);
    expect(log[0]?.Output).toBe(`${'y\n'.repeat(2048)}...`);
  });

  it('kill a probe at its time-out, and say why another could not run', async () => {
    await run(engine, 'slow', '--health-cmd', 'echo begun; sleep 60', ...QUICK, '--health-timeout', '300ms');
    const slow = await becomes(engine, 'slow', 'unhealthy');
    expect(slow.Log[0]).toMatchObject({ ExitCode: -1, Output: 'Health check exceeded timeout (300ms): begun\n' });
    const created = await engine.api('POST', '/containers/create?name=missing', {
      Image: 'busybox',
      Cmd: ['sleep', '300'],
      HostConfig: { NetworkMode: 'none' },
      Healthcheck: { Test: ['CMD', 'nosuch'], Interval: 2e8, Retries: 1 },
    });
    expect(created.status).toBe(201);
    await ok(engine, 'start', 'missing');
    const missing = await becomes(engine, 'missing', 'unhealthy');
    expect(missing.Log[0]?.ExitCode).toBe(-1);
    expect(missing.Log[0]?.Output).toMatch(/OCI runtime exec failed: .*nosuch.*not found/);
    expect(await ok(engine, 'exec', 'slow', 'sh', '-c', 'ps | grep -c "[s]leep 60" || true')).toMatch(/^[01]$/);
  });

  it('come with the image, and can be switched off', async () => {
    await ok(engine, 'create', '--name', 'base', ...SLEEP);
    await ok(engine, 'commit', '-c', 'HEALTHCHECK --interval=200ms --retries=7 CMD true', 'base', 'checked');
    await ok(engine, 'run', '-d', '--network', 'none', '--name', 'image', '--health-timeout', '3s', 'checked');
    await becomes(engine, 'image', 'healthy');
    expect(await ok(engine, 'inspect', '-f', '{{json .Config.Healthcheck}}', 'image')).toBe(
      '{"Test":["CMD-SHELL","true"],"Interval":200000000,"Timeout":3000000000,"Retries":7}',
    );
    await ok(engine, 'run', '-d', '--network', 'none', '--name', 'none', '--no-healthcheck', 'checked');
    expect(await healthOf(engine, 'none')).toBeNull();
    expect(await ok(engine, 'ps', '--filter', 'health=none', '--format', '{{.Names}}')).toBe('none');
  });

  it.each([
    [{ Interval: 10 }, 'Interval in Healthcheck cannot be less than 1ms'],
    [{ Timeout: 10 }, 'Timeout in Healthcheck cannot be less than 1ms'],
    [{ Retries: -1, StartPeriod: 1 }, 'Retries in Healthcheck cannot be negative'],
    [{ StartPeriod: 10 }, 'StartPeriod in Healthcheck cannot be less than 1ms'],
    [{ StartInterval: 10 }, 'StartInterval in Healthcheck cannot be less than 1ms'],
  ])('are refused with %j', async (check, message) => {
    const answer = await engine.api('POST', '/containers/create', { Image: 'busybox', Healthcheck: check });
    expect([answer.status, answer.json]).toEqual([400, { message }]);
  });

  it('go on in an engine that came up again, with what was known', async () => {
    await run(engine, 'kept', '--health-cmd', 'test -e /tmp/ok', '--health-start-period', '1m', ...QUICK);
    await ok(engine, 'exec', 'kept', 'touch', '/tmp/ok');
    await becomes(engine, 'kept', 'healthy').catch(() => undefined);
    await engine.end('SIGKILL');
    await engine.boot();
    expect((await healthOf(engine, 'kept'))?.Status).toBe('healthy');
    await ok(engine, 'exec', 'kept', 'rm', '/tmp/ok');
    await becomes(engine, 'kept', 'unhealthy');
  });

  it('leave nothing of their probes', async () => {
    await run(engine, 'tidy', '--health-cmd', 'true', ...QUICK);
    await becomes(engine, 'tidy', 'healthy');
    await ok(engine, 'stop', '-t', '0', 'tidy');
    const execs = join(engine.root, 'exec', 'monitor', 'execs');
    await until(() => !existsSync(execs) || readdirSync(execs).length === 0);
    expect(await ok(engine, 'inspect', '-f', '{{.ExecIDs}}', 'tidy')).toBe('[]');
  });
});

describe('what is done about an unhealthy container', () => {
  const label = (name: string, value: string): readonly string[] => [
    '--label',
    `org.moored.unhealthy.${name}=${value}`,
  ];

  it('is a restart, also by an engine that came up again', async () => {
    const labels = [...label('action', 'restart'), ...label('pause', '1s'), ...label('max-restarts', '2')];
    await run(engine, 'sick', '--health-cmd', 'false', ...QUICK, '--stop-timeout', '0', ...labels);
    await until(async () => (await eventsOf(engine, 'sick')).includes('restart'));
    await engine.end('SIGKILL');
    await engine.boot();
    await until(async () => (await eventsOf(engine, 'sick')).includes('unhealthy_action: give-up'));
    expect(await ok(engine, 'inspect', '-f', '{{.State.Status}}', 'sick')).toBe('running');
  });

  it('is a stop that policies respect', async () => {
    await run(
      engine,
      'bad',
      '--health-cmd',
      'false',
      ...QUICK,
      '--restart',
      'always',
      '--stop-timeout',
      '0',
      ...label('action', 'stop'),
    );
    await until(async () => (await ok(engine, 'inspect', '-f', '{{.State.Status}}', 'bad')) === 'exited');
    expect(await ok(engine, 'inspect', '-f', '{{.RestartCount}} {{.State.Health.Status}}', 'bad')).toBe('0 unhealthy');
  });

  it('must be something that is known', async () => {
    const refused = await engine.docker(['create', ...label('action', 'panic'), ...SLEEP]);
    expect(refused.stderr).toContain('invalid label org.moored.unhealthy.action="panic"');
  });
});
