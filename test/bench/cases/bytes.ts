/** Rows 17 to 19 and 22 of the goals: what containers write, and files in and out of them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../support/engine.ts';
import { costIn } from '../account.ts';
import { api } from '../api.ts';
import type { Contender } from '../peers.ts';
import { cli } from '../side-by-side.ts';
import type { Bench } from './bench.ts';

const MILLION_LINES = `yes ${'x'.repeat(99)} | head -n 1000000`;
const HALF_GIB = 'dd if=/dev/zero bs=64k count=8000 2>/dev/null';
const FEW = { runs: 3 };

export async function bytes(bench: Bench): Promise<void> {
  if (bench.wants('logs')) await logs(bench);
  if (bench.wants('attach')) await attaches(bench);
  if (bench.wants('cp')) await copies(bench);
}

async function logs(bench: Bench): Promise<void> {
  // Bounded logs would keep only the end of it, which is less to read.
  const whole = { Type: 'json-file', Config: { 'max-size': '1g', 'max-file': '1' } };
  const configOf = ({ name }: Contender): unknown => (name === 'podman' ? { Type: 'k8s-file' } : whole);
  await bench.compare(
    'a million lines written',
    (side) => {
      return costIn(side, async () => {
        await api(side, 'DELETE', '/containers/lines?force=1').catch(() => '');
        await api(side, 'POST', '/containers/create?name=lines', {
          Image: 'busybox:latest',
          Cmd: ['sh', '-c', MILLION_LINES],
          HostConfig: { NetworkMode: 'none', LogConfig: configOf(side) },
        });
        await api(side, 'POST', '/containers/lines/start');
        await api(side, 'POST', '/containers/lines/wait');
      });
    },
    FEW,
  );
  await bench.compare('logs of a million lines', (side) => costIn(side, () => toNowhere(side, 'logs', 'lines')), FEW);
  for (const side of bench.sides) await cli(side, 'rm', 'lines');
}

async function attaches(bench: Bench): Promise<void> {
  for (const driver of ['none', 'default'] as const) {
    await bench.compare(
      `attach, 500 MiB, log ${driver}`,
      (side) => {
        const choice = driver === 'none' ? ['--log-driver', 'none'] : [];
        const command = ['run', '--rm', '--network', 'none', ...choice, 'busybox', 'sh', '-c', HALF_GIB];
        return costIn(side, () => toNowhere(side, ...command));
      },
      FEW,
    );
  }
}

async function copies(bench: Bench): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-cp-'));
  try {
    await run('sh', ['-c', `for i in 1 2 3 4; do dd if=/dev/urandom of=${directory}/$i bs=1M count=50; done`], {});
    for (const side of bench.sides) await cli(side, 'run', '-d', '--name', 'bench', 'busybox', 'sleep', '36000');
    await bench.compare('cp in, 200 MB', (side) => costIn(side, () => cli(side, 'cp', directory, 'bench:/in')), FEW);
    await bench.compare('cp out to tar', (side) => costIn(side, () => toNowhere(side, 'cp', 'bench:/in', '-')), FEW);
    await bench.compare(
      'cp out to a directory',
      async (side) => {
        const target = mkdtempSync(join(tmpdir(), 'bench-out-'));
        const cost = await costIn(side, () => cli(side, 'cp', 'bench:/in', target));
        rmSync(target, { recursive: true });
        return cost;
      },
      FEW,
    );
    for (const side of bench.sides) await cli(side, 'rm', '-f', 'bench');
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The CLI's output is not looked at: reading it here would be most of the time. */
async function toNowhere(side: Contender, ...args: readonly string[]): Promise<void> {
  const env = { ...process.env, DOCKER_HOST: `unix://${side.socketPath}`, DOCKER_CLI_HINTS: 'false' };
  const [code] = (await once(spawn('docker', args, { env, stdio: 'ignore' }), 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${side.name}: docker ${args.join(' ')}: ${String(code)}`);
}
