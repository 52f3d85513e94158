/** Networks over D-Bus: a real bus, a real engine; what REST does is told there, and the other way round. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { variant } from '../../src/dbus/bus/exported.ts';
import { MANAGER_PATH, pathOf, SERVICE } from '../../src/dbus/names.ts';
import { BusClient } from '../support/bus-containers.ts';
import { obstacleToContainers } from '../support/bundle.ts';
import { TestEngine, until } from '../support/engine.ts';
import { PrivateBus, whyNoBus } from '../support/private-bus.ts';

const obstacle = whyNoBus ?? obstacleToContainers();

describe.skipIf(obstacle !== null)(`networks on the bus${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let bus: PrivateBus;
  let engine: TestEngine;
  let client: BusClient;
  let subnet: string;

  beforeAll(async () => {
    bus = await PrivateBus.start();
    engine = await TestEngine.startOnBus(bus.address);
    await engine.importBusybox();
    client = await BusClient.connect(bus);
    subnet = engine.poolBase.replace(/^10\.(\d+)\..*$/, '10.$1.90');
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await bus[Symbol.asyncDispose]();
  });

  const call = (
    path: string,
    noun: string,
    member: string,
    signature = '',
    ...body: readonly unknown[]
  ): Promise<readonly unknown[]> =>
    client.connection.call({ destination: SERVICE, path, interface: `${SERVICE}.${noun}`, member, signature, body });
  const create = async (name: string, config: object): Promise<string> =>
    String((await call(MANAGER_PATH, 'Manager', 'CreateNetwork', 'sa{sv}', name, config))[0]);
  const fails = (promise: Promise<unknown>, name: string): Promise<void> =>
    expect(promise).rejects.toMatchObject({ busName: expect.stringContaining(name) as unknown });

  it('are made, joined, left and removed', async () => {
    const pool = { Subnet: variant('s', `${subnet}.0/24`), Gateway: variant('s', `${subnet}.254`) };
    const path = await create('front', { Subnets: variant('aa{sv}', [pool]), Labels: variant('a{ss}', { a: 'b' }) });
    expect(await client.properties(path, 'Network')).toMatchObject({
      Name: 'front',
      Driver: 'bridge',
      Subnets: [[`${subnet}.0/24`, `${subnet}.254`, '']],
      InterfaceName: `br-${path.split('/').at(-1)?.slice(0, 12) ?? ''}`,
      Containers: [],
    });
    expect(await engine.dockerOk('network', 'inspect', '-f', '{{index .Labels "a"}}', 'front')).toBe('b');

    const id = await engine.dockerOk('run', '-d', '--name', 'web', 'busybox', 'sleep', '1000');
    const container = pathOf('container', id);
    const options = { Aliases: variant('as', ['www']), IPv4Address: variant('s', `${subnet}.9`) };
    await call(path, 'Network', 'Connect', 'oa{sv}', container, options);
    expect((await client.properties(path, 'Network'))['Containers']).toEqual([container]);
    expect((await client.properties(container))['Networks']).toContain(path);
    expect(await engine.dockerOk('exec', 'web', 'ip', '-4', 'addr', 'show', 'eth1')).toContain(`${subnet}.9/24`);
    await until(() => client.changes(path).some((change) => Object.hasOwn(change, 'Containers')));
    await fails(call(path, 'Network', 'Connect', 'oa{sv}', container, options), 'Conflict');
    await fails(call(path, 'Network', 'Remove'), 'InUse');

    await call(path, 'Network', 'Disconnect', 'ob', container, false);
    expect((await client.properties(path, 'Network'))['Containers']).toEqual([]);
    await fails(call(path, 'Network', 'Disconnect', 'ob', container, false), 'Failed');
    await call(path, 'Network', 'Remove');
    expect(await client.paths('network')).not.toContain(path);
    await until(() => client.seen.some((one) => one.member === 'InterfacesRemoved' && one.body[0] === path));
    await engine.dockerOk('rm', '-f', 'web');
  });

  it('that cannot be are refused with the key or the words that are wrong', async () => {
    await fails(create('bridge', {}), 'Conflict');
    await fails(create('x', { Nope: variant('s', '') }), 'InvalidArgs');
    await fails(create('x', { Driver: variant('s', 'nosuch') }), 'NotFound');
    const bad = variant('aa{sv}', [{ Subnet: variant('s', '10.1.2.3/8') }]);
    await fails(create('x', { Subnets: bad }), 'InvalidArgs');
    await create('twice', {});
    await fails(create('twice', {}), 'NameInUse');
  });

  it('come and go with REST’s, and with a prune', async () => {
    await engine.dockerOk('network', 'create', '--label', 'ci', 'rest');
    const id = await engine.dockerOk('network', 'inspect', '-f', '{{.Id}}', 'rest');
    expect(await client.paths('network')).toContain(pathOf('network', id));
    const filters = { Labels: variant('as', ['ci']) };
    const preview = await call(MANAGER_PATH, 'Manager', 'PreviewPrune', 'asa{sv}', ['network'], filters);
    expect(preview).toEqual([[['network', id, 0n]], 0n]);
    const [job] = await call(MANAGER_PATH, 'Manager', 'Prune', 'asa{sv}', ['network'], filters);
    const number = Number(String(job).split('/').at(-1));
    const [result, details] = await call(MANAGER_PATH, 'Manager', 'WaitJob', 'ut', number, 10_000_000n);
    expect([result, (details as Record<string, { value: unknown }>)['Removed']?.value]).toEqual([
      'done',
      [['network', id]],
    ]);
    expect(await client.paths('network')).not.toContain(pathOf('network', id));
  });
});
