import { describe, expect, it } from 'vitest';
import { wishProblem } from '../../../../../src/engine/containers/networks.ts';
import type { EndpointWish, IpamPool, IpamPoolRequest, NetworkView } from '../../../../../src/engine/network/types.ts';

const NONE: EndpointWish = { aliases: [], ipv4Address: null, ipv6Address: null, macAddress: null };
const pool = (subnet: string, more: Partial<IpamPool> = {}): IpamPool => {
  return { subnet, gateway: null, ipRange: null, auxAddresses: {}, ...more };
};
const network = (...pools: readonly IpamPool[]): NetworkView => ({ name: 'n', pools }) as unknown as NetworkView;
const asked = (subnet: string): IpamPoolRequest => ({ subnet, gateway: '', ipRange: '', auxAddresses: {} });
const settings = (text: string): string => `invalid endpoint settings:\n${text}`;

describe('a wish for an endpoint', () => {
  it.each<[Partial<EndpointWish>, NetworkView | null]>([
    [{}, null],
    [{ aliases: ['a'], ipv4Address: '10.1.0.9' }, network(pool('10.1.0.0/16'))],
    [{ ipv4Address: '10.1.0.9' }, network(pool('10.2.0.0/16'), pool('10.1.0.0/16'))],
    [{ ipv6Address: 'fd00::9', ipv4Address: '10.1.0.9' }, network(pool('10.1.0.0/16'), pool('fd00::/64'))],
    [{ ipv6Address: 'fd00::9' }, { ...network(pool('10.1.0.0/16')), unusedPools: [asked('fd00::/64')] }],
    // The network may be there at the start, and have the subnet.
    [{ ipv4Address: '10.1.0.9' }, null],
    [{ macAddress: '02:42:AC:11:00:02', linkLocalIps: ['169.254.3.4', 'fe80::1'] }, network()],
    [{ driverOptions: { 'com.docker.network.endpoint.sysctls': 'net.ipv4.conf.IFNAME.log_martians=1' } }, network()],
  ])('%j can be granted', (wish, on) => {
    expect(wishProblem('n', on, { ...NONE, ...wish })).toBeNull();
  });

  const outside = 'no configured subnet or ip-range contain the IP address';
  const unconfigured =
    'user specified IP address is supported only when connecting to networks with user configured subnets';
  it.each<[string, Partial<EndpointWish>, NetworkView | null, string]>([
    ['n', { macAddress: 'x' }, null, 'invalid MAC address x'],
    ['n', { ipv4Address: 'x' }, null, settings('invalid IPv4 address: x')],
    ['n', { ipv4Address: '0.0.0.0' }, null, settings('invalid IPv4 address: 0.0.0.0')],
    ['n', { ipv6Address: '10.0.0.1' }, null, settings('invalid IPv6 address: 10.0.0.1')],
    ['n', { ipv6Address: '::' }, null, settings('invalid IPv6 address: ::')],
    ['n', { linkLocalIps: ['x'] }, null, settings('invalid link-local IP address: x')],
    ['n', { ipv4Address: '10.3.0.1' }, network(pool('10.1.0.0/16')), settings(`${outside} 10.3.0.1`)],
    ['n', { ipv4Address: '10.1.0.1' }, network(pool('10.1.0.0/16', { subnetChosen: true })), settings(unconfigured)],
    ['n', { ipv6Address: 'fd00::1' }, network(pool('10.1.0.0/16')), settings(unconfigured)],
    [
      'n',
      { ipv6Address: 'fd01::1' },
      { ...network(pool('10.1.0.0/16')), unusedPools: [asked('fd00::/64')] },
      settings(`${outside} fd01::1`),
    ],
    [
      'bridge',
      { aliases: ['a'], ipv4Address: '10.1.0.9' },
      null,
      settings(
        '* user specified IP address is supported on user defined networks only\n' +
          '* network-scoped alias is supported only for containers in user defined networks',
      ),
    ],
    [
      'n',
      { driverOptions: { 'com.docker.network.endpoint.sysctls': 'net.ipv4.conf.eth0.x=1' } },
      null,
      settings(
        "unrecognised network interface sysctl 'net.ipv4.conf.eth0.x=1'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'",
      ),
    ],
  ])('%s: %j is refused', (name, wish, on, problem) => {
    expect(wishProblem(name, on, { ...NONE, ...wish })).toBe(problem);
  });
});
