/** What Docker says of wishes for an endpoint that cannot be granted. */
import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';
import type { EndpointWish, IpamPool, NetworkView } from '../../network/types.ts';

/** Docker's names for what always exists. */
const PREDEFINED: ReadonlySet<string> = new Set(['bridge', 'host', 'none', 'default']);
const SYSCTLS_OPTION = 'com.docker.network.endpoint.sysctls';
const MAC = /^[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}$/i;

type Subnet = Pick<IpamPool, 'subnet' | 'subnetChosen'>;

/** Why the wish cannot be granted, in dockerd's words; null when it can. `network`: null where it is not there (yet). */
export function wishProblem(name: string, network: NetworkView | null, wish: EndpointWish): string | null {
  const mac = wish.macAddress ?? '';
  if (mac !== '' && !MAC.test(mac)) return `invalid MAC address ${mac}`;
  const problems = [
    ...(PREDEFINED.has(name) ? onPredefined(wish) : []),
    ...addressProblems(wish),
    ...(network === null ? [] : rangeProblems(network, wish)),
    ...sysctlProblems(wish),
  ];
  return problems.length === 0 ? null : `invalid endpoint settings:\n${joined(problems)}`;
}

/** Several problems as dockerd lists them. */
export function joined(problems: readonly string[]): string {
  if (problems.length === 1) return problems[0]?.trim() ?? '';
  return problems.map((text) => `* ${text.replaceAll('\n', '\n\t')}`).join('\n');
}

function onPredefined({ ipv4Address, ipv6Address, aliases }: EndpointWish): readonly string[] {
  const hasAddress = (ipv4Address ?? '') !== '' || (ipv6Address ?? '') !== '';
  return [
    ...(hasAddress ? ['user specified IP address is supported on user defined networks only'] : []),
    ...(aliases.length > 0 ? ['network-scoped alias is supported only for containers in user defined networks'] : []),
  ];
}

function addressProblems({ ipv4Address, ipv6Address, linkLocalIps = [] }: EndpointWish): readonly string[] {
  const problems: string[] = [];
  const ipv4 = ipv4Address ?? '';
  const ipv6 = ipv6Address ?? '';
  if (ipv4 !== '' && (!isIPv4(ipv4) || ipv4 === '0.0.0.0')) problems.push(`invalid IPv4 address: ${ipv4}`);
  if (ipv6 !== '' && (!isIPv6(ipv6) || isUnspecified(ipv6))) problems.push(`invalid IPv6 address: ${ipv6}`);
  for (const address of linkLocalIps) {
    if (isIP(address) === 0 || address === '0.0.0.0' || isUnspecified(address)) {
      problems.push(`invalid link-local IP address: ${address}`);
    }
  }
  return problems;
}

function isUnspecified(address: string): boolean {
  return /^[0:]+$/.test(address);
}

function rangeProblems(network: NetworkView, { ipv4Address, ipv6Address }: EndpointWish): readonly string[] {
  // As dockerd: an address of a family that the network does not have is taken, and none is given of it.
  const pools: readonly Subnet[] = [...network.pools, ...(network.unusedPools ?? [])];
  const isOf = (isFamily: (text: string) => boolean) => (pool: Subnet) => isFamily(addressPart(pool.subnet));
  return [
    ...rangeProblem(ipv4Address ?? '', pools.filter(isOf(isIPv4))),
    ...rangeProblem(ipv6Address ?? '', pools.filter(isOf(isIPv6))),
  ];
}

/** Only in a subnet that its user has chosen is there a place for addresses that he chooses. */
function rangeProblem(address: string, pools: readonly Subnet[]): readonly string[] {
  if (address === '') return [];
  const asked = pools.filter(({ subnetChosen }) => subnetChosen !== true);
  if (asked.length === 0) {
    return ['user specified IP address is supported only when connecting to networks with user configured subnets'];
  }
  if (asked.some(({ subnet }) => contains(subnet, address))) return [];
  return [`no configured subnet or ip-range contain the IP address ${address}`];
}

function contains(cidr: string, address: string): boolean {
  const family = isIP(address);
  if (family === 0 || family !== isIP(addressPart(cidr))) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const block = new BlockList();
  block.addSubnet(addressPart(cidr), Number(cidr.slice(cidr.indexOf('/') + 1)), type);
  return block.check(address, type);
}

function addressPart(cidr: string): string {
  return cidr.split('/', 1)[0] ?? '';
}

function sysctlProblems({ driverOptions = {} }: EndpointWish): readonly string[] {
  const text = driverOptions[SYSCTLS_OPTION];
  if (text === undefined) return [];
  return text
    .split(',')
    .filter((sysctl) => !isInterfaceSysctl(sysctl))
    .map(
      (sysctl) =>
        `unrecognised network interface sysctl '${sysctl}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'`,
    );
}

function isInterfaceSysctl(sysctl: string): boolean {
  const [, family = '', , name = '', ...rest] = sysctl.split('.');
  return rest.length > 0 && ['ipv4', 'ipv6', 'mpls'].includes(family) && ['IFNAME', 'ifname'].includes(name);
}
