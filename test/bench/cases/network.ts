/** Networks: what a bridge costs, how many bytes go through it, ports by the thousand, endpoints side by side. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { run } from '../../support/engine.ts';
import { costIn } from '../account.ts';
import { api, create, inParallel } from '../api.ts';
import type { Contender } from '../peers.ts';
import { cli, median, show, type Cost } from '../side-by-side.ts';
import type { Bench } from './bench.ts';

const SLEEPING = { Cmd: ['sleep', '36000'], StopSignal: 'SIGKILL' };
const NETWORKS = Array.from({ length: 25 }, (_, index) => `bench-net${String(index)}`);
const HOLDERS = Array.from({ length: 8 }, (_, index) => `bench-holder${String(index)}`);
/** dockerd starts a process and a packet filter's tool for each port: as many as one has the patience for. */
const FEW_PORTS = 200;
const MANY_PORTS = 5000;
const FIRST_PORT = 10_000;
const IPERF_PORT = 5201;
const IPERF_SECONDS = 2;

export async function networks(bench: Bench): Promise<void> {
  if (bench.wants('bridge')) await bridge(bench);
  if (bench.wants('ports')) await ports(bench);
  if (bench.wants('endpoints')) await endpoints(bench);
  if (bench.wants('throughput')) await throughput(bench);
}

/** A container's start with and without a network, and on a network of the user's own with its name server. */
async function bridge(bench: Bench): Promise<void> {
  for (const side of bench.sides) await api(side, 'POST', '/networks/create', { Name: 'bench-user' });
  for (const network of ['none', 'bridge', 'bench-user']) {
    await bench.compare(`run --rm --network ${network}`, (side) =>
      costIn(side, () => cli(side, 'run', '--rm', '--network', network, 'busybox', 'true')),
    );
  }
  for (const network of ['none', 'bridge', 'bench-user']) {
    await bench.compare(`API start, ${network}`, async (side) => {
      await create(side, 'bench-start', { ...SLEEPING, HostConfig: { NetworkMode: network } });
      const cost = await costIn(side, () => api(side, 'POST', '/containers/bench-start/start'));
      await remove(side, 'bench-start');
      return cost;
    });
  }
  await bench.compare('network create', async (side) => {
    const cost = await costIn(side, () => api(side, 'POST', '/networks/create', { Name: 'bench-one' }));
    await api(side, 'DELETE', '/networks/bench-one');
    return cost;
  });
  for (const side of bench.sides) await api(side, 'DELETE', '/networks/bench-user');
}

async function ports(bench: Bench): Promise<void> {
  const start = async (side: Contender, count: number): Promise<Cost> => {
    const range = Array.from({ length: count }, (_, index) => String(FIRST_PORT + index));
    const PortBindings = Object.fromEntries(range.map((port) => [`${port}/tcp`, [{ HostPort: port }]]));
    const ExposedPorts = Object.fromEntries(range.map((port) => [`${port}/tcp`, {}]));
    await create(side, 'bench-ports', { ...SLEEPING, ExposedPorts, HostConfig: { PortBindings } });
    const cost = await costIn(side, () => api(side, 'POST', '/containers/bench-ports/start'));
    await remove(side, 'bench-ports');
    return cost;
  };
  await bench.compare('API start, no port', (side) => start(side, 0));
  await bench.compare('API start, one port', (side) => start(side, 1));
  await bench.compare(`API start, ${String(FEW_PORTS)} ports`, (side) => start(side, FEW_PORTS), { runs: 1 });
  const [ours] = bench.sides;
  if (ours === undefined) return;
  const { wallMs, cpuMs } = await start(ours, MANY_PORTS);
  console.log(`API start, ${String(MANY_PORTS)} ports  ${ours.name} ${show(wallMs)}  cpu ${show(cpuMs ?? 0)}`);
}

/** 200 endpoints, 8 at a time: each holder joins every network. */
async function endpoints(bench: Bench): Promise<void> {
  for (const side of bench.sides) {
    for (const Name of NETWORKS) await api(side, 'POST', '/networks/create', { Name });
    for (const name of HOLDERS) {
      await create(side, name, SLEEPING);
      await api(side, 'POST', `/containers/${name}/start`);
    }
  }
  const each = (side: Contender, verb: 'connect' | 'disconnect') => (): Promise<void> =>
    inParallel(HOLDERS, HOLDERS.length, async (Container) => {
      for (const network of NETWORKS) await api(side, 'POST', `/networks/${network}/${verb}`, { Container });
    });
  // Once: a second run would find them connected.
  for (const verb of ['connect', 'disconnect'] as const) {
    for (const side of bench.sides) {
      const { wallMs, cpuMs } = await costIn(side, each(side, verb));
      console.log(`network ${verb}, 200, 8 at a time  ${side.name} ${show(wallMs)}  cpu ${show(cpuMs ?? 0)}`);
    }
  }
  for (const side of bench.sides) {
    for (const name of HOLDERS) await remove(side, name);
    for (const name of NETWORKS) await api(side, 'DELETE', `/networks/${name}`);
  }
}

/** Gigabits a second by iperf3, which is started inside the containers' and the host's namespaces. */
async function throughput({ sides, runs }: Bench): Promise<void> {
  const figures = new Map<string, number[]>();
  for (const side of sides) {
    const port = `${String(IPERF_PORT)}/tcp`;
    const published = { HostConfig: { PortBindings: { [port]: [{ HostPort: String(IPERF_PORT) }] } } };
    await create(side, 'bench-server', { ...SLEEPING, ExposedPorts: { [port]: {} }, ...published });
    await create(side, 'bench-client', SLEEPING);
    for (const name of ['bench-server', 'bench-client']) await api(side, 'POST', `/containers/${name}/start`);
  }
  for (let turn = 0; turn < runs; turn += 1) {
    for (const side of sides) {
      const server = await placeOf(side, 'bench-server');
      const client = await placeOf(side, 'bench-client');
      const host = `/proc/${String(side.pid)}/ns/net`;
      note(figures, `container to container ${side.name}`, await iperf(server.netns, client.netns, server.address));
      note(figures, `published, 127.0.0.1 ${side.name}`, await iperf(server.netns, host, '127.0.0.1'));
    }
  }
  for (const [title, values] of figures) console.log(`${title}  ${median(values).toFixed(1)} Gbit/s`);
  for (const side of sides) for (const name of ['bench-server', 'bench-client']) await remove(side, name);
}

async function placeOf(side: Contender, name: string): Promise<{ netns: string; address: string }> {
  const { State, NetworkSettings } = JSON.parse(await api(side, 'GET', `/containers/${name}/json`)) as {
    readonly State: { readonly Pid: number };
    readonly NetworkSettings: { readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>> };
  };
  const [endpoint] = Object.values(NetworkSettings.Networks);
  return { netns: `/proc/${String(State.Pid)}/ns/net`, address: endpoint?.IPAddress ?? '' };
}

async function iperf(serverNetns: string, clientNetns: string, address: string): Promise<number> {
  const port = String(IPERF_PORT);
  const server = spawn('nsenter', [`--net=${serverNetns}`, 'iperf3', '-s', '-1', '-p', port, '--forceflush'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = once(server, 'exit');
  await once(server.stdout, 'data');
  const asked = ['iperf3', '-c', address, '-p', port, '-t', String(IPERF_SECONDS), '-J'];
  const { stdout } = await run('nsenter', [`--net=${clientNetns}`, ...asked], {});
  server.kill('SIGTERM');
  await ended;
  const report = JSON.parse(stdout) as {
    readonly end: { readonly sum_received: { readonly bits_per_second: number } };
  };
  return report.end.sum_received.bits_per_second / 1e9;
}

function note(figures: Map<string, number[]>, title: string, value: number): void {
  figures.set(title, [...(figures.get(title) ?? []), value]);
}

async function remove(side: Contender, name: string): Promise<void> {
  await api(side, 'DELETE', `/containers/${name}?force=1`);
}
