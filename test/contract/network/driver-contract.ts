import { closeSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../src/base/clock.ts';
import type { ContainerId, EndpointId, NetworkId } from '../../../src/base/ids.ts';
import { newId } from '../../../src/base/ids.ts';
import type { Kernel } from '../../../src/engine/kernel/kernel.ts';
import type { NetworkDriver, Sandbox } from '../../../src/engine/network/driver.ts';
import type { EndpointState, NetworkRecord } from '../../../src/engine/network/types.ts';

/** A network driver to be tried, with the name of the network's link on the host, if it has one. */
export interface DriverSubject {
  readonly driver: NetworkDriver;
  readonly options: Readonly<Record<string, string>>;
  readonly linkName: string | null | ((network: NetworkRecord) => string);
  /** It was there before, and stays. */
  readonly linkStays?: boolean;
  /** How the default route leads out; absent: there is none. */
  readonly way?: 'gateway' | 'link';
}

/** What every NetworkDriver does. */
export function networkDriverContract(name: string, kernel: Kernel, make: () => DriverSubject): void {
  describe(`network driver ${name}`, () => {
    it('makes and removes a network, twice as once', async () => {
      const { driver, options, linkName, linkStays = false } = make();
      const network = networkOf(driver.name, options);
      await using _gone = removal(driver, network);
      for (const _ of [1, 2]) {
        driver.validate(network, [network]);
        await driver.createNetwork(network);
      }
      expect(hasLink(kernel, linkName, network)).toBe(linkName !== null);
      for (const _ of [1, 2]) await driver.removeNetwork(network);
      expect(hasLink(kernel, linkName, network)).toBe(linkStays);
    });

    it.each(Object.entries(SHAPES))('connects a sandbox and disconnects it, twice as once: %s', async (_, shape) => {
      const { driver, options, linkName, linkStays = false, way } = make();
      const network = networkOf(driver.name, options, shape);
      await using _gone = removal(driver, network);
      await driver.createNetwork(network);
      using sandbox = openTestSandbox(kernel);
      const endpoint = endpointOf(network);
      const before = sandbox.inside.links().length;
      const out = (family: 'ipv4' | 'ipv6') =>
        !['none', 'local'].includes(driver.wayOut?.(network, family) ?? (network.internal ? 'local' : 'gateway'));
      await driver.connect({ ...endpoint, network, defaultRoute: out('ipv4'), defaultRouteIpv6: out('ipv6') }, sandbox);
      const link = sandbox.inside.linkByName('eth0');
      expect(link !== null).toBe(linkName !== null);
      if (link !== null) {
        expect(link.up).toBe(true);
        expect(globalAddresses(sandbox, link.index)).toEqual(expectedAddresses(endpoint));
        const isOut = !network.internal && way !== undefined;
        expect(defaultRoutes(sandbox)).toEqual(isOut ? expectedRoutes(endpoint, way) : []);
      }
      for (const _ of [1, 2]) await driver.disconnect(endpoint, sandbox);
      await driver.disconnect(endpoint, null);
      expect(sandbox.inside.links()).toHaveLength(before);
      await driver.removeNetwork(network);
      expect(hasLink(kernel, linkName, network)).toBe(linkStays);
    });
  });
}

/** What networks may be like. */
const SHAPES = {
  'IPv4 alone': {},
  'both families': { enableIpv6: true },
  'IPv6 alone': { enableIpv4: false, enableIpv6: true },
  'internal, both families': { enableIpv6: true, internal: true },
} as const satisfies Record<string, Partial<NetworkRecord>>;

const IPV4_POOL = { subnet: '10.196.0.0/24', gateway: '10.196.0.1', ipRange: null, auxAddresses: {} };
const IPV6_POOL = { subnet: 'fd00:196::/64', gateway: 'fd00:196::1', ipRange: null, auxAddresses: {} };

function globalAddresses({ inside }: Sandbox, index: number): readonly string[] {
  const all = inside.addresses(index).map(({ cidr }) => cidr);
  return all.filter((cidr) => !cidr.startsWith('fe80:')).sort();
}

function expectedAddresses({ ipv4Address, ipv6Address }: EndpointState): readonly string[] {
  return [
    ...(ipv4Address === null ? [] : [`${ipv4Address}/24`]),
    ...(ipv6Address === null ? [] : [`${ipv6Address}/64`]),
  ];
}

function defaultRoutes({ inside }: Sandbox): readonly (string | null)[] {
  return [...inside.routes('ipv4'), ...inside.routes('ipv6')]
    .filter(({ destination }) => destination.endsWith('/0'))
    .map(({ gateway }) => gateway);
}

function expectedRoutes(endpoint: EndpointState, way: 'gateway' | 'link'): readonly (string | null)[] {
  const gateways = [
    ...(endpoint.ipv4Address === null ? [] : ['10.196.0.1']),
    ...(endpoint.ipv6Address === null ? [] : ['fd00:196::1']),
  ];
  return gateways.map((gateway) => (way === 'link' ? null : gateway));
}

/** What fails half way leaves nothing of its network either. */
function removal(driver: NetworkDriver, network: NetworkRecord): AsyncDisposable {
  return { [Symbol.asyncDispose]: () => driver.removeNetwork(network) };
}

function hasLink(kernel: Kernel, linkName: DriverSubject['linkName'], network: NetworkRecord): boolean {
  const name = typeof linkName === 'function' ? linkName(network) : linkName;
  using route = kernel.openRoute(null);
  return name !== null && route.linkByName(name) !== null;
}

function openTestSandbox(kernel: Kernel): Sandbox & Disposable {
  const directory = mkdtempSync(join(tmpdir(), 'network-'));
  const netnsPath = join(directory, 'netns');
  kernel.namespaces.createNetns(netnsPath);
  const netns = kernel.namespaces.openNetns(netnsPath);
  const inside = kernel.openRoute(netns);
  return {
    netnsPath,
    netns,
    inside,
    [Symbol.dispose]: () => {
      inside[Symbol.dispose]();
      closeSync(netns);
      kernel.namespaces.removeNetns(netnsPath);
      rmdirSync(directory);
    },
  };
}

function networkOf(
  driver: string,
  options: Readonly<Record<string, string>>,
  shape: Partial<NetworkRecord> = {},
): NetworkRecord {
  return {
    id: newId<NetworkId>(),
    name: 'contract',
    driver,
    createdAt: 1n as Timestamp,
    enableIpv6: false,
    internal: false,
    attachable: false,
    options,
    labels: {},
    ipamDriver: 'default',
    ipamOptions: null,
    pools: [...(shape.enableIpv4 === false ? [] : [IPV4_POOL]), ...(shape.enableIpv6 === true ? [IPV6_POOL] : [])],
    ...shape,
  };
}

function endpointOf(network: NetworkRecord): EndpointState {
  return {
    endpointId: newId<EndpointId>(),
    networkId: network.id,
    networkName: network.name,
    containerId: newId<ContainerId>(),
    interfaceName: 'eth0',
    ipv4Address: network.enableIpv4 === false ? null : '10.196.0.2',
    ipv4PrefixLength: 24,
    ipv4Gateway: '10.196.0.1',
    ipv6Address: network.enableIpv6 ? 'fd00:196::2' : null,
    ipv6PrefixLength: 64,
    ipv6Gateway: 'fd00:196::1',
    macAddress: '02:42:0a:c4:00:02',
    publishedPorts: [],
  };
}
