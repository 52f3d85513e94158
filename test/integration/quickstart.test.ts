import { spawnSync } from 'node:child_process';
import type { SpawnSyncReturns } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const BRIDGE = 'mooredquick0';
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'moored-quickstart-test-'));
});
afterEach(async () => {
  quickstart('--clean');
  await rm(folder, { recursive: true, force: true });
});

function program(name: string, ...words: readonly string[]): SpawnSyncReturns<string> {
  const env = {
    ...process.env,
    MOORED_HOME: join(folder, 'home'),
    MOORED_RUN: join(folder, 'run'),
    MOORED_BRIDGE: BRIDGE,
    MOORED_HOST: `unix://${folder}/run/docker.sock`,
  };
  return spawnSync(join(ROOT, name), words, { env, encoding: 'utf8' });
}

function quickstart(...words: readonly string[]): SpawnSyncReturns<string> {
  return program('quickstart', ...words);
}

/** What of this engine the kernel still holds. */
function traces(): { readonly mounts: readonly string[]; readonly bridge: boolean; readonly conmons: number } {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
  const conmons = spawnSync('pgrep', ['-fc', `^\\S*conmon .*${folder}`], { encoding: 'utf8' }).stdout;
  return {
    mounts: mounts.filter((line) => line.includes(folder)),
    bridge: existsSync(`/sys/class/net/${BRIDGE}`),
    conmons: Number(conmons),
  };
}

const NOTHING = { mounts: [], bridge: false, conmons: 0 };

test('starts, runs a container, starts again at once, and takes everything away', () => {
  const first = quickstart();
  expect(first.stderr).toBe('');
  expect(first.stdout).toContain('making the image busybox:latest');
  expect(first.stdout).toContain('Hello from a container on moored.');
  expect(first.stdout.split('Try next:')[1]?.match(/^ {2}\w+_HOST=unix:.*$/gm)).toHaveLength(3);

  const second = quickstart();
  expect(second.status).toBe(0);
  expect(second.stdout).toContain('the engine runs already');
  expect(second.stdout).not.toContain('making the image');
  expect(program('bin/moor', 'images').stdout).toMatch(/^busybox +latest /m);

  expect(quickstart('--clean')).toMatchObject({ status: 0, stderr: '' });
  expect(traces()).toEqual(NOTHING);
  expect(existsSync(join(folder, 'home'))).toBe(false);
});

test('--stop ends containers whose engine was killed, and keeps the images', () => {
  quickstart();
  const ends = 'trap "exit 0" TERM; while :; do sleep 0.1; done';
  program('bin/moor', 'run', '-d', '--name', 'lasting', 'busybox', 'sh', '-c', ends);
  expect(traces()).toMatchObject({ bridge: true, conmons: 1 });
  process.kill(Number(readFileSync(join(folder, 'run/moored.pid'), 'utf8')), 'SIGKILL');

  expect(quickstart('--stop')).toMatchObject({ status: 0, stderr: '' });
  expect(traces()).toEqual(NOTHING);

  const again = quickstart();
  expect(again.stdout).not.toContain('making the image');
  expect(again.stdout).toContain('Hello from a container on moored.');
  expect(program('bin/moor', 'ps', '-a').stdout).toContain('lasting');
});

test('leaves a folder alone that is not its own', async () => {
  await mkdir(join(folder, 'home'));
  await writeFile(join(folder, 'home/precious'), '');
  const refused = quickstart();
  expect(refused.status).toBe(1);
  expect(refused.stderr).toContain('is not empty and not mine');
  expect(quickstart('--clean').stdout).toContain('nothing of mine');
  expect(existsSync(join(folder, 'home/precious'))).toBe(true);
});
