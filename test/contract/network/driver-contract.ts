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
  readonly linkName: string | null;
}

/** What every NetworkDriver does. */
export function networkDriverContract(name: string, kernel: Kernel, make: () => DriverSubject): void {
  describe(`network driver ${name}`, () => {
    it('makes and removes a network, twice as once', async () => {
      const { driver, options, linkName } = make();
      const network = networkOf(driver.name, options);
      for (const _ of [1, 2]) {
        driver.validate(network);
        await driver.createNetwork(network);
      }
      expect(hasLink(kernel, linkName)).toBe(linkName !== null);
      for (const _ of [1, 2]) await driver.removeNetwork(network);
      expect(hasLink(kernel, linkName)).toBe(false);
    });

    it('connects a sandbox and disconnects it, twice as once', async () => {
      const { driver, options, linkName } = make();
      const network = networkOf(driver.name, options);
      await driver.createNetwork(network);
      using sandbox = openTestSandbox(kernel);
      const endpoint = endpointOf(network);
      const before = sandbox.inside.links().length;
      await driver.connect({ ...endpoint, network, defaultRoute: true }, sandbox);
      expect(sandbox.inside.linkByName('eth0') !== null).toBe(linkName !== null);
      for (const _ of [1, 2]) await driver.disconnect(endpoint, sandbox);
      await driver.disconnect(endpoint, null);
      expect(sandbox.inside.links()).toHaveLength(before);
      await driver.removeNetwork(network);
      expect(hasLink(kernel, linkName)).toBe(false);
    });
  });
}

function hasLink(kernel: Kernel, name: string | null): boolean {
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

function networkOf(driver: string, options: Readonly<Record<string, string>>): NetworkRecord {
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
    pools: [{ subnet: '10.196.0.0/24', gateway: '10.196.0.1', ipRange: null, auxAddresses: {} }],
  };
}

function endpointOf(network: NetworkRecord): EndpointState {
  return {
    endpointId: newId<EndpointId>(),
    networkId: network.id,
    networkName: network.name,
    containerId: newId<ContainerId>(),
    interfaceName: 'eth0',
    ipv4Address: '10.196.0.2',
    ipv4PrefixLength: 24,
    ipv4Gateway: '10.196.0.1',
    ipv6Address: null,
    ipv6PrefixLength: 0,
    ipv6Gateway: null,
    macAddress: '02:42:0a:c4:00:02',
    publishedPorts: [],
  };
}
