/** What benches share: two daemons, a step on each in turn, medians and ratios. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, until, type CommandResult } from '../support/engine.ts';

/** A daemon under test. */
export interface Side {
  readonly name: string;
  readonly socketPath: string;
  /** Of the daemon's process; 0 when it is not ours. */
  readonly pid: number;
}

/** Milliseconds of one run: on the clock, and of the daemon's processes where they were counted. */
export interface Cost {
  readonly wallMs: number;
  readonly cpuMs: number | null;
}

/** Runs A B B A … so that drift of the machine cancels, and prints medians and the first side's ratio to the best other. */
export async function interleave<S extends Side>(
  title: string,
  sides: readonly S[],
  step: (side: S) => Promise<Cost>,
  { runs, warmUp = true }: { readonly runs: number; readonly warmUp?: boolean },
): Promise<void> {
  const costs = new Map<S, Cost[]>(sides.map((side) => [side, []]));
  if (warmUp) for (const side of sides) await step(side);
  for (let i = 0; i < runs; i += 1) {
    for (const side of i % 2 === 0 ? sides : sides.toReversed()) costs.get(side)?.push(await step(side));
  }
  const summaries = sides.map((side) => ({ name: side.name, ...summaryOf(costs.get(side) ?? []) }));
  const [own, ...peers] = summaries;
  const best = peers.toSorted((a, b) => a.wallMs - b.wallMs)[0];
  if (own === undefined || best === undefined) return;
  const walls = summaries.map(({ name, wallMs, minMs }) => `${name} ${show(wallMs)} (min ${show(minMs)})`).join('  ');
  const cpus = summaries.map(({ cpuMs }) => (cpuMs === null ? '-' : show(cpuMs).trim())).join(' / ');
  const cpu = own.cpuMs === null ? '' : `  cpu ${cpus}`;
  console.log(`${title.padEnd(34)} ${walls}  ratio ${(own.wallMs / best.wallMs).toFixed(2)} (${best.name})${cpu}`);
}

interface Summary extends Cost {
  readonly minMs: number;
}

function summaryOf(costs: readonly Cost[]): Summary {
  const cpu = costs.flatMap(({ cpuMs }) => (cpuMs === null ? [] : [cpuMs]));
  return {
    wallMs: median(costs.map(({ wallMs }) => wallMs)),
    minMs: Math.min(...costs.map(({ wallMs }) => wallMs)),
    cpuMs: cpu.length === 0 ? null : median(cpu),
  };
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

export function show(ms: number): string {
  return `${ms < 100 ? ms.toFixed(1) : ms.toFixed(0)} ms`.padStart(9);
}

/** How long a job takes. */
export async function timed(job: () => Promise<unknown>): Promise<Cost> {
  const start = performance.now();
  await job();
  return { wallMs: performance.now() - start, cpuMs: null };
}

/** How long a job takes, and what it costs a daemon and its processes. */
export async function costOf(pid: number, job: () => Promise<unknown>): Promise<Cost> {
  const before = cpuOfTree(pid);
  const { wallMs } = await timed(job);
  return { wallMs, cpuMs: cpuOfTree(pid) - before };
}

/** Runs the docker CLI on a side; its standard output. */
export async function cli(side: Side, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await tryCli(side, args);
  if (code !== 0) throw new Error(`${side.name}: docker ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** The same, whatever comes of it. */
export async function tryCli(side: Side, args: readonly string[], stdin?: Buffer): Promise<CommandResult> {
  return await run('docker', args, {
    env: { ...process.env, DOCKER_HOST: `unix://${side.socketPath}`, DOCKER_CLI_HINTS: 'false' },
    ...(stdin === undefined ? {} : { stdin }),
  });
}

/** A dockerd of its own: behind its own network namespace, or in ours without any network of its own (for pulls). */
export async function startPeer(where: 'own namespace' | 'no network'): Promise<Side & AsyncDisposable> {
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
    // nsenter becomes what it starts.
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
      if (own) spawnSync('ip', ['netns', 'delete', netns]);
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** CPU milliseconds (user and system, own and reaped children) a process has used. */
export function cpuOf(pid: number): number {
  const fields = statOf(pid);
  return fields === null ? 0 : fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * 10;
}

/** The same with all processes below it that are alive: dockerd's containerd, for one. */
export function cpuOfTree(pid: number): number {
  return treeOf(pid).reduce((sum, each) => sum + cpuOf(each), 0);
}

/** A process and all that are below it. */
export function treeOf(pid: number): readonly number[] {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const below = (parent: number): readonly number[] => [
    parent,
    ...all.filter((name) => Number(statOf(Number(name))?.[1]) === parent).flatMap((name) => below(Number(name))),
  ];
  return below(pid);
}

/** The fields of /proc/PID/stat from the state on; null for a process that has gone. */
function statOf(pid: number): readonly string[] | null {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}
