import { describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../src/base/clock.ts';
import { ConflictError, UnavailableError } from '../../../../src/base/errors.ts';
import type { EndpointId, NetworkId } from '../../../../src/base/ids.ts';
import { KernelError } from '../../../../src/engine/kernel/kernel.ts';
import { BridgeDriver } from '../../../../src/engine/network/bridge/driver.ts';
import { BRIDGE_OPTION } from '../../../../src/engine/network/bridge/settings.ts';
import { SECLUDED_PORT_GROUP } from '../../../../src/engine/network/driver.ts';
import type { EndpointRequest, FirewallDriver, Sandbox } from '../../../../src/engine/network/driver.ts';
import { UntouchedFirewall } from '../../../../src/engine/network/firewall/untouched.ts';
import type { EndpointState, NetworkRecord } from '../../../../src/engine/network/types.ts';
import { FakeKernel } from '../../../support/fake-kernel.ts';

const network: NetworkRecord = {
  id: 'a'.repeat(64) as NetworkId,
  name: 'n',
  driver: 'bridge',
  createdAt: 1n as Timestamp,
  enableIpv6: true,
  internal: false,
  attachable: false,
  options: {},
  labels: {},
  ipamDriver: 'default',
  ipamOptions: null,
  pools: [
    { subnet: '10.9.0.0/24', gateway: '10.9.0.1', ipRange: null, auxAddresses: {} },
    { subnet: 'fd00:9::/64', gateway: 'fd00:9::1', ipRange: null, auxAddresses: { DefaultGatewayIPv6: 'fd00:9::9' } },
  ],
};
const NAME = 'br-aaaaaaaaaaaa';

/** A driver on a kernel in memory; `missing` parameters are not there. */
function rig(missing: (key: string) => boolean = () => false, firewall: FirewallDriver = new UntouchedFirewall()) {
  const kernel = new FakeKernel();
  const owned = new Set<string>();
  const written: Record<string, string> = {};
  const route = kernel.openRoute(null);
  const driver = new BridgeDriver({
    route: () => route,
    sysctls: {
      read: (key) => (missing(key) ? null : (written[key] ?? '0')),
      write: (key, value) => {
        if (missing(key)) throw new KernelError('sysctl', 'ENOENT', key);
        written[key] = value;
      },
    },
    within: kernel.namespaces.within,
    announcer: { announce: () => undefined },
    ownership: {
      owns: ({ id }: NetworkRecord) => owned.has(id),
      claim: ({ id }: NetworkRecord) => void owned.add(id),
    },
    firewall,
    forwarding: { allow: () => undefined, toClose: () => [] },
  });
  const addresses = (name = NAME) => route.addresses(route.linkByName(name)?.index ?? -1).map(({ cidr }) => cidr);
  return { kernel, driver, route, owned, written, addresses };
}

function sandboxIn(kernel: FakeKernel): Sandbox {
  kernel.namespaces.createNetns('/n');
  const netns = kernel.namespaces.openNetns('/n');
  return { netnsPath: '/n', netns, inside: kernel.openRoute(netns) };
}

const request: EndpointRequest & Pick<EndpointState, 'interfaceName'> = {
  endpointId: 'e' as EndpointId,
  network,
  interfaceName: 'eth0',
  ipv4Address: '10.9.0.2',
  ipv6Address: 'fd00:9::2',
  macAddress: '02:42:0a:09:00:02',
  defaultRoute: true,
};

describe('a bridge', () => {
  it('has its addresses before it is up, and takes no router advertisements', async () => {
    const { driver, addresses, written, kernel } = rig();
    await driver.createNetwork(network);
    expect(addresses()).toEqual(['10.9.0.1/24', 'fd00:9::1/64']);
    expect(written).toMatchObject({ [`net/ipv6/conf/${NAME}/accept_ra`]: '0' });
    const names = kernel.names();
    expect(names.indexOf('route.changeLink')).toBeGreaterThan(names.lastIndexOf('route.addAddress'));
  });

  it('of ours loses addresses that are no longer its own', async () => {
    const { driver, route, addresses } = rig();
    await driver.createNetwork(network);
    route.addAddress(route.linkByName(NAME)?.index ?? 0, 'fd00:8::1/64');
    route.addAddress(route.linkByName(NAME)?.index ?? 0, 'fe80::42/64');
    await driver.createNetwork(network);
    expect(addresses()).toEqual(['10.9.0.1/24', 'fd00:9::1/64', 'fe80::42/64']);
  });

  it('of somebody else gets what it lacks, loses nothing, and stays', async () => {
    const { driver, kernel, route, addresses, written } = rig();
    const { index } = kernel.hostNetns.addLink({ name: NAME, type: 'bridge' });
    for (const cidr of ['10.9.0.1/24', 'fd00:8::1/64']) route.addAddress(index, cidr);
    await driver.createNetwork(network);
    expect(addresses()).toEqual(['10.9.0.1/24', 'fd00:8::1/64', 'fd00:9::1/64']);
    expect(written).not.toHaveProperty(`net/ipv6/conf/${NAME}/accept_ra`);
    await driver.removeNetwork(network);
    expect(route.linkByName(NAME)).not.toBeNull();
  });

  it('cannot be a link of another kind', async () => {
    const { driver, kernel, owned } = rig();
    kernel.hostNetns.addLink({ name: NAME, type: 'dummy' });
    await expect(driver.createNetwork(network)).rejects.toThrow(
      new ConflictError(`the interface ${NAME} exists already and is not a bridge`),
    );
    await driver.removeNetwork(network);
    expect([kernel.hostNetns.madeLinks(), owned.size]).toEqual([[NAME], 0]);
  });

  it.each<[string, Partial<NetworkRecord>, readonly string[]]>([
    ['inhibited', { options: { [BRIDGE_OPTION.inhibitIpv4]: 'true' } }, ['fd00:9::1/64']],
    [
      'isolated',
      { internal: true, options: { [BRIDGE_OPTION.ipv4Mode]: 'isolated', [BRIDGE_OPTION.ipv6Mode]: 'isolated' } },
      [],
    ],
    ['internal', { internal: true }, ['10.9.0.1/24', 'fd00:9::1/64']],
    ['of IPv6 alone', { enableIpv4: false, pools: network.pools.slice(1) }, ['fd00:9::1/64']],
  ])('that is %s has the addresses it may have', async (_, change, expected) => {
    const { driver, addresses, written } = rig();
    await driver.createNetwork({ ...network, ...change });
    expect(addresses()).toEqual(expected);
    expect(written[`net/ipv6/conf/${NAME}/addr_gen_mode`]).toBe(expected.length === 0 ? '1' : undefined);
  });

  it('leads out as its modes and options say', () => {
    const { driver } = rig();
    const out = (internal: boolean, options: Record<string, string>) =>
      (['ipv4', 'ipv6'] as const).map((family) => driver.wayOut({ ...network, internal, options }, family));
    expect(out(false, {})).toEqual(['gateway', 'gateway']);
    expect(out(true, {})).toEqual(['local', 'local']);
    expect(out(true, { [BRIDGE_OPTION.inhibitIpv4]: '1' })).toEqual(['none', 'local']);
    expect(out(true, { [BRIDGE_OPTION.ipv6Mode]: 'isolated' })).toEqual(['local', 'none']);
  });

  it('of IPv6 needs a kernel that has it, of IPv4 does not', async () => {
    const { driver } = rig((key) => key.startsWith('net/ipv6/'));
    await expect(driver.createNetwork(network)).rejects.toThrow(
      new UnavailableError('IPv6 networks cannot be made: this kernel runs without IPv6'),
    );
    const ipv4 = { ...network, enableIpv6: false, pools: network.pools.slice(0, 1) };
    await driver.createNetwork(ipv4);
  });
});

describe('addresses of the host that are its own alone', () => {
  it.each([
    ['1', true, {}],
    // Nothing guards them against IPv4 that is forged there.
    [undefined, true, { enableIpv4: false }],
    [undefined, false, {}],
  ])('have route_localnet %s where the filter is %s and the network %o', async (value, active, change) => {
    const { driver, written } = rig(undefined, Object.assign(new UntouchedFirewall(), { active }));
    await driver.createNetwork({ ...network, ...change });
    expect(written[`net/ipv4/conf/${NAME}/route_localnet`]).toBe(value);
  });
});

describe('an endpoint on a bridge', () => {
  it('has addresses, parameters and routes of both families', async () => {
    const { driver, kernel, written } = rig();
    await driver.createNetwork(network);
    const sandbox = sandboxIn(kernel);
    await driver.connect(
      {
        ...request,
        linkLocalIps: ['169.254.7.7', 'fe80::7'],
        driverOptions: { 'com.docker.network.endpoint.sysctls': 'net.ipv4.conf.IFNAME.log_martians=1' },
      },
      sandbox,
    );
    const link = sandbox.inside.linkByName('eth0');
    expect(sandbox.inside.addresses(link?.index ?? -1).map(({ cidr }) => cidr)).toEqual([
      '10.9.0.2/24',
      'fd00:9::2/64',
      '169.254.7.7/16',
      'fe80::7/64',
    ]);
    const routes = [...sandbox.inside.routes('ipv4'), ...sandbox.inside.routes('ipv6')];
    expect(routes.filter(({ gateway }) => gateway !== null).map(({ gateway }) => gateway)).toEqual([
      '10.9.0.1',
      'fd00:9::9',
    ]);
    expect(written).toMatchObject({
      'net/ipv6/conf/eth0/disable_ipv6': '0',
      'net/ipv4/conf/eth0/log_martians': '1',
    });
  });

  it('without an IPv6 address has IPv6 off, on any kernel', async () => {
    const { driver, kernel, written } = rig((key) => key === 'net/ipv6/conf/eth1/disable_ipv6');
    const ipv4 = { ...network, enableIpv6: false, pools: network.pools.slice(0, 1) };
    await driver.createNetwork(ipv4);
    const sandbox = sandboxIn(kernel);
    await driver.connect({ ...request, network: ipv4, ipv6Address: null }, sandbox);
    expect(written['net/ipv6/conf/eth0/disable_ipv6']).toBe('1');
    await driver.connect(
      {
        ...request,
        network: ipv4,
        ipv6Address: null,
        interfaceName: 'eth1',
        ipv4Address: '10.9.0.3',
        defaultRoute: false,
      },
      sandbox,
    );
    expect(sandbox.inside.linkByName('eth1')).not.toBeNull();
  });

  it('that cannot be made whole leaves no link', async () => {
    for (const call of ['route.batch', 'namespaces.within', 'route.linkIndex']) {
      const { driver, kernel } = rig();
      await driver.createNetwork(network);
      const sandbox = sandboxIn(kernel);
      kernel.failOn(call, 'EIO');
      await expect(driver.connect(request, sandbox)).rejects.toMatchObject({ code: 'EIO' });
      expect([kernel.hostNetns.madeLinks(), sandbox.inside.links().length]).toEqual([[NAME], 1]);
    }
  });

  it('of a network without communication is told apart by the group of its port', async () => {
    const filter = Object.assign(new UntouchedFirewall(), { active: true, secludesPorts: true });
    const { driver, kernel, written } = rig(undefined, filter);
    const secluded = { ...network, options: { [BRIDGE_OPTION.interContainer]: 'false' } };
    await driver.createNetwork(secluded);
    await driver.connect({ ...request, network: secluded }, sandboxIn(kernel));
    expect(kernel.argsOf('route.createVethPair')).toMatchObject([[{ group: SECLUDED_PORT_GROUP, hairpin: true }]]);
    expect(written).not.toHaveProperty('net/bridge/bridge-nf-call-iptables');
  });

  it('is plugged in again when its bridge was made anew', async () => {
    const { driver, kernel, route } = rig();
    await driver.createNetwork(network);
    const sandbox = sandboxIn(kernel);
    await driver.connect(request, sandbox);
    const port = route.links().find(({ type }) => type === 'veth');
    route.deleteLink(route.linkByName(NAME)?.index ?? -1);
    // In memory a veth pair's other end is not told: what the kernel says of itself stands in its contract.
    const told = { ...sandbox.inside.linkByName('eth0')!, parentIndex: port?.index ?? null };
    const inside = { ...sandbox.inside, linkByName: () => told };
    const endpoint = request as unknown as EndpointState;
    for (const _ of [1, 2]) await driver.replug(network, endpoint, { ...sandbox, inside });
    const bridge = route.linkByName(NAME);
    expect(route.linkByName(port?.name ?? '')?.masterIndex).toBe(bridge?.index);
    expect(kernel.hostNetns.isHairpin(port?.name ?? '')).toBe(true);
  });
});
