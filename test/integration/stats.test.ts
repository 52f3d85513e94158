import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../support/engine.ts';

/*
 * `docker stats` by the docker CLI and the API.
 */
interface Stats {
  readonly read: string;
  readonly preread: string;
  readonly id: string;
  readonly name: string;
  readonly pids_stats: { readonly current?: number; readonly limit?: number };
  readonly cpu_stats: { readonly cpu_usage: { readonly total_usage: number }; readonly online_cpus?: number };
  readonly precpu_stats: { readonly cpu_usage: { readonly total_usage: number }; readonly system_cpu_usage?: number };
  readonly memory_stats: { readonly usage?: number; readonly limit?: number; readonly stats?: object };
  readonly networks?: Readonly<Record<string, { readonly rx_bytes: number }>>;
}

const ZERO_TIME = '0001-01-01T00:00:00Z';
let engine: TestEngine;

beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
  const limits = ['-m', '64m', '--pids-limit', '50'];
  await engine.dockerOk('run', '-d', '--name', 'box', ...limits, 'busybox', 'sh', '-c', 'while :; do sleep 0.05; done');
  await engine.dockerOk('create', '--name', 'still', 'busybox', 'true');
});

afterAll(async () => {
  await engine.dockerOk('rm', '-f', 'box', 'still');
  await engine[Symbol.asyncDispose]();
});

async function stats(name: string, query: string): Promise<Stats> {
  const { status, json } = await engine.api('GET', `/v1.41/containers/${name}/stats?${query}`);
  expect(status).toBe(200);
  return json as Stats;
}

/** Documents of a stream up to and with the `count`th, or to its end. */
function follow(name: string, count: number): Promise<readonly Stats[]> {
  return new Promise((resolve, reject) => {
    const options = { socketPath: engine.socketPath, path: `/containers/${name}/stats`, agent: false };
    const outgoing = request(options, (response) => {
      let text = '';
      const done = (): void => {
        resolve(text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Stats])));
        outgoing.destroy();
      };
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (text.split('\n').length > count) done();
      });
      response.on('end', done);
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

describe('docker stats', () => {
  it('gives two samples at once, and at once when somebody has asked before', async () => {
    const first = await stats('box', 'stream=false');
    expect(Date.parse(first.read) - Date.parse(first.preread)).toBeGreaterThanOrEqual(500);
    expect(first.cpu_stats.cpu_usage.total_usage).toBeGreaterThan(first.precpu_stats.cpu_usage.total_usage);
    expect(first).toMatchObject({ name: '/box', pids_stats: { limit: 50 }, memory_stats: { limit: 67108864 } });
    expect(first.networks?.['eth0']?.rx_bytes).toBeGreaterThanOrEqual(0);
    expect(Object.keys(first.networks ?? {})).toEqual(['eth0']);
    await until(async () => {
      const before = performance.now();
      const next = await stats('box', 'stream=false');
      return next.preread !== first.preread && performance.now() - before < 400;
    });
  });

  it('gives one sample alone with one-shot', async () => {
    const { preread, precpu_stats, cpu_stats } = await stats('box', 'stream=false&one-shot=true');
    expect([preread, precpu_stats.cpu_usage.total_usage, precpu_stats.system_cpu_usage]).toEqual([
      ZERO_TIME,
      0,
      undefined,
    ]);
    expect(cpu_stats.online_cpus).toBeGreaterThan(0);
  });

  it('streams: each sample knows the one before', async () => {
    const documents = await follow('box', 3);
    expect(documents[0]?.preread).toBe(ZERO_TIME);
    expect(documents[1]?.preread).toBe(documents[0]?.read);
    expect(documents[2]?.preread).toBe(documents[1]?.read);
  });

  it('gives zeros of what does not run, and ends with the container', async () => {
    const { id: _id, ...still } = await stats('still', 'stream=false');
    expect(still).toMatchObject({
      read: ZERO_TIME,
      preread: ZERO_TIME,
      name: '/still',
      pids_stats: {},
      memory_stats: {},
    });
    expect(still).not.toHaveProperty('networks');
    await engine.dockerOk('create', '--name', 'leaving', 'busybox', 'true');
    const streamed = follow('leaving', 1000);
    await until(async () => (await engine.api('GET', '/containers/leaving/stats?stream=false')).status === 200);
    await engine.dockerOk('rm', 'leaving');
    expect((await streamed).every(({ read }) => read === ZERO_TIME)).toBe(true);
  });

  it('refuses what contradicts itself', async () => {
    expect(await engine.api('GET', '/v1.41/containers/box/stats?stream=1&one-shot=1')).toMatchObject({
      status: 400,
      json: { message: 'cannot have stream=true and one-shot=true' },
    });
    expect((await engine.api('GET', '/containers/none/stats')).status).toBe(404);
  });

  it('is what the CLI shows', async () => {
    const line = await engine.dockerOk('stats', '--no-stream', '--format', '{{.Name}} {{.MemUsage}} {{.PIDs}}', 'box');
    expect(line).toMatch(/^box \S+iB \/ 64MiB \d+$/);
  });
});
