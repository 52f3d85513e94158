import { describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../src/base/clock.ts';
import { InternalError, InvalidArgumentError } from '../../../../src/base/errors.ts';
import type { NetworkId } from '../../../../src/base/ids.ts';
import { IpvlanDriver } from '../../../../src/engine/network/ipvlan/driver.ts';
import { MacvlanDriver } from '../../../../src/engine/network/macvlan/driver.ts';
import type { NetworkRecord } from '../../../../src/engine/network/types.ts';
import { FakeKernel } from '../../../support/fake-kernel.ts';

function networkOf(digit: string, options: Record<string, string>, driver = 'macvlan'): NetworkRecord {
  return {
    id: digit.repeat(64) as NetworkId,
    name: `n${digit}`,
    driver,
    createdAt: 1n as Timestamp,
    enableIpv6: false,
    internal: false,
    attachable: false,
    options,
    labels: {},
    ipamDriver: 'default',
    ipamOptions: null,
    pools: [{ subnet: '10.9.0.0/24', gateway: null, ipRange: null, auxAddresses: {} }],
  };
}

function rig(networks: readonly NetworkRecord[] = []) {
  const kernel = new FakeKernel();
  kernel.hostNetns.addLink({ name: 'eth0' });
  const owned = new Set<string>();
  const route = kernel.openRoute(null);
  const tools = {
    route: () => route,
    sysctls: { read: () => '0', write: () => undefined },
    within: kernel.namespaces.within,
    announcer: { announce: () => undefined },
    ownership: {
      owns: ({ id }: NetworkRecord) => owned.has(id),
      claim: ({ id }: NetworkRecord) => void owned.add(id),
    },
    networks: () => networks,
  };
  return { kernel, owned, macvlan: new MacvlanDriver(tools), ipvlan: new IpvlanDriver(tools) };
}

describe('macvlan and ipvlan networks', () => {
  it.each<[string, Record<string, string>, string]>([
    [
      'macvlan',
      { macvlan_mode: 'l2' },
      "requested macvlan mode 'l2' is not valid, 'bridge' mode is the macvlan driver default",
    ],
    ['macvlan', { parent: 'lo' }, 'loopback interface is not a valid macvlan parent link'],
    [
      'ipvlan',
      { ipvlan_mode: 'l4' },
      "requested ipvlan mode 'l4' is not valid, 'l2' mode is the ipvlan driver default",
    ],
    ['ipvlan', { ipvlan_flag: 'x' }, "requested ipvlan flag 'x' is not valid, 'bridge' is the ipvlan driver default"],
    ['ipvlan', { parent: 'lo' }, 'loopback interface is not a valid ipvlan parent link'],
  ])('%s refuses %j', (kind, options, text) => {
    const { macvlan, ipvlan } = rig();
    const driver = kind === 'macvlan' ? macvlan : ipvlan;
    expect(() => driver.validate(networkOf('a', options, kind))).toThrow(new InternalError(text));
  });

  it('need a pool of each of their families', () => {
    const { macvlan } = rig();
    const network = networkOf('a', {});
    expect(() => macvlan.validate({ ...network, pools: [] })).toThrow(new InvalidArgumentError('ipv4 pool is empty'));
    expect(() => macvlan.validate({ ...network, enableIpv6: true })).toThrow(
      new InvalidArgumentError('ipv6 pool is empty'),
    );
  });

  it('share a parent where dockerd lets them', () => {
    const { macvlan, ipvlan } = rig();
    const [a, b] = [networkOf('a', { parent: 'eth0' }), networkOf('b', { parent: 'eth0' })];
    macvlan.validate(a, [a, b]);
    const passthru = networkOf('c', { parent: 'eth0', macvlan_mode: 'passthru' });
    expect(() => macvlan.validate(passthru, [a])).toThrow(
      `cannot use mode passthru, macvlan network ${a.id} is already using parent interface eth0`,
    );
    expect(() => macvlan.validate(a, [passthru])).toThrow(
      `macvlan network ${passthru.id} is already using parent interface eth0 in mode passthru`,
    );
    const [c, d] = [networkOf('c', { parent: 'eth0' }, 'ipvlan'), networkOf('d', { parent: 'eth0' }, 'ipvlan')];
    ipvlan.validate(c, [a, c]);
    expect(() => ipvlan.validate(c, [d])).toThrow('network di-dddddddddddd is already using parent interface eth0');
  });

  it.each([
    ['wlan0', 'invalid subinterface vlan name wlan0, example formatting is eth0.10'],
    ['eth0.1.2', 'required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received eth0.1.2'],
    ['eth0.x', 'unable to parse a valid vlan id from: x (ex. eth0.10 for vlan 10)'],
    ['eth7.10', '-o parent interface was not found on the host: eth7'],
    ['eth0.4095', 'vlan id must be between 1-4094, received: 4095'],
  ])('refuse the parent %s', async (parent, text) => {
    const { macvlan, owned, kernel } = rig();
    await expect(macvlan.createNetwork(networkOf('a', { parent }))).rejects.toThrow(new InternalError(text));
    expect(owned.size).toBe(0);
    expect(kernel.hostNetns.madeLinks()).toEqual([]);
  });

  it.each([
    [{ parent: 'eth0.10' }, 'failed to create eth0.10 vlan link: operation not supported'],
    [{}, 'operation not supported'],
  ])('say what the kernel lacks: %j', async (options, text) => {
    const { macvlan, kernel } = rig();
    kernel.failOn('route.createLink', 'ENOTSUP');
    await expect(macvlan.createNetwork(networkOf('a', options))).rejects.toThrow(new InternalError(text));
    expect(kernel.hostNetns.madeLinks()).toEqual([]);
  });

  it('hand the parent they made to the next that sits on it, and take it away with the last', async () => {
    const [a, b] = [networkOf('a', { parent: 'eth0.10' }), networkOf('b', { parent: 'eth0.10' }, 'ipvlan')];
    const networks = [a, b];
    const { macvlan, ipvlan, kernel } = rig(networks);
    await macvlan.createNetwork(a);
    await ipvlan.createNetwork(b);
    networks.shift();
    await macvlan.removeNetwork(a);
    expect(kernel.hostNetns.madeLinks()).toEqual(['eth0.10']);
    await ipvlan.removeNetwork(b);
    expect(kernel.hostNetns.madeLinks()).toEqual([]);
  });

  it('lead out as their mode has it', () => {
    const { macvlan, ipvlan } = rig();
    const of = (options: Record<string, string>, internal = false) => ({ options, internal });
    expect(macvlan.wayOut(of({}))).toBe('gateway');
    expect(macvlan.wayOut(of({ parent: 'eth0' }, true))).toBe('none');
    expect(ipvlan.wayOut(of({ parent: 'eth0' }))).toBe('gateway');
    expect(ipvlan.wayOut(of({ parent: 'eth0', ipvlan_mode: 'l3s' }))).toBe('link');
    expect(ipvlan.wayOut(of({ ipvlan_mode: 'l3' }))).toBe('none');
    expect(ipvlan.wayOut(of({ parent: 'eth0', ipvlan_mode: 'l3' }, true))).toBe('none');
  });
});
