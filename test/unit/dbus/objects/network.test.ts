import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDocuments } from '../../../../src/api/documents.ts';
import { variant } from '../../../../src/dbus/bus/exported.ts';
import { ContainerUsers } from '../../../../src/dbus/container-users.ts';
import { pathOf, ROOT } from '../../../../src/dbus/names.ts';
import { mirrorNetworks } from '../../../../src/dbus/objects/network.ts';
import { networkRequestOf } from '../../../../src/dbus/words/network-config.ts';
import { exampleSpec } from '../../../support/container-spec.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeEngine } from '../../../support/fake-engine.ts';
import { callOf, RecordingTree } from '../../../support/recording-tree.ts';

let engine: FakeEngine;
let tree: RecordingTree;
let users: ContainerUsers;
let mirror: Disposable;
let backend = 'nftables';

beforeEach(() => {
  const clock = new FakeClock();
  engine = new FakeEngine(clock);
  tree = new RecordingTree();
  users = new ContainerUsers(engine);
  const words = createDocuments({ engine, clock, build: { version: '1', gitCommit: '', buildTime: '' } });
  mirror = mirrorNetworks({ engine, tree, users, words, facts: { firewallBackend: () => backend } });
});
afterEach(() => {
  mirror[Symbol.dispose]();
  users[Symbol.dispose]();
});

async function add(name: string): Promise<string> {
  const { network } = await engine.networks.create(networkRequestOf(name, {}));
  return pathOf('network', network.id);
}

describe('a network on the bus', () => {
  test('comes and goes with the engine’s', async () => {
    const path = await add('front');
    expect(tree.properties(path)).toMatchObject({ Name: 'front', Driver: 'bridge', Internal: false, Containers: [] });
    expect(JSON.parse(String((await tree.call(path, 'Inspect', [], callOf()))[0]))).toMatchObject({ Name: 'front' });
    await tree.call(path, 'Remove', [], callOf());
    expect(tree.has(path)).toBe(false);
  });

  test('tells the zone of a bridge where there is firewalld', async () => {
    const before = await add('plain');
    expect(tree.properties(before)).toMatchObject({ FirewallZone: '' });
    backend = 'firewalld+iptables';
    expect(tree.properties(await add('front'))).toMatchObject({ FirewallZone: 'docker' });
    const zone = { FirewallZone: variant('s', 'trusted') };
    const { network } = await engine.networks.create(networkRequestOf('named', zone));
    expect(tree.properties(pathOf('network', network.id))).toMatchObject({ FirewallZone: 'trusted' });
    backend = 'nftables';
  });

  test('takes containers in and lets them go', async () => {
    const path = await add('front');
    const spec = { ...exampleSpec(), image: 'busybox', command: ['sleep'] };
    const { id } = await engine.containers.create({ name: 'web', spec, frontDocument: null });
    const options = {
      Aliases: variant('as', ['db']),
      GwPriority: variant('i', 7),
      IPv4Address: variant('s', '10.0.0.9'),
    };
    await tree.call(path, 'Connect', [`${ROOT}/container/${id}`, options], callOf());
    const { networks } = engine.containers.get('web');
    const networkId = path.slice(path.lastIndexOf('/') + 1);
    expect(networks.get(networkId)).toEqual({
      aliases: ['db'],
      ipv4Address: '10.0.0.9',
      ipv6Address: null,
      macAddress: null,
      gatewayPriority: 7,
    });
    await tree.call(path, 'Disconnect', [`${ROOT}/container/${id}`, false], callOf());
    expect(engine.containers.get('web').networks.has(networkId)).toBe(false);
  });

  test.each([
    [['/', {}], '/ is no container'],
    [[`${ROOT}/image/aa`, {}], `${ROOT}/image/aa is no container`],
    [[`${ROOT}/container/aa`, {}], 'No such container: aa'],
    [[`${ROOT}/container/aa`, { Alias: variant('as', []) }], 'unknown key "Alias"'],
    [[`${ROOT}/container/aa`, { GwPriority: variant('s', '7') }], "key \"GwPriority\" must be of type 'i', not 's'"],
  ])('refuses %j', async (args, message) => {
    await expect(tree.call(await add('front'), 'Connect', args, callOf())).rejects.toThrow(message);
  });
});

describe('a configuration over the bus', () => {
  test('says what the REST API can say', () => {
    const subnets = [
      { Subnet: variant('s', '10.5.0.0/16'), Gateway: variant('s', '10.5.0.1'), IPRange: variant('s', '10.5.1.0/24') },
      { Subnet: variant('s', 'fd00::/64'), AuxAddresses: variant('a{ss}', { a: 'fd00::9' }) },
    ];
    const request = networkRequestOf('n', {
      Driver: variant('s', 'macvlan'),
      Internal: variant('b', true),
      EnableIPv6: variant('b', true),
      Subnets: variant('aa{sv}', subnets),
      Options: variant('a{ss}', { parent: 'eth0' }),
      FirewallZone: variant('s', 'trusted'),
    });
    expect(request).toMatchObject({
      name: 'n',
      driver: 'macvlan',
      enableIpv4: true,
      enableIpv6: true,
      internal: true,
      options: { parent: 'eth0', 'org.moored.network.firewalld.zone': 'trusted' },
      pools: [
        { subnet: '10.5.0.0/16', gateway: '10.5.0.1', ipRange: '10.5.1.0/24', auxAddresses: {} },
        { subnet: 'fd00::/64', gateway: '', ipRange: '', auxAddresses: { a: 'fd00::9' } },
      ],
    });
  });

  test.each([
    [{ Subnet: variant('s', '10.0.0.0/8') }, 'unknown key "Subnet"'],
    [{ Subnets: variant('as', ['10.0.0.0/8']) }, "key \"Subnets\" must be of type 'aa{sv}', not 'as'"],
    [{ Subnets: variant('aa{sv}', [{ Gateway: variant('s', '10.0.0.1') }]) }, 'a subnet has no key "Subnet"'],
  ])('refuses %j', (config, message) => {
    expect(() => networkRequestOf('n', config)).toThrow(message);
  });
});
