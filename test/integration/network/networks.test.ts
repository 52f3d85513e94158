import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { newId } from '../../../src/base/ids.ts';
import type { ContainerId } from '../../../src/base/ids.ts';
import type { ConnectRequest, EndpointWish, NetworkRequest } from '../../../src/engine/network/types.ts';
import { call, inside, ipOf, kernel, netnsOf, NetworkRig, publish, requestFor, rigOptions, unfit } from './rig.ts';
import type { TestContainer } from './rig.ts';
import { setUp } from '../../support/sandboxes.ts';

const NO_WISH: EndpointWish = { aliases: [], ipv4Address: null, ipv6Address: null, macAddress: null };

/** A network as `docker network create` asks for it. */
function network(name: string, subnet = '', further: Partial<NetworkRequest> = {}): NetworkRequest {
  return {
    name,
    driver: '',
    enableIpv4: true,
    enableIpv6: null,
    internal: false,
    attachable: false,
    options: {},
    labels: {},
    ipamDriver: '',
    ipamOptions: null,
    pools: subnet === '' ? [] : [{ subnet, gateway: '', ipRange: '', auxAddresses: {} }],
    ...further,
  };
}

function connecting({ containerId }: TestContainer, to: string, further: Partial<ConnectRequest> = {}): ConnectRequest {
  return {
    containerId,
    containerName: 'web',
    hostname: 'host-of-web',
    network: to,
    wish: NO_WISH,
    portBindings: [],
    publishAll: [],
    resolver: { servers: [], search: [], options: [] },
    labels: {},
    ...further,
  };
}

const onNetwork = (name: string) => ({ mode: { kind: 'network', name } as const });
const defaultRoute = async (container: TestContainer) =>
  (await inside(netnsOf(container), 'ip', '-o', 'route', 'show', 'default')).trim();

describe.skipIf(unfit !== null)(`users' networks${unfit === null ? '' : ` (skipped: ${unfit})`}`, () => {
  it('are made with their bridge, told of, and taken away whole', async () => {
    await using rig = await NetworkRig.start();
    const { network: made, warnings } = await rig.networks.create(network('db', '10.196.0.0/24'));
    expect(warnings).toEqual([]);
    const bridgeName = `br-${made.id.slice(0, 12)}`;
    expect(await inside(null, 'ip', '-o', '-4', 'addr', 'show', bridgeName)).toContain('10.196.0.1/24');
    expect(rig.networks.get('db')).toEqual(made);
    await rig.networks.remove(made.id.slice(0, 20));
    using route = kernel.openRoute(null);
    expect(route.linkByName(bridgeName)).toBe(null);
    expect(() => rig.networks.get('db')).toThrow('network db not found');
    expect(rig.events.map(({ action, actorId, attributes }) => [action, actorId, attributes])).toEqual([
      ['create', made.id, { name: 'db', type: 'bridge' }],
      ['destroy', made.id, { name: 'db', type: 'bridge' }],
    ]);
  });

  it('cannot be removed under a container, in words of dockerd', async () => {
    await using rig = await NetworkRig.start();
    await rig.networks.create(network('db', '10.196.1.0/24'));
    const container = await rig.container({ ...onNetwork('db'), containerName: 'web' });
    const [endpoint] = container.sandbox.endpoints;
    await expect(rig.networks.remove('db')).rejects.toMatchObject({
      kind: 'forbidden',
      message: `error while removing network: network db has active endpoints (name:"web" id:"${endpoint!.endpointId.slice(0, 12)}")`,
    });
    await expect(rig.networks.remove('bridge')).rejects.toMatchObject({
      kind: 'forbidden',
      message: 'bridge is a pre-defined network and cannot be removed',
    });
    await rig.networks.tearDown(container.containerId, container.sandbox);
    await rig.networks.remove('db');
  });

  it('are several at once: one has the default route and the ports, by priority and name', async () => {
    await using rig = await NetworkRig.start();
    await rig.networks.create(network('a', '10.196.2.0/24'));
    await rig.networks.create(network('b', '10.196.3.0/24'));
    await rig.networks.create(network('inner', '10.196.4.0/24', { internal: true }));
    const endpoints = {
      inner: { ...NO_WISH, gatewayPriority: 9 },
      b: { ...NO_WISH, ipv4Address: '10.196.3.77' },
      a: NO_WISH,
    };
    const first = await rig.container({ ...onNetwork('inner'), endpoints, portBindings: [publish(0, 80)] });
    expect(first.sandbox.endpoints.map(({ networkName, interfaceName }) => [networkName, interfaceName])).toEqual([
      ['inner', 'eth0'],
      ['a', 'eth1'],
      ['b', 'eth2'],
    ]);
    expect(await defaultRoute(first)).toMatch(/^default via 10\.196\.2\.1 dev eth1/);
    expect(first.sandbox.endpoints.map(({ publishedPorts }) => publishedPorts.length)).toEqual([0, 1, 0]);
    expect(first.sandbox.endpoints[2]?.ipv4Address).toBe('10.196.3.77');
    const second = await rig.container({
      ...onNetwork('a'),
      endpoints: { b: { ...NO_WISH, gatewayPriority: 1 } },
    });
    expect(await defaultRoute(second)).toMatch(/^default via 10\.196\.3\.1 dev eth1/);
    await rig.serve(netnsOf(first), 80, 'first');
    expect(await call(netnsOf(second), '10.196.3.77', 80)).toBe('first 10.196.3.2');
    for (const { containerId, sandbox } of [first, second]) await rig.networks.tearDown(containerId, sandbox);
    for (const name of ['a', 'b', 'inner']) await rig.networks.remove(name);
  });

  it('are joined and left by running containers; default route and ports follow', async () => {
    await using rig = await NetworkRig.start();
    await rig.networks.create(network('z', '10.196.5.0/24'));
    await rig.networks.create(network('y', '10.196.6.0/24'));
    const neighbour = await rig.container(onNetwork('y'));
    const bindings = { portBindings: [publish(0, 80)] };
    const container = await rig.container({ ...onNetwork('z'), containerName: 'web', ...bindings });
    await rig.serve(netnsOf(container), 80, 'web');
    const joined = await rig.networks.connect(
      connecting(container, 'y', { ...bindings, wish: { ...NO_WISH, aliases: ['w'] } }),
    );
    expect(joined.endpoints[1]).toMatchObject({
      networkName: 'y',
      interfaceName: 'eth1',
      ipv4Address: '10.196.6.3',
      gatewayOf: ['ipv4'],
      dnsNames: ['web', 'w', container.containerId.slice(0, 12), 'host-of-web'],
    });
    expect(await defaultRoute(container)).toMatch(/^default via 10\.196\.6\.1 dev eth1/);
    expect(joined.endpoints.map(({ publishedPorts }) => publishedPorts.length)).toEqual([0, 1]);
    expect(await call(netnsOf(neighbour), '10.196.6.3', 80)).toBe('web 10.196.6.2');
    expect(await call(null, '127.0.0.1', joined.endpoints[1]!.publishedPorts[0]!.hostPort)).toBe('web 10.196.6.1');
    await expect(rig.networks.connect(connecting(container, 'y'))).rejects.toMatchObject({
      kind: 'forbidden',
      message: 'endpoint with name web already exists in network y',
    });

    const left = await rig.networks.disconnect({ containerId: container.containerId, network: 'y', force: false });
    expect(left.endpoints.map(({ networkName, gatewayOf }) => [networkName, gatewayOf])).toEqual([['z', ['ipv4']]]);
    expect(await defaultRoute(container)).toMatch(/^default via 10\.196\.5\.1 dev eth0/);
    expect(await call(null, '127.0.0.1', left.endpoints[0]!.publishedPorts[0]!.hostPort)).toBe('web 10.196.5.1');
    await expect(call(netnsOf(neighbour), '10.196.6.3', 80)).rejects.toThrow();
    await expect(
      rig.networks.disconnect({ containerId: container.containerId, network: 'y', force: false }),
    ).rejects.toThrow(`container ${container.containerId} is not connected to network y`);
    const again = await rig.networks.connect(connecting(container, 'y'));
    expect(again.endpoints[1]?.ipv4Address).toBe('10.196.6.3');
    expect(rig.events.map(({ action, attributes }) => `${action} ${attributes['name'] ?? ''}`).slice(4)).toEqual([
      'connect y',
      'disconnect y',
      'connect y',
    ]);
    await rig.networks.tearDown(container.containerId, again);
    await rig.networks.tearDown(neighbour.containerId, neighbour.sandbox);
    for (const name of ['z', 'y']) await rig.networks.remove(name);
  });

  it('are left one after the other until only the loopback link is there', async () => {
    await using rig = await NetworkRig.start();
    const container = await rig.container();
    const alone = await rig.networks.disconnect({
      containerId: container.containerId,
      network: 'bridge',
      force: false,
    });
    expect(alone.endpoints).toEqual([]);
    expect(await defaultRoute(container)).toBe('');
    const other = await rig.container();
    expect(ipOf(other)).toBe(ipOf(container));
    await rig.networks.connect(connecting(container, 'bridge'));
  });

  it('are refused to who is not there', async () => {
    await using rig = await NetworkRig.start();
    await rig.networks.create(network('db', '10.196.7.0/24'));
    const stranger = { containerId: newId<ContainerId>(), sandbox: { netnsPath: null, endpoints: [] } };
    await expect(rig.networks.connect(connecting(stranger, 'db'))).rejects.toMatchObject({ kind: 'not-found' });
    await expect(
      rig.networks.disconnect({ containerId: stranger.containerId, network: 'db', force: true }),
    ).rejects.toMatchObject({ kind: 'not-found' });
    await expect(setUp(rig.networks, { ...requestFor(stranger.containerId), ...onNetwork('nope') })).rejects.toThrow(
      'network nope not found',
    );
  });

  it('have IPv6 beside IPv4 or alone; unique local addresses where no subnet is asked for', async () => {
    await using rig = await NetworkRig.startWith({}, { engineId: randomUUID() });
    const { network: dual } = await rig.networks.create(network('dual', '10.196.8.0/24', { enableIpv6: true }));
    expect(dual.pools[1]).toMatchObject({ subnet: expect.stringMatching(/^fd[0-9a-f:]+::\/64$/) as string });
    const { network: alone } = await rig.networks.create(network('alone', '', { enableIpv4: false, enableIpv6: true }));
    expect(alone.pools).toHaveLength(1);
    const asked = { subnet: 'fd00:196:9::/64', gateway: '', ipRange: '', auxAddresses: { taken: 'fd00:196:9::2' } };
    await rig.networks.create(network('given', '', { enableIpv4: false, enableIpv6: true, pools: [asked] }));

    const wish = { ...NO_WISH, ipv6Address: 'fd00:196:9::77' };
    const first = await rig.container({ ...onNetwork('dual'), endpoints: { given: wish } });
    const second = await rig.container(onNetwork('given'));
    expect(first.sandbox.endpoints[1]).toMatchObject({ ipv4Address: null, ipv6Address: 'fd00:196:9::77' });
    expect(first.sandbox.endpoints.map(({ gatewayOf }) => gatewayOf)).toEqual([['ipv4', 'ipv6'], []]);
    expect(second.sandbox.endpoints[0]).toMatchObject({
      ipv6Address: 'fd00:196:9::3',
      ipv6PrefixLength: 64,
      ipv6Gateway: 'fd00:196:9::1',
      gatewayOf: ['ipv6'],
    });
    await rig.serve(netnsOf(first), 80, 'six');
    expect(await call(netnsOf(second), 'fd00:196:9::77', 80)).toContain('six');
    const joined = await rig.networks.connect(connecting(second, 'dual'));
    expect(joined.endpoints.map(({ gatewayOf }) => gatewayOf)).toEqual([[], ['ipv4', 'ipv6']]);
    const routes = await inside(netnsOf(second), 'ip', '-6', '-o', 'route', 'show', 'default');
    expect(routes.trim().split('\n')).toEqual([expect.stringContaining(`via ${dual.pools[1]!.gateway!} dev eth1`)]);
    // The dual-stack network has both default routes, and leaves the other when it goes.
    const { containerId } = first;
    const left = await rig.networks.disconnect({ containerId, network: 'dual', force: false });
    expect(left.endpoints[0]?.gatewayOf).toEqual(['ipv6']);
    expect(await inside(netnsOf(first), 'ip', '-6', '-o', 'route', 'show', 'default')).toContain('via fd00:196:9::1');
    await rig.networks.remove('alone');
  });

  it('give no address with IPAM driver null', async () => {
    await using rig = await NetworkRig.start();
    await expect(rig.networks.create(network('bare', '', { ipamDriver: 'null' }))).rejects.toThrow(
      'ipv4 pool is empty',
    );
    await expect(rig.networks.create(network('bare', '10.196.10.0/24', { ipamDriver: 'null' }))).rejects.toThrow(
      'null ipam driver does not handle specific address pool requests',
    );
  });

  it('get their bridge back when somebody takes it away, with their containers in it', async () => {
    await using rig = await NetworkRig.start();
    const { network: made } = await rig.networks.create(network('db', '10.196.11.0/24'));
    const [first, second] = [await rig.container(onNetwork('db')), await rig.container(onNetwork('db'))];
    await rig.serve(netnsOf(second), 80, 'here');
    await inside(null, 'ip', 'link', 'del', `br-${made.id.slice(0, 12)}`);
    await expect.poll(() => call(netnsOf(first), ipOf(second), 80).catch(() => 'away')).toBe(`here ${ipOf(first)}`);
  });

  it('are put back, and their containers too, at a start that finds nothing of them', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'network-'));
    const options = rigOptions(directory);
    const rig = await NetworkRig.start([], directory, options);
    const { network: made } = await rig.networks.create(network('db', '10.196.12.0/24'));
    const [first, second] = [await rig.container(onNetwork('db')), await rig.container(onNetwork('db'))];
    rig.stop();
    await inside(null, 'ip', 'link', 'del', `br-${made.id.slice(0, 12)}`);
    await using again = await NetworkRig.start([first, second], directory, options);
    await again.serve(netnsOf(second), 80, 'here');
    expect(await call(netnsOf(first), ipOf(second), 80)).toBe(`here ${ipOf(first)}`);
    expect(again.networks.get('db').endpoints).toHaveLength(2);
  });

  it('are made from configurations, which hold no address and outlast the engine', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'network-'));
    const options = rigOptions(directory);
    const rig = await NetworkRig.start([], directory, options);
    const plan = network('plan', '10.196.14.0/24', { configOnly: true, labels: { a: 'b' }, options: { foo: 'bar' } });
    await rig.networks.create(plan);
    await rig.networks.create({ ...plan, name: 'same' });
    await rig.networks.create(network('made', '', { configFrom: 'plan', internal: true }));
    rig.stop();
    await using again = await NetworkRig.start([], directory, options);
    expect(again.networks.get('plan')).toMatchObject({ driver: 'null', pools: [], configuration: plan.pools });
    expect(again.networks.get('made')).toMatchObject({
      ...{ driver: 'bridge', internal: true, labels: plan.labels, options: plan.options, configFrom: 'plan' },
      pools: [{ subnet: '10.196.14.0/24' }],
    });
    await expect(again.container(onNetwork('plan'))).rejects.toThrow(
      'cannot create endpoint on configuration-only network',
    );
    await expect(again.networks.remove('plan')).rejects.toThrow('configuration network "plan" is in use');
    for (const name of ['made', 'plan', 'same']) await again.networks.remove(name);
    expect(again.events.map(({ action, attributes }) => [action, attributes['name']])).toEqual([['destroy', 'made']]);
  });

  it('know their containers by the names they have now', async () => {
    await using rig = await NetworkRig.start();
    await rig.networks.create(network('db', '10.196.13.0/24'));
    const endpoints = { db: { ...NO_WISH, aliases: ['one', 'web'] } };
    const container = await rig.container({ ...onNetwork('db'), endpoints, containerName: 'one', hostname: 'h' });
    const short = container.containerId.slice(0, 12);
    expect(container.sandbox.endpoints[0]?.dnsNames).toEqual(['one', 'web', short, 'h']);
    const renamed = rig.networks.renamed(container.containerId, 'two');
    expect(renamed?.endpoints[0]?.dnsNames).toEqual(['two', 'one', 'web', short, 'h']);
    expect(rig.networks.get('db').endpoints).toEqual(renamed?.endpoints);
    expect(rig.networks.renamed(newId<ContainerId>(), 'x')).toBe(null);
  });
});
