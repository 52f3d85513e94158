/** Rows 1 to 7, 24 and 25 of the goals: one container at a time, and the API's round trips. */
import { once } from 'node:events';
import { request } from 'node:http';
import { costIn } from '../account.ts';
import { api, create } from '../api.ts';
import type { Contender } from '../peers.ts';
import { cli, type Cost } from '../side-by-side.ts';
import type { Bench } from './bench.ts';

const NETWORKS = ['bridge', 'none', 'host'] as const;
const SLEEPING = { Cmd: ['sleep', '36000'], StopSignal: 'SIGKILL' };
let serial = 0;

export async function oneByOne(bench: Bench): Promise<void> {
  if (bench.wants('run')) await runs(bench);
  if (bench.wants('api')) await cycles(bench);
  if (bench.wants('exec')) await execs(bench);
  if (bench.wants('stop')) await stops(bench);
  if (bench.wants('events')) await events(bench);
  if (bench.wants('ping')) await roundTrips(bench);
}

async function runs(bench: Bench): Promise<void> {
  for (const network of NETWORKS) {
    await bench.compare(`run --rm true, ${network}`, (side) =>
      costIn(side, () => cli(side, 'run', '--rm', '--network', network, 'busybox', 'true')),
    );
  }
}

async function cycles(bench: Bench): Promise<void> {
  for (const network of ['bridge', 'none'] as const) {
    const HostConfig = { NetworkMode: network };
    await bench.compare(`api create, ${network}`, async (side) => {
      serial += 1;
      let id = '';
      const cost = await costIn(
        side,
        async () => (id = await create(side, `b${String(serial)}`, { ...SLEEPING, HostConfig })),
      );
      await api(side, 'DELETE', `/containers/${id}?force=1`);
      return cost;
    });
    await bench.compare(`api start, ${network}`, async (side) => {
      serial += 1;
      const id = await create(side, `b${String(serial)}`, { ...SLEEPING, HostConfig });
      const cost = await costIn(side, () => api(side, 'POST', `/containers/${id}/start`));
      await api(side, 'DELETE', `/containers/${id}?force=1`);
      return cost;
    });
    await bench.compare(`api create+start+wait+rm, ${network}`, (side) =>
      costIn(side, async () => {
        serial += 1;
        const id = await create(side, `b${String(serial)}`, { Cmd: ['true'], HostConfig });
        await api(side, 'POST', `/containers/${id}/start`);
        await api(side, 'POST', `/containers/${id}/wait`);
        await api(side, 'DELETE', `/containers/${id}`);
      }),
    );
  }
}

async function execs(bench: Bench): Promise<void> {
  for (const side of bench.sides) await cli(side, 'run', '-d', '--name', 'bench', 'busybox', 'sleep', '36000');
  await bench.compare('exec true, api', (side) =>
    costIn(side, async () => {
      const made = await api(side, 'POST', '/containers/bench/exec', { Cmd: ['true'], AttachStdout: true });
      const { Id } = JSON.parse(made) as { Id: string };
      await api(side, 'POST', `/exec/${Id}/start`, { Detach: false, Tty: false });
      await api(side, 'GET', `/exec/${Id}/json`);
    }),
  );
  await bench.compare('exec true, cli', (side) => costIn(side, () => cli(side, 'exec', 'bench', 'true')));
  for (const side of bench.sides) await cli(side, 'rm', '-f', 'bench');
}

async function stops(bench: Bench): Promise<void> {
  const started = (side: Contender): Promise<string> =>
    cli(side, 'run', '-d', '--name', 'bench', 'busybox', 'sleep', '36000');
  const after = async (side: Contender, job: () => Promise<unknown>): Promise<Cost> => {
    await started(side);
    const cost = await costIn(side, job);
    await cli(side, 'rm', '-f', 'bench');
    return cost;
  };
  await bench.compare('stop -t 0', (side) => after(side, () => cli(side, 'stop', '-t', '0', 'bench')));
  await bench.compare('restart -t 0', (side) => after(side, () => cli(side, 'restart', '-t', '0', 'bench')));
  await bench.compare('rm', async (side) => {
    await cli(side, 'create', '--name', 'bench', 'busybox', 'true');
    return await costIn(side, () => cli(side, 'rm', 'bench'));
  });
}

/** From the request to the event's arrival. */
async function events(bench: Bench): Promise<void> {
  const until = async (side: Contender, action: string, deed: () => Promise<unknown>): Promise<Cost> => {
    const follow = request({ socketPath: side.socketPath, path: '/v1.41/events' });
    follow.on('error', () => undefined);
    const [response] = (await once(follow.end(), 'response')) as [NodeJS.ReadableStream];
    const arrived = Promise.withResolvers<undefined>();
    // podman says `died`.
    response.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes(`"Action":"${action}`)) arrived.resolve(undefined);
    });
    const cost = await costIn(side, async () => Promise.all([arrived.promise, deed()]));
    follow.destroy();
    return cost;
  };
  await bench.compare('event create', async (side) => {
    const cost = await until(side, 'create', () => create(side, 'bench', { Cmd: ['true'] }));
    await api(side, 'DELETE', '/containers/bench?force=1');
    return cost;
  });
  await bench.compare('event die after kill', async (side) => {
    await cli(side, 'run', '-d', '--name', 'bench', 'busybox', 'sleep', '36000');
    const cost = await until(side, 'die', () => api(side, 'POST', '/containers/bench/kill'));
    await api(side, 'DELETE', '/containers/bench?force=1');
    return cost;
  });
}

/** Twenty a sample: one is too short to be timed. */
async function roundTrips(bench: Bench): Promise<void> {
  for (const side of bench.sides) await cli(side, 'run', '-d', '--name', 'bench', 'busybox', 'sleep', '36000');
  for (const path of ['/_ping', '/containers/bench/json', '/version']) {
    await bench.compare(`20 × GET ${path}`, (side) =>
      costIn(side, async () => {
        for (let i = 0; i < 20; i += 1) await api(side, 'GET', path);
      }),
    );
  }
  for (const side of bench.sides) await cli(side, 'rm', '-f', 'bench');
}
