import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
import { interfaceName } from '../../../../src/engine/network/interface/names.ts';
import { contains, gatewayFor, poolOfAddress } from '../../../../src/engine/network/interface/pools.ts';
import { interfaceSysctls, SYSCTLS_OPTION } from '../../../../src/engine/network/interface/sysctls.ts';

describe("a container's interfaces", () => {
  const PREFIX = 'com.docker.network.container_iface_prefix';
  const NAME = 'com.docker.network.endpoint.ifname';

  it('have the first free name of their network’s prefix, or the one that was wished', () => {
    expect(interfaceName({ options: {} }, undefined, new Set(['lo']))).toBe('eth0');
    expect(interfaceName({ options: {} }, {}, new Set(['lo', 'eth0', 'eth2']))).toBe('eth1');
    expect(interfaceName({ options: { [PREFIX]: '' } }, {}, new Set())).toBe('eth0');
    expect(interfaceName({ options: { [PREFIX]: 'lan' } }, {}, new Set(['lan0']))).toBe('lan1');
    expect(interfaceName({ options: { [PREFIX]: 'lan' } }, { [NAME]: 'wan' }, new Set(['lan0']))).toBe('wan');
  });

  it.each([
    ['eth0', 'interface name eth0 is in use in the container already'],
    ['a/b', 'invalid interface name: a/b'],
    ['sixteen-letters-', 'invalid interface name: sixteen-letters-'],
  ])('cannot be called %j', (name, text) => {
    expect(() => interfaceName({ options: {} }, { [NAME]: name }, new Set(['eth0']))).toThrow(
      new InvalidArgumentError(text),
    );
  });
});

describe('parameters of an interface', () => {
  it('are read', () => {
    const option = 'net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.neigh.ifname.retrans_time_ms=500';
    expect(interfaceSysctls({ [SYSCTLS_OPTION]: option })).toEqual([
      {
        text: 'net.ipv4.conf.IFNAME.log_martians=1',
        above: ['net', 'ipv4', 'conf'],
        parameter: 'log_martians',
        value: '1',
      },
      {
        text: 'net.ipv6.neigh.ifname.retrans_time_ms=500',
        above: ['net', 'ipv6', 'neigh'],
        parameter: 'retrans_time_ms',
        value: '500',
      },
    ]);
    expect(interfaceSysctls(undefined)).toEqual([]);
    expect(interfaceSysctls({ [SYSCTLS_OPTION]: '' })).toEqual([]);
  });

  it.each([
    [
      'net.ipv4.conf.IFNAME.log_martians',
      "expected sysctl 'net.ipv4.conf.IFNAME.log_martians' to have format name=value",
    ],
    ...[
      'net.ipv4.conf.eth0.log_martians=1',
      'net.ipv4.ip_forward=1',
      'net.core.IFNAME.x.y=1',
      'net.ipv4.../IFNAME.x=1',
    ].map((text): [string, string] => [
      text,
      `unrecognised network interface sysctl '${text}', expected format is net.X.Y.IFNAME.Z`,
    ]),
  ])('are refused: %s', (option, text) => {
    expect(() => interfaceSysctls({ [SYSCTLS_OPTION]: option })).toThrow(new InvalidArgumentError(text));
  });
});

describe("a network's pools", () => {
  const pool = { gateway: null, ipRange: null, auxAddresses: {} };
  const pools = [
    { ...pool, subnet: '10.1.0.0/24', gateway: '10.1.0.1' },
    { ...pool, subnet: '10.2.0.0/24', auxAddresses: { DefaultGatewayIPv4: '10.2.0.9' } },
    { ...pool, subnet: 'fd00:1::/64', gateway: 'fd00:1::1', auxAddresses: { DefaultGatewayIPv6: 'fd00:1::9' } },
  ];

  it('are known by their addresses', () => {
    expect(poolOfAddress({ pools }, '10.2.0.7')).toBe(pools[1]);
    expect(poolOfAddress({ pools }, '10.9.0.7')).toBe(pools[0]);
    expect(poolOfAddress({ pools }, 'fd00:1::7')).toBe(pools[2]);
    expect(poolOfAddress({ pools: [] }, '10.2.0.7')).toBeNull();
    expect(contains('10.1.0.0/24', '10.1.1.0')).toBe(false);
    expect(contains('fd00:1::/64', 'fd00:1::ffff')).toBe(true);
  });

  it('say where to send what is for others', () => {
    expect(pools.map(gatewayFor)).toEqual(['10.1.0.1', '10.2.0.9', 'fd00:1::9']);
  });
});
