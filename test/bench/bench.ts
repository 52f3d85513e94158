/**
 * Side by side with dockerd, in one interleaved run: `bin/node test/bench/bench.ts [--runs N] [--peer SOCKET]`.
 *
 * Starts a moored of this checkout and, without --peer, the dockerd that is installed (own socket, data root and network
 * namespace). Each case runs A B B A …, so that drift of the machine cancels; medians and the ratio of medians are
 * printed. Nothing here is asserted: figures belong into notes, not into tests.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { busyboxTar, run, TestEngine, until } from '../support/engine.ts';
import { pushImage, startRegistry } from '../support/registry.ts';
import { bulkImage } from './bulk-image.ts';

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '15' }, peer: { type: 'string' }, only: { type: 'string', default: '' } },
});
const RUNS = Number(values.runs);

interface Side {
  readonly name: string;
  readonly socketPath: string;
}

/** One figure of one case: milliseconds of each run on both sides. */
async function interleave(
  title: string,
  sides: readonly [Side, Side],
  step: (side: Side) => Promise<number>,
  runs = RUNS,
): Promise<void> {
  if (!title.includes(values.only)) return;
  const times = new Map<Side, number[]>(sides.map((side) => [side, []]));
  for (const side of sides) await step(side);
  for (let i = 0; i < runs; i += 1) {
    for (const side of i % 2 === 0 ? sides : sides.toReversed()) times.get(side)?.push(await step(side));
  }
  const [a, b] = sides.map((side) => median(times.get(side) ?? [])) as [number, number];
  const [minA, minB] = sides.map((side) => Math.min(...(times.get(side) ?? []))) as [number, number];
  console.log(
    `${title.padEnd(34)} moored ${show(a)} (min ${show(minA)})  dockerd ${show(b)} (min ${show(minB)})  ratio ${(a / b).toFixed(2)}`,
  );
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

function show(ms: number): string {
  return `${ms < 100 ? ms.toFixed(1) : ms.toFixed(0)} ms`.padStart(9);
}

async function timed(job: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await job();
  return performance.now() - start;
}

async function cli(side: Side, ...args: readonly string[]): Promise<string> {
  const result = await run('docker', args, {
    env: { ...process.env, DOCKER_HOST: `unix://${side.socketPath}`, DOCKER_CLI_HINTS: 'false' },
  });
  if (result.code !== 0) throw new Error(`${side.name}: docker ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

/** A dockerd of its own: behind its own network namespace, or in ours without any network of its own (for pulls). */
async function startPeer(where: 'own namespace' | 'no network'): Promise<Side & AsyncDisposable> {
  const root = mkdtempSync(join(tmpdir(), 'bench-dockerd-'));
  const socketPath = join(root, 'd.sock');
  const netns = `bench${String(process.pid)}`;
  const own = where === 'own namespace';
  if (own) spawnSync('sh', ['-c', `ip netns add ${netns} && ip -n ${netns} link set lo up`]);
  const child = spawn(
    own ? 'nsenter' : 'dockerd',
    [
      ...(own ? [`--net=/run/netns/${netns}`, 'dockerd'] : ['--bridge', 'none', '--iptables=false']),
      '--data-root',
      join(root, 'data'),
      '--exec-root',
      join(root, 'exec'),
      '-p',
      join(root, 'pid'),
      '-H',
      `unix://${socketPath}`,
    ],
    { stdio: 'ignore' },
  );
  await until(async () => (await run('docker', ['-H', `unix://${socketPath}`, 'version'], {})).code === 0, 60_000);
  return {
    name: 'dockerd',
    socketPath,
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
      if (own) spawnSync('ip', ['netns', 'delete', netns]);
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** PSS of a process in MiB. */
function pssOf(pid: number): number {
  const kib = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${String(pid)}/smaps_rollup`, 'utf8'))?.[1];
  return Number(kib) / 1024;
}

/** CPU milliseconds (user and system, own and reaped children) a process has used. */
function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * 10;
}

async function coldStart(): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < 5; i += 1) {
    const start = performance.now();
    await using engine = await TestEngine.start();
    times.push(performance.now() - start);
    if (i === 4) {
      await new Promise((resolve) => setTimeout(resolve, 2000));
      console.log(`${'idle memory of the daemon'.padEnd(34)} PSS ${pssOf(engine.pid).toFixed(1)} MiB`);
    }
  }
  console.log(
    `${'start until _ping answers'.padEnd(34)} moored ${show(median(times))} (min ${show(Math.min(...times))})`,
  );
}

async function pulls(ours: Side): Promise<void> {
  if (!'pull 5 layers, 300 MB'.includes(values.only)) return;
  await using peer = await startPeer('no network');
  const sides = [ours, peer] as const;
  await using registry = await startRegistry();
  await pushImage(registry.host, 'bench/bulk', 'latest', await bulkImage());
  const name = `${registry.host}/bench/bulk:latest`;
  await interleave(
    'pull 5 layers, 300 MB',
    sides,
    async (side) => {
      const ms = await timed(() => cli(side, 'pull', '-q', name));
      await cli(side, 'rmi', name);
      return ms;
    },
    5,
  );
}

await coldStart();
await using engine = await TestEngine.start();
await using peer = values.peer === undefined ? await startPeer('own namespace') : null;
const sides: readonly [Side, Side] = [
  { name: 'moored', socketPath: engine.socketPath },
  peer ?? { name: 'dockerd', socketPath: values.peer ?? '' },
];
for (const side of sides) {
  await run('docker', ['-H', `unix://${side.socketPath}`, 'import', '-', 'busybox:latest'], {
    stdin: await busyboxTar(),
  });
}
const before = cpuOf(engine.pid);
await interleave('run --rm true, bridge', sides, (side) => timed(() => cli(side, 'run', '--rm', 'busybox', 'true')));
console.log(
  `${'daemon CPU a run (with children)'.padEnd(34)} moored ${((cpuOf(engine.pid) - before) / (RUNS + 1)).toFixed(1)} ms`,
);
await interleave('run --rm true, none', sides, (side) =>
  timed(() => cli(side, 'run', '--rm', '--network', 'none', 'busybox', 'true')),
);
for (const side of sides) await cli(side, 'run', '-d', '--name', 'bench', 'busybox', 'sleep', '3600');
await interleave('exec true', sides, (side) => timed(() => cli(side, 'exec', 'bench', 'true')));
await interleave('restart -t 0', sides, (side) => timed(() => cli(side, 'restart', '-t', '0', 'bench')));
for (const side of sides) await cli(side, 'rm', '-f', 'bench');
await interleave('ps', sides, (side) => timed(() => cli(side, 'ps')));
await pulls(sides[0]);
