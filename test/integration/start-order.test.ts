import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, TestEngine, until } from '../support/engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterAll(async () => {
  await engine.removeContainers();
  await engine[Symbol.asyncDispose]();
});

/** Like a service that Compose made. */
async function service(
  name: string,
  dependsOn: string,
  options: readonly string[],
  ...command: readonly string[]
): Promise<void> {
  const labels = { project: 'shop', service: name, depends_on: dependsOn };
  const args = Object.entries(labels).flatMap(([key, value]) => ['--label', `com.docker.compose.${key}=${value}`]);
  await engine.dockerOk('run', '-d', '--name', name, '--network', 'none', ...args, ...options, 'busybox', ...command);
}

/** Power goes: nothing of the engine or its containers runs, and what lies in memory is lost. */
async function loseEverything(): Promise<void> {
  await engine.end('SIGKILL');
  for (const pid of pidsBelow(engine.root)) kill(pid);
  await until(() => pidsBelow(engine.root).length === 0);
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${engine.root}/`));
  for (const point of points.reverse()) await run('umount', ['-l', point], {});
  rmSync(join(engine.root, 'exec'), { recursive: true, force: true });
}

/** Monitors, and what runs in their containers. */
function pidsBelow(root: string): readonly number[] {
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  const monitors = pids.filter((pid) => {
    const words = commandOf(pid);
    return words.includes('conmon') && words.includes(root);
  });
  return [...monitors, ...pids.filter((pid) => monitors.includes(parentOf(pid)))];
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

interface Event {
  readonly Action: string;
  readonly Actor: { readonly Attributes: Readonly<Record<string, string>> };
}

/** `name action` of starts, ends and health since the engine came up. */
async function story(since: number): Promise<readonly string[]> {
  const until = String(Math.floor(Date.now() / 1000) + 1);
  const window = ['--since', since.toFixed(3), '--until', until];
  const text = await engine.dockerOk('events', ...window, '--filter', 'type=container', '--format', '{{json .}}');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Event)
    .filter(({ Action: action }) => /^(start|die|health_status.*)$/.test(action))
    .map(({ Action: action, Actor: actor }) => `${actor.Attributes['name'] ?? ''} ${action}`);
}

describe('after a reboot', () => {
  it('services start in the order in which Compose started them, the others beside them', async () => {
    const check = ['--health-cmd', 'test -e /tmp/up', '--health-interval', '200ms', '--health-retries', '100'];
    const always = ['--restart', 'always'];
    await service('db', '', [...always, ...check], 'sh', '-c', 'rm -f /tmp/up; sleep 1; touch /tmp/up; exec sleep 300');
    await service('init', 'db:service_healthy:false', ['--restart', 'on-failure'], 'sh', '-c', 'exit 0');
    await service('cache', '', always, 'sleep', '300');
    await service(
      'web',
      'init:service_completed_successfully:false,db:service_healthy:true,cache:service_started:false',
      always,
      'sleep',
      '300',
    );
    await engine.dockerOk(
      'run',
      '-d',
      '--name',
      'guest',
      '--network',
      'container:web',
      ...always,
      'busybox',
      'sleep',
      '300',
    );
    await engine.dockerOk(
      'run',
      '-d',
      '--name',
      'stopped',
      '--restart',
      'unless-stopped',
      '--network',
      'none',
      'busybox',
      'sleep',
      '300',
    );
    await engine.dockerOk('stop', '-t', '0', 'stopped');
    await loseEverything();
    const since = Date.now() / 1000;
    await engine.boot();
    await until(async () => (await engine.dockerOk('ps', '--format', '{{.Names}}')).includes('guest'));
    const told = await story(since);
    const at = (what: string): number => told.indexOf(what);
    for (const name of ['db', 'cache', 'web', 'guest']) expect(told).toContain(`${name} start`);
    expect(at('db health_status: healthy')).toBeGreaterThan(at('db start'));
    expect(at('web start')).toBeGreaterThan(at('db health_status: healthy'));
    expect(at('cache start')).toBeLessThan(at('db health_status: healthy'));
    expect(at('guest start')).toBeGreaterThan(at('web start'));
    expect(told.filter((line) => /^(init|stopped) start/.test(line))).toEqual([]);
    expect(await engine.dockerOk('inspect', '-f', '{{.State.Status}}', 'stopped')).toBe('exited');
  });
});
