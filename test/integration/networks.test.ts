/** Networks through the whole engine: what a container is on, over restarts of it and of the daemon, and who is told. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../support/engine.ts';

interface Endpoint {
  readonly Aliases: readonly string[] | null;
  readonly DNSNames?: readonly string[] | null;
  readonly GwPriority?: number;
  readonly IPAddress: string;
  readonly IPAMConfig: unknown;
  readonly NetworkID: string;
  readonly MacAddress: string;
}

let engine: TestEngine;
/** The first two numbers of addresses that nobody else has. */
let prefix: string;
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
  prefix = engine.poolBase.replace(/^10\.(\d+)\..*$/, '10.$1');
});
afterEach(async () => {
  await engine.removeContainers();
  await engine.api('POST', '/networks/prune');
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

async function make(name: string, third: number, more: object = {}): Promise<string> {
  const IPAM = { Config: [{ Subnet: `${prefix}.${String(third)}.0/24` }] };
  const { status, json, body } = await engine.api('POST', '/networks/create', { Name: name, IPAM, ...more });
  expect([status, body]).toEqual([201, expect.any(String)]);
  return (json as { readonly Id: string }).Id;
}

async function networksOf(name: string, version = ''): Promise<Readonly<Record<string, Endpoint>>> {
  const { json } = await engine.api('GET', `${version}/containers/${name}/json`);
  return (json as { readonly NetworkSettings: { readonly Networks: Record<string, Endpoint> } }).NetworkSettings
    .Networks;
}

async function post(path: string, body?: object): Promise<number> {
  return (await engine.api('POST', path, body)).status;
}

const SLEEP = { Image: 'busybox', Cmd: ['sleep', '1000'] };

describe('a container on several networks', () => {
  it('is made with them from 1.44 on, and starts on all', async () => {
    await make('one', 81);
    await make('two', 82);
    const EndpointsConfig = {
      two: { Aliases: ['b'], GwPriority: 5 },
      one: { IPAMConfig: { IPv4Address: `${prefix}.81.7` } },
    };
    const order = { ...SLEEP, HostConfig: { NetworkMode: 'one' }, NetworkingConfig: { EndpointsConfig } };
    const older = await engine.api('POST', '/v1.43/containers/create?name=multi', order);
    expect([older.status, older.json]).toEqual([
      400,
      { message: 'Container cannot be created with multiple network endpoints: one, two' },
    ]);
    expect(await post('/containers/create?name=multi', order)).toBe(201);
    expect(await networksOf('multi')).toMatchObject({ one: { NetworkID: '', DNSNames: null }, two: { IPAddress: '' } });
    expect(await post('/containers/multi/start')).toBe(204);
    const networks = await networksOf('multi');
    expect(networks['one']?.IPAddress).toBe(`${prefix}.81.7`);
    expect(networks['two']).toMatchObject({
      Aliases: ['b'],
      GwPriority: 5,
      DNSNames: ['multi', 'b', expect.any(String)],
    });
    expect(await engine.dockerOk('exec', 'multi', 'sh', '-c', 'ip route | grep default')).toContain(`${prefix}.82.1`);
  });

  it('shows older clients what they are used to', async () => {
    await make('one', 81);
    const id = await engine.dockerOk('run', '-d', '--name', 'old', '--network', 'one', 'busybox', 'sleep', '1000');
    const older = (await networksOf('old', '/v1.41'))['one'];
    expect(older?.Aliases).toEqual([id.slice(0, 12)]);
    expect([older?.DNSNames, older?.GwPriority]).toEqual([undefined, undefined]);
    const newer = (await networksOf('old'))['one'];
    expect([newer?.Aliases, newer?.DNSNames]).toEqual([null, ['old', id.slice(0, 12)]]);
  });
});

describe('what a container is on', () => {
  it('outlives stops, kills of the daemon and a rename', async () => {
    await make('one', 81);
    await make('two', 82);
    await engine.dockerOk('run', '-d', '--name', 'stays', '--network', 'one', 'busybox', 'sleep', '1000');
    await engine.dockerOk('network', 'connect', '--ip', `${prefix}.82.9`, '--alias', 'x', 'two', 'stays');
    await engine.dockerOk('network', 'disconnect', 'one', 'stays');
    await engine.end('SIGKILL');
    await engine.boot();
    expect(Object.keys(await networksOf('stays'))).toEqual(['two']);
    expect(await engine.dockerOk('network', 'inspect', '-f', '{{range .Containers}}{{.Name}}{{end}}', 'two')).toBe(
      'stays',
    );
    await engine.dockerOk('rename', 'stays', 'went');
    expect((await networksOf('went'))['two']?.DNSNames?.slice(0, 2)).toEqual(['went', 'x']);
    await engine.dockerOk('restart', '-t', '0', 'went');
    expect((await networksOf('went'))['two']).toMatchObject({ IPAddress: `${prefix}.82.9`, Aliases: ['x'] });
    await engine.dockerOk('stop', '-t', '0', 'went');
    await engine.dockerOk('network', 'disconnect', 'two', 'went');
    await engine.dockerOk('start', 'went');
    expect(await networksOf('went')).toEqual({});
    expect(await engine.dockerOk('exec', 'went', 'sh', '-c', 'ls /sys/class/net')).toBe('lo');
    // Back where it was at first, and there is the default route again.
    await engine.dockerOk('network', 'connect', 'one', 'went');
    await engine.dockerOk('restart', '-t', '0', 'went');
    expect(Object.keys(await networksOf('went'))).toEqual(['one']);
  });

  it('may be called by an id, and be there only at the start', async () => {
    const id = await make('one', 81);
    await engine.dockerOk('create', '--name', 'byid', '--network', id.slice(0, 20), 'busybox', 'sleep', '1000');
    expect(Object.keys(await networksOf('byid'))).toEqual(['one']);
    expect(await engine.dockerOk('inspect', '-f', '{{.HostConfig.NetworkMode}}', 'byid')).toBe(id.slice(0, 20));
    await engine.dockerOk('network', 'connect', 'later', 'byid');
    const early = await engine.docker(['start', 'byid']);
    expect(early.stderr).toContain('network later not found');
    await make('later', 83);
    await engine.dockerOk('start', 'byid');
    expect(Object.keys(await networksOf('byid'))).toEqual(['later', 'one']);
    expect(await engine.dockerOk('ps', '-q', '--no-trunc', '--filter', `network=${id.slice(0, 12)}`)).toMatch(
      /^[0-9a-f]{64}$/,
    );
  });
});

describe('a network', () => {
  it('is told of from its making to its end', async () => {
    const since = String(Math.floor(Date.now() / 1000));
    await make('told', 84, { Labels: { a: 'b' } });
    const id = await engine.dockerOk('run', '-d', '--name', 'seen', '--network', 'told', 'busybox', 'sleep', '1000');
    await engine.dockerOk('network', 'disconnect', 'told', 'seen');
    await engine.dockerOk('network', 'connect', 'told', 'seen');
    await engine.dockerOk('rm', '-f', 'seen');
    await engine.dockerOk('network', 'rm', 'told');
    await engine.dockerOk('network', 'prune', '-f');
    const told = await until(async () => {
      const until = String(Math.floor(Date.now() / 1000) + 1);
      const { body } = await engine.api('GET', `/events?since=${since}&until=${until}&filters={"type":["network"]}`);
      const events = body
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { Action: string; Actor: { Attributes: object } });
      return events.some(({ Action }) => Action === 'prune') && events;
    });
    const attributes = { name: 'told', type: 'bridge' };
    // The second in which it began had others.
    const own = told.slice(told.findLastIndex(({ Action }) => Action === 'create'));
    expect(own.map(({ Action, Actor }) => [Action, Actor.Attributes])).toEqual([
      ['create', attributes],
      ['connect', { container: id, ...attributes }],
      ['disconnect', { container: id, ...attributes }],
      ['connect', { container: id, ...attributes }],
      ['disconnect', { container: id, ...attributes }],
      ['destroy', attributes],
      ['prune', { reclaimed: '0' }],
    ]);
  });

  it('goes with a prune when its label says so, as a runner of jobs asks', async () => {
    await make('job', 85, { Labels: { 'runner-1': '' } });
    await make('used', 86, { Labels: { 'runner-1': '' } });
    await make('other', 87);
    await engine.dockerOk('run', '-d', '--network', 'used', 'busybox', 'sleep', '1000');
    expect(await engine.dockerOk('network', 'prune', '--force', '--filter', 'label=runner-1')).toBe(
      'Deleted Networks:\njob\n',
    );
    const { json } = await engine.api(
      'POST',
      `/networks/prune?filters={"label!":{"runner-1":true},"until":{"1h":true}}`,
    );
    expect(json).toEqual({ NetworksDeleted: null });
    const all = await engine.api('POST', `/networks/prune?filters={"label!":{"runner-1":true}}`);
    expect(all.json).toEqual({ NetworksDeleted: ['other'] });
  });

  it('shows lists who is on it only to the oldest clients', async () => {
    await make('one', 81);
    const id = await engine.dockerOk('run', '-d', '--network', 'one', 'busybox', 'sleep', '1000');
    const containersOf = async (version: string): Promise<readonly string[]> => {
      const { json } = await engine.api('GET', `${version}/networks?filters={"name":["^one$"]}`);
      return (json as readonly { Containers: object }[]).flatMap(({ Containers }) => Object.keys(Containers));
    };
    expect(await containersOf('/v1.27')).toEqual([id]);
    expect(await containersOf('/v1.28')).toEqual([]);
  });
});
