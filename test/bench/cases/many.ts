/** Rows 8 to 11, 21 and 23 of the goals: hundreds of containers. */
import { readdirSync, readFileSync } from 'node:fs';
import { costIn } from '../account.ts';
import { api, create, inParallel } from '../api.ts';
import type { Contender } from '../peers.ts';
import { cli, show, timed, treeOf } from '../side-by-side.ts';
import type { Bench } from './bench.ts';

const CROWD = Array.from({ length: 200 }, (_, index) => `crowd${String(index)}`);
const THOUSAND = Array.from({ length: 1000 }, (_, index) => `idle${String(index)}`);
const WIDTH = 8;
const SLEEPING = { Cmd: ['sleep', '36000'], StopSignal: 'SIGKILL' };

export async function crowds(bench: Bench): Promise<void> {
  if (bench.wants('crowd')) await crowd(bench);
  if (bench.wants('thousand')) await thousand(bench);
}

async function crowd(bench: Bench): Promise<void> {
  for (const side of bench.sides) await memory('0', side);
  const start = (side: Contender) => (names: readonly string[]) =>
    inParallel(names, WIDTH, async (name) => {
      await create(side, name, { ...SLEEPING, HostConfig: { NetworkMode: 'none' } });
      await api(side, 'POST', `/containers/${name}/start`);
    });
  const remove = (side: Contender): Promise<void> =>
    inParallel(CROWD, WIDTH, (name) => api(side, 'DELETE', `/containers/${name}?force=1`));
  for (const side of bench.sides) {
    const { wallMs, cpuMs } = await costIn(side, () => start(side)(CROWD));
    print(`create+start 200, ${String(WIDTH)} at a time`, side, wallMs, cpuMs);
    await memory('200', side);
  }
  await bench.compare('GET /containers/json, 200', (side) => costIn(side, () => api(side, 'GET', '/containers/json')));
  await bench.compare('ps, 200', (side) => costIn(side, () => cli(side, 'ps')));
  await bench.compare('stats --no-stream, 200', (side) => costIn(side, () => cli(side, 'stats', '--no-stream')), {
    runs: 3,
  });
  await bench.compare(
    'restart of the daemon, 200 running',
    async (side) => {
      await side.end();
      return await timed(async () => {
        await side.boot();
        await api(side, 'GET', '/containers/json');
      });
    },
    { runs: 3 },
  );
  for (const side of bench.sides) {
    const { wallMs, cpuMs } = await costIn(side, () => remove(side));
    print(`rm -f 200, ${String(WIDTH)} at a time`, side, wallMs, cpuMs);
  }
}

async function thousand(bench: Bench): Promise<void> {
  for (const side of bench.sides) {
    await inParallel(THOUSAND, WIDTH, (name) => create(side, name, { Cmd: ['true'] }));
  }
  await bench.compare('GET /containers/json?all=1, 1,000', (side) =>
    costIn(side, () => api(side, 'GET', '/containers/json?all=1')),
  );
  for (const side of bench.sides) {
    const { wallMs, cpuMs } = await costIn(side, () => api(side, 'GET', '/system/df'));
    print('GET /system/df, 1,000, the first time', side, wallMs, cpuMs);
  }
  await bench.compare('GET /system/df, 1,000', (side) => costIn(side, () => api(side, 'GET', '/system/df')));
  await bench.compare('GET /containers/json?all=1&size=1, 1,000', (side) =>
    costIn(side, () => api(side, 'GET', '/containers/json?all=1&size=1')),
  );
  await bench.compare('ps -a, 1,000', (side) => costIn(side, () => cli(side, 'ps', '-a')));
  await bench.compare(
    'restart of the daemon, 1,000 created',
    async (side) => {
      await side.end();
      return await timed(() => side.boot());
    },
    { runs: 3 },
  );
  for (const side of bench.sides) {
    await inParallel(THOUSAND, WIDTH, (name) => api(side, 'DELETE', `/containers/${name}`));
  }
}

function print(title: string, side: Contender, wallMs: number, cpuMs: number | null): void {
  console.log(`${title.padEnd(34)} ${side.name} ${show(wallMs)}${cpuMs === null ? '' : `  cpu ${show(cpuMs)}`}`);
}

/** PSS of the daemon, all below it, and its monitors or shims; not of the containers. */
async function memory(containers: string, side: Contender): Promise<void> {
  await api(side, 'GET', '/_ping');
  const pids = new Set([...treeOf(side.pid), ...monitorsOf(side)]);
  const kib = [...pids].reduce((sum, pid) => sum + pssOf(pid), 0);
  console.log(`${`memory, ${containers} containers`.padEnd(34)} ${side.name} ${(kib / 1024).toFixed(1)} MiB`);
}

function monitorsOf({ root }: Contender): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      const line = read(`/proc/${pid}/cmdline`);
      return line.includes(root) && /conmon|containerd|slirp|netavark/.test(line);
    })
    .map(Number);
}

function pssOf(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${String(pid)}/smaps_rollup`))?.[1] ?? 0);
}

/** '' for a process that has gone. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
