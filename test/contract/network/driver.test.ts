import { closeSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { createLinuxKernel } from '../../../src/engine/kernel/linux/index.ts';
import { KernelError } from '../../../src/engine/kernel/kernel.ts';
import type { Kernel, LinkOptions, RouteSocket } from '../../../src/engine/kernel/kernel.ts';
import { BridgeDriver } from '../../../src/engine/network/bridge/driver.ts';
import { BRIDGE_OPTION } from '../../../src/engine/network/bridge/settings.ts';
import { UntouchedFirewall } from '../../../src/engine/network/firewall/untouched.ts';
import { HostDriver } from '../../../src/engine/network/host/driver.ts';
import { IpvlanDriver } from '../../../src/engine/network/ipvlan/driver.ts';
import { MacvlanDriver } from '../../../src/engine/network/macvlan/driver.ts';
import { NoneDriver } from '../../../src/engine/network/none/driver.ts';
import { procSysctls } from '../../../src/engine/network/sysctl.ts';
import type { Sysctls } from '../../../src/engine/network/sysctl.ts';
import type { NetworkRecord } from '../../../src/engine/network/types.ts';
import { FakeKernel } from '../../support/fake-kernel.ts';
import { networkDriverContract } from './driver-contract.ts';

const isRoot = process.getuid?.() === 0;

/** Index of no link. */
const NOBODY = 999_999;

const IPVLAN_MODES = [
  { mode: 'l2', way: 'gateway' },
  { mode: 'l3', way: 'link' },
  { mode: 'l3s', way: 'link' },
] as const;

/** What drivers are made with. */
function toolsOn(kernel: Kernel, sysctls: Sysctls) {
  const owned = new Set<string>();
  let route: RouteSocket | null = null;
  return {
    route: () => (route ??= kernel.openRoute(null)),
    sysctls,
    within: kernel.namespaces.within,
    announcer: { announce: () => undefined },
    ownership: {
      owns: ({ id }: NetworkRecord) => owned.has(id),
      claim: ({ id }: NetworkRecord) => void owned.add(id),
    },
    networks: () => [],
    firewall: new UntouchedFirewall(),
    forwarding: { allow: () => undefined, toClose: () => [] },
  };
}

describe.skipIf(!isRoot)(`on the kernel${isRoot ? '' : ' (skipped: links and namespaces need root)'}`, () => {
  const kernel = createLinuxKernel();
  const bridgeName = `ntc${String(process.pid)}`;

  networkDriverContract('bridge', kernel, () => ({
    driver: new BridgeDriver(toolsOn(kernel, procSysctls)),
    options: { [BRIDGE_OPTION.bridgeName]: bridgeName },
    linkName: bridgeName,
    way: 'gateway',
  }));
  networkDriverContract('host', kernel, () => ({ driver: new HostDriver(), options: {}, linkName: null }));
  networkDriverContract('null', kernel, () => ({ driver: new NoneDriver(), options: {}, linkName: null }));

  describe('on a link of the host', () => {
    const parent = `ntp${String(process.pid)}`;
    beforeAll(() => {
      using route = kernel.openRoute(null);
      const directory = mkdtempSync(join(tmpdir(), 'parent-'));
      const path = join(directory, 'netns');
      kernel.namespaces.createNetns(path);
      const netns = kernel.namespaces.openNetns(path);
      // The namespace and the link's other end live as long as the link's own end does not need them.
      const ends = { name: parent, masterIndex: null, mtu: 1500, peerName: 'peer', peerMacAddress: null };
      route.createVethPair({ ...ends, peerNetns: netns });
      removeNetns = () => {
        closeSync(netns);
        kernel.namespaces.removeNetns(path);
        rmdirSync(directory);
      };
    });
    afterAll(async () => {
      using route = kernel.openRoute(null);
      const link = route.linkByName(parent);
      if (link !== null) await route.retireLink(link.index);
      removeNetns();
    });
    let removeNetns: () => void = () => undefined;

    const macvlan = lack(kernel, { kind: 'macvlan', name: 'a/b', parentIndex: NOBODY, mode: 'bridge' });
    describe.skipIf(macvlan !== null)(macvlan ?? 'by macvlan', () => {
      networkDriverContract('macvlan', kernel, () => ({
        driver: new MacvlanDriver(toolsOn(kernel, procSysctls)),
        options: { parent },
        linkName: parent,
        linkStays: true,
        way: 'gateway',
      }));
    });

    const ipvlan = lack(kernel, { kind: 'ipvlan', name: 'a/b', parentIndex: NOBODY, mode: 'l2', flag: 'bridge' });
    describe.skipIf(ipvlan !== null)(ipvlan ?? 'by ipvlan', () => {
      for (const { mode, way } of IPVLAN_MODES) {
        networkDriverContract(`ipvlan ${mode}`, kernel, () => ({
          driver: new IpvlanDriver(toolsOn(kernel, procSysctls)),
          options: { parent, ipvlan_mode: mode },
          linkName: parent,
          linkStays: true,
          way,
        }));
      }
    });

    const vlan = lack(kernel, { kind: 'vlan', name: 'a/b', parentIndex: NOBODY, vlanId: 7 });
    describe.skipIf(vlan !== null || macvlan !== null)(vlan ?? macvlan ?? 'by a VLAN', () => {
      networkDriverContract('macvlan', kernel, () => ({
        driver: new MacvlanDriver(toolsOn(kernel, procSysctls)),
        options: { parent: `${parent}.7` },
        linkName: `${parent}.7`,
        way: 'gateway',
      }));
    });
  });

  const dummy = lack(kernel, { kind: 'dummy', name: 'a/b' });
  describe.skipIf(dummy !== null)(dummy ?? 'on a dummy', () => {
    networkDriverContract('macvlan', kernel, () => ({
      driver: new MacvlanDriver(toolsOn(kernel, procSysctls)),
      options: {},
      linkName: ({ id }) => `dm-${id.slice(0, 12)}`,
      way: 'gateway',
    }));
  });
});

describe('on the fake kernel', () => {
  const kernel = new FakeKernel();
  const sysctls: Sysctls = { read: () => '0', write: () => undefined };
  kernel.hostNetns.addLink({ name: 'eth0' });

  networkDriverContract('bridge', kernel, () => ({
    driver: new BridgeDriver(toolsOn(kernel, sysctls)),
    options: {},
    linkName: ({ id }) => `br-${id.slice(0, 12)}`,
    way: 'gateway',
  }));
  networkDriverContract('macvlan on a dummy', kernel, () => ({
    driver: new MacvlanDriver(toolsOn(kernel, sysctls)),
    options: {},
    linkName: ({ id }) => `dm-${id.slice(0, 12)}`,
    way: 'gateway',
  }));
  networkDriverContract('macvlan on a VLAN', kernel, () => ({
    driver: new MacvlanDriver(toolsOn(kernel, sysctls)),
    options: { parent: 'eth0.7', macvlan_mode: 'vepa' },
    linkName: 'eth0.7',
    way: 'gateway',
  }));
  networkDriverContract('ipvlan on a dummy', kernel, () => ({
    driver: new IpvlanDriver(toolsOn(kernel, sysctls)),
    options: {},
    linkName: ({ id }) => `di-${id.slice(0, 12)}`,
  }));
  for (const { mode, way } of IPVLAN_MODES) {
    networkDriverContract(`ipvlan ${mode}`, kernel, () => ({
      driver: new IpvlanDriver(toolsOn(kernel, sysctls)),
      options: { parent: 'eth0', ipvlan_mode: mode, ipvlan_flag: 'private' },
      linkName: 'eth0',
      linkStays: true,
      way,
    }));
  }
});

/** Why a kind of link cannot be tried here, or null. No link can have such a name: nothing is made by asking. */
function lack(kernel: Kernel, options: LinkOptions): string | null {
  if (!isRoot) return null;
  using route = kernel.openRoute(null);
  try {
    route.createLink(options);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return error.code === 'ENOTSUP' ? `(skipped: this kernel has no ${options.kind} links)` : null;
  }
  throw new Error(`a link called ${options.name} could be made`);
}
