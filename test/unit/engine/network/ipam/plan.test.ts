import { afterEach, describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../../src/base/errors.ts';
import { checkPools } from '../../../../../src/engine/network/ipam/check.ts';
import { AddressLeases } from '../../../../../src/engine/network/ipam/leases.ts';
import { planPools } from '../../../../../src/engine/network/ipam/plan.ts';
import { blockOf } from '../../../../../src/engine/network/ipam/pool.ts';
import type { IpamPoolRequest, NetworkRecord } from '../../../../../src/engine/network/types.ts';
import { Database } from '../../../../../src/engine/state/database.ts';
import { NetworkRepository } from '../../../../../src/engine/state/networks.ts';

const pool = (given: Partial<IpamPoolRequest>): IpamPoolRequest => ({
  subnet: '',
  gateway: '',
  ipRange: '',
  auxAddresses: {},
  ...given,
});

describe('pools as they are asked for', () => {
  const check = (enableIpv6: boolean | null, ...given: readonly Partial<IpamPoolRequest>[]) =>
    checkPools({ pools: given.map(pool), enableIpv6 });

  it('may be of any shape that makes sense', () => {
    check(
      true,
      {},
      { subnet: '10.0.0.0/8', gateway: '10.255.255.254', ipRange: '10.1.0.0/16', auxAddresses: { a: '10.9.9.9' } },
      { subnet: 'fd00::/64', gateway: 'fd00::1', ipRange: 'fd00::/80' },
    );
    // Of a family that the network does not have nothing is judged, as in dockerd.
    check(null, { subnet: 'fd00::1/64', gateway: '1.2.3.4' });
    expect(() => check(true, { subnet: 'fd00::1/64' })).toThrow('it should be fd00::/64');
  });

  it('are not so many that the engine would do nothing else', () => {
    const row = (length: number) => Array.from({ length }, (_, index) => ({ subnet: `10.0.${String(index)}.0/24` }));
    check(null, ...row(128));
    expect(() => check(null, ...row(129))).toThrow(
      new InvalidArgumentError('invalid network config: a network has 128 subnets at most'),
    );
  });

  it.each<[Partial<IpamPoolRequest>, string]>([
    [{ subnet: 'x' }, 'invalid subnet x: invalid CIDR block notation'],
    [{ gateway: '10.0.0.1' }, 'invalid subnet : invalid CIDR block notation'],
    [{ subnet: '10.0.0.1/24' }, 'invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24'],
    [{ subnet: '10.0.0.0/24', ipRange: 'y' }, 'invalid ip-range y: invalid CIDR block notation'],
    [{ subnet: '10.0.0.0/24', ipRange: 'fd00::/64' }, 'invalid ip-range fd00::/64: parent subnet is an IPv4 block'],
    [
      { subnet: '10.0.0.0/24', ipRange: '10.0.0.0/16' },
      'invalid ip-range 10.0.0.0/16: CIDR block is bigger than its parent subnet 10.0.0.0/24',
    ],
    [{ subnet: '10.0.0.0/24', ipRange: '10.0.0.1/25' }, 'invalid ip-range 10.0.0.1/25: it should be 10.0.0.0/25'],
    [
      { subnet: '10.0.0.0/24', ipRange: '10.0.1.0/25' },
      "invalid ip-range 10.0.1.0/25: parent subnet 10.0.0.0/24 doesn't contain ip-range",
    ],
    [{ subnet: '10.0.0.0/24', gateway: 'z' }, 'invalid gateway z: invalid address'],
    [{ subnet: '10.0.0.0/24', gateway: 'fd00::1' }, 'invalid gateway fd00::1: parent subnet is an IPv4 block'],
    [
      { subnet: '10.0.0.0/24', gateway: '10.0.1.1' },
      "invalid gateway 10.0.1.1: parent subnet 10.0.0.0/24 doesn't contain this address",
    ],
    [
      { subnet: 'fd00::/64', auxAddresses: { router: '10.0.0.1' } },
      'invalid auxiliary address router: parent subnet is an IPv6 block',
    ],
  ])('%j is refused in words of dockerd', (given, text) => {
    expect(() => check(true, given)).toThrow(new InvalidArgumentError(`invalid network config:\n${text}`));
  });

  it('are told all their faults at once', () => {
    expect(() =>
      check(
        true,
        { subnet: '10.0.0.1/24', gateway: '10.0.1.1' },
        { subnet: 'x' },
        { subnet: 'fd00::/64', auxAddresses: { a: 'fd01::1' } },
      ),
    ).toThrow(
      new InvalidArgumentError(
        'invalid network config:\n' +
          '* invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24\n' +
          "* invalid gateway 10.0.1.1: parent subnet 10.0.0.0/24 doesn't contain this address\n" +
          '* invalid subnet x: invalid CIDR block notation\n' +
          "* invalid auxiliary address a: parent subnet fd00::/64 doesn't contain this address",
      ),
    );
  });
});

describe('the pools of a new network', () => {
  const databases: Database[] = [];
  afterEach(() => {
    for (const database of databases.splice(0)) database[Symbol.dispose]();
  });

  function plan(
    pools: readonly Partial<IpamPoolRequest>[],
    { ipv4 = true, ipv6 = false, gateways = true, others = [] as readonly string[] } = {},
  ) {
    const database = Database.open(':memory:');
    databases.push(database);
    const networks = others.map((subnet) => {
      const [block, ipRange = null] = subnet.split(' ');
      return { pools: [{ subnet: block, gateway: null, ipRange, auxAddresses: {} }] } as unknown as NetworkRecord;
    });
    return planPools(
      { enableIpv4: ipv4, enableIpv6: ipv6, pools: pools.map(pool) },
      {
        leases: new AddressLeases(new NetworkRepository(database), () => []),
        networks,
        choose: (family) => blockOf(family === 'ipv4' ? '172.20.0.0/16' : 'fd11:2233:4455::/64'),
        needsGateway: () => gateways,
      },
    );
  }

  it('are chosen where none are asked for, in each family the network has', () => {
    const ipv4 = {
      subnet: '172.20.0.0/16',
      gateway: '172.20.0.1',
      ipRange: null,
      auxAddresses: {},
      subnetChosen: true,
    };
    const ipv6 = { ...ipv4, subnet: 'fd11:2233:4455::/64', gateway: 'fd11:2233:4455::1' };
    expect(plan([])).toEqual([ipv4]);
    expect(plan([{}], { ipv6: true })).toEqual([ipv4, ipv6]);
    expect(plan([], { ipv4: false, ipv6: true })).toEqual([ipv6]);
    expect(plan([], { gateways: false })).toEqual([{ ...ipv4, gateway: null }]);
  });

  it('are as given, IPv4 first, in canonical form', () => {
    const asked = [
      { subnet: 'FD00:0::/64', gateway: 'FD00::0:9', auxAddresses: { b: 'fd00::0:8' } },
      { subnet: '10.0.0.0/24', gateway: '10.0.0.254' },
    ];
    expect(plan(asked, { ipv6: true })).toEqual([
      { subnet: '10.0.0.0/24', gateway: '10.0.0.254', ipRange: null, auxAddresses: {} },
      { subnet: 'fd00::/64', gateway: 'fd00::9', ipRange: null, auxAddresses: { b: 'fd00::8' } },
    ]);
    expect(plan(asked)).toHaveLength(1);
  });

  it('have the lowest address as gateway where none is given; of a range, the lowest of that, as in dockerd', () => {
    const gatewayOf = (given: Partial<IpamPoolRequest>, ipv6 = false) =>
      plan([given], { ipv4: !ipv6, ipv6 })[0]?.gateway;
    expect(gatewayOf({ subnet: '10.0.0.0/24' })).toBe('10.0.0.1');
    expect(gatewayOf({ subnet: '10.0.0.0/16', ipRange: '10.0.5.0/24' })).toBe('10.0.5.0');
    expect(gatewayOf({ subnet: '10.0.0.4/31' })).toBe('10.0.0.4');
    expect(gatewayOf({ subnet: 'fd00::/64' }, true)).toBe('fd00::1');
    expect(plan([{ subnet: '10.0.0.0/24' }])[0]?.gatewayChosen).toBe(true);
    expect(plan([{ subnet: '10.0.0.0/24' }], { gateways: false })[0]?.gateway).toBe(null);
  });

  it.each<[Partial<IpamPoolRequest>, string]>([
    [
      { subnet: '10.0.0.0/24', gateway: '10.0.0.255' },
      'failed to allocate gateway (10.0.0.255): Address already in use',
    ],
    [{ subnet: 'fd00::5/128' }, 'failed to allocate gateway (<nil>): no available addresses on this pool'],
    [
      { subnet: '10.0.0.0/24', auxAddresses: { router: '10.0.0.1' } },
      'failed to allocate secondary ip address (router:10.0.0.1): Address already in use',
    ],
  ])('cannot be %j', (given, text) => {
    expect(() => plan([given], { ipv6: given.subnet?.includes(':') ?? false })).toThrow(text);
  });

  it('overlap none of others, unless they share a subnet by ranges', () => {
    const overlap = 'invalid pool request: Pool overlaps with other one on this address space';
    const others = ['10.0.0.0/24', '10.7.0.0/16 10.7.1.0/24', '0.0.0.0/0'];
    expect(() => plan([{ subnet: '10.0.0.128/25' }], { others })).toThrow(overlap);
    expect(() => plan([{ subnet: '10.0.0.0/8' }], { others })).toThrow(overlap);
    expect(() => plan([{ subnet: '10.1.0.0/24' }, { subnet: '10.1.0.0/25' }])).toThrow(overlap);
    expect(() => plan([{ subnet: '10.7.0.0/16', ipRange: '10.7.1.0/24' }], { others })).toThrow(overlap);
    expect(plan([{ subnet: '10.7.0.0/16', ipRange: '10.7.2.0/24' }], { others })).toHaveLength(1);
    expect(plan([{ subnet: '10.1.0.0/24' }], { others })).toHaveLength(1);
  });
});
