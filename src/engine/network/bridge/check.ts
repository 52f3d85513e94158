/** Whether a bridge network can be, judged without looking at the host. Texts and kinds of error are dockerd's. */
import { ForbiddenError, InvalidArgumentError } from '../../../base/errors.ts';
import { firewallZoneOf } from '../firewall-zone.ts';
import { publishPolicyOf } from '../publish-policy.ts';
import { contains, gatewayFor, poolsOf } from '../interface/pools.ts';
import { prefixOf } from '../interface/names.ts';
import type { IpamPool, NetworkRecord } from '../types.ts';
import { bridgeSettings, checkModes } from './settings.ts';

const LINK_LOCAL_PREFIX = 'fe80::/64';

/** InvalidArgumentError, ForbiddenError, InternalError. */
export function checkBridge(network: NetworkRecord, others: readonly NetworkRecord[]): void {
  const settings = bridgeSettings(network);
  checkModes(settings, network.internal);
  prefixOf(network);
  checkPools(network);
  firewallZoneOf(network);
  publishPolicyOf(network);
  for (const other of others) {
    if (other.driver !== 'bridge' || other.id === network.id) continue;
    const { bridgeName } = bridgeSettings(other);
    if (bridgeName !== settings.bridgeName) continue;
    throw new ForbiddenError(
      `cannot create network ${network.id} (${bridgeName}): conflicts with network ${other.id} (${bridgeName}): networks have same bridge name`,
    );
  }
}

function checkPools(network: NetworkRecord): void {
  const [ipv4, ipv6] = [poolsOf(network, 'ipv4'), poolsOf(network, 'ipv6')];
  if (ipv4.length > 1 || ipv6.length > 1) throw new ForbiddenError("bridge driver doesn't support multiple subnets");
  if (network.enableIpv4 === false && !network.enableIpv6)
    throw new InvalidArgumentError('IPv4 or IPv6 must be enabled');
  if (network.enableIpv4 !== false) checkPool(ipv4[0], 'ipv4', '0.0.0.0/0');
  if (!network.enableIpv6) return;
  checkPool(ipv6[0], 'ipv6', '::/0');
  checkIpv6Subnet(ipv6[0]?.subnet ?? '');
}

function checkPool(pool: IpamPool | undefined, family: 'ipv4' | 'ipv6', everything: string): void {
  if (pool === undefined || pool.subnet === everything) throw new InvalidArgumentError(`${family} pool is empty`);
  const gateway = gatewayFor(pool);
  if (gateway !== null && gateway !== pool.gateway && !contains(pool.subnet, gateway)) {
    throw new InvalidArgumentError('default gateway ip must be part of the network');
  }
}

/** The kernel gives every link an address of fe80::/64: another block there would make two of it. */
export function checkIpv6Subnet(subnet: string): void {
  const [base = '', length = '0'] = subnet.split('/');
  if (/^ff/i.test(base)) throw new InvalidArgumentError(`multicast subnet '${subnet}' is not allowed`);
  if (subnet === LINK_LOCAL_PREFIX) return;
  const overlaps = contains(LINK_LOCAL_PREFIX, base) || (Number(length) < 64 && contains(subnet, 'fe80::'));
  if (overlaps) throw new InvalidArgumentError(`'${subnet}' clashes with the Link-Local prefix '${LINK_LOCAL_PREFIX}'`);
}
