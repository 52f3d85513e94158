/**
 * The rules of a network and of published ports, for one family, in the words in which `iptables-save` prints them: what is
 * read back can be held against them letter by letter. Pure.
 *
 * Chains and shapes are Docker 28's, so that scripts which look for them go on working:
 *
 *     filter FORWARD ──► DOCKER-USER               the administrator's; see chains.ts
 *                    └─► DOCKER-FORWARD ──► DOCKER-CT                   answers
 *                                       ├─► DOCKER-ISOLATION-STAGE-1/2  from one network into another: dropped
 *                                       ├─► DOCKER-BRIDGE ──► DOCKER    into a network: published ports, then DROP
 *                                       └─  out of a network, and among its own containers
 *     nat    PREROUTING, OUTPUT ──► DOCKER         what is addressed to this host goes to a container
 *            POSTROUTING                           masquerade
 *     raw    PREROUTING                            published ports are not to be had by the container's own address
 */
import type { FirewallNetwork, GatewayMode, PublishPolicy } from '../../driver.ts';
import type { PublishedPort } from '../../types.ts';
import { containerRuns, hostRuns, type PortRun } from './port-runs.ts';

export type Family = 'ipv4' | 'ipv6';
export type TableName = 'filter' | 'nat' | 'raw';

/** One rule. `first`: before the chain's others, `last`: behind them. */
export interface Rule {
  readonly table: TableName;
  readonly chain: string;
  readonly place: 'first' | 'last';
  /** Without `-A CHAIN`. */
  readonly text: string;
}

/** What holds for all networks of an engine. */
export interface RuleOptions {
  /** Published ports may be reached by the container's own address (`--allow-direct-routing`). */
  readonly directRouting: boolean;
  /** `0x1/0x3`: packets with this mark may enter any network (`--bridge-accept-fwmark`); null: none. */
  readonly acceptMark: string | null;
  /** Of networks that do not say. */
  readonly publishPolicy: PublishPolicy;
  /** Families in which published ports are led in from this host's own loopback addresses, too. */
  readonly loopback: readonly Family[];
}

/** Whether a network has anything of this family. */
export function hasFamily(network: FirewallNetwork, family: Family): boolean {
  return subnetOf(network, family) !== null;
}

/** What a network needs, whichever ports are published. */
export function networkRules(network: FirewallNetwork, family: Family, options: RuleOptions): readonly Rule[] {
  const subnet = subnetOf(network, family);
  // Containers can forge what they have no addresses for.
  if (subnet === null) return network.internal ? closedNetwork(network) : [];
  const guard = family === 'ipv4' ? loopbackGuard(network) : [];
  if (isClosed(network, family)) return [...guard, ...closedNetwork(network)];
  return [...guard, ...openNetwork(network, family, options), ...translation(network, family, subnet)];
}

/** `route_localnet` on the bridge is for answers: no container is to reach 127.0.0.0/8 of the host, or to pass for it. */
function loopbackGuard({ bridgeName }: FirewallNetwork): readonly Rule[] {
  return ['-d', '-s'].map((way) => last('raw', 'PREROUTING', `${way} 127.0.0.0/8 -i ${bridgeName} -j DROP`));
}

/** What published ports of one address in `network` need. Ports of the other family are another call's business. */
export function portRules(
  network: FirewallNetwork,
  family: Family,
  ports: readonly PublishedPort[],
  { directRouting, publishPolicy }: RuleOptions,
): readonly Rule[] {
  // What the host's input policy is to decide never gets to it by these chains: the proxy listens in their place.
  if ((network.publishPolicy ?? publishPolicy) === 'respect') return [];
  if (isClosed(network, family) || !hasFamily(network, family)) return [];
  const own = ports.filter((port) => isOf(port, family));
  const mode = modeOf(network, family);
  const { bridgeName } = network;
  const rules: Rule[] = [];
  for (const run of containerRuns(own)) {
    const target = `-d ${host(run.address, family)}`;
    const inside = `${protocol(run)} --dport ${range(run.containerStart, run.length)}`;
    rules.push(first('filter', 'DOCKER', `${target} ! -i ${bridgeName} -o ${bridgeName} ${inside} -j ACCEPT`));
    // The rule above cannot tell whether a packet was addressed to the host; here, before NAT, it still shows.
    if (mode === 'nat' && !directRouting) {
      rules.push(last('raw', 'PREROUTING', `${target} ! -i ${bridgeName} ${inside} -j DROP`));
    }
  }
  if (mode === 'routed') return rules;
  for (const run of hostRuns(own)) {
    const to = isAny(run.hostIp) ? '' : `-d ${host(run.hostIp, family)} `;
    const wanted = `${protocol(run)} --dport ${range(run.hostStart, run.length)}`;
    rules.push(last('nat', 'DOCKER', `${to}${wanted} -j DNAT --to-destination ${destination(run, family)}`));
    rules.push(...forgeryRules(run, wanted));
  }
  return rules;
}

/**
 * What is published at 127.0.0.1 must not be had by who forges packets for that address on a wire: they are translated
 * before the kernel would find them odd. The rule does not tell whose it is; see saved.ts.
 */
function forgeryRules({ hostIp }: PortRun, wanted: string): readonly Rule[] {
  return hostIp.startsWith('127.') ? [last('raw', 'PREROUTING', `-d ${hostIp}/32 ! -i lo ${wanted} -j DROP`)] : [];
}

/** Whether a port leads to an address of this family, and from one of it. */
function isOf({ hostIp, endpointIpAddress }: PublishedPort, family: Family): boolean {
  const is = (address: string): boolean => address.includes(':') === (family === 'ipv6');
  return is(endpointIpAddress) && (hostIp === '' || is(hostIp));
}

function openNetwork(network: FirewallNetwork, family: Family, { acceptMark }: RuleOptions): readonly Rule[] {
  const { bridgeName: bridge, interContainer, trustedInterfaces = [] } = network;
  const mode = modeOf(network, family);
  const routed = mode === 'routed';
  const icmp = family === 'ipv4' ? 'icmp' : 'ipv6-icmp';
  const subnet = subnetOf(network, family) ?? '';
  return [
    last('filter', 'DOCKER-CT', `-o ${bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`),
    first('filter', 'DOCKER-ISOLATION-STAGE-1', `-i ${bridge} ! -o ${bridge} -j DOCKER-ISOLATION-STAGE-2`),
    // A routed network's published ports are its containers' own: other networks may use them as the world does.
    ...(routed ? [] : [last('filter', 'DOCKER-ISOLATION-STAGE-2', `-o ${bridge} -j DROP`)]),
    last('filter', 'DOCKER-BRIDGE', `-o ${bridge} -j DOCKER`),
    ...(acceptMark === null ? [] : [last('filter', 'DOCKER', `-o ${bridge} -m mark --mark ${acceptMark} -j ACCEPT`)]),
    ...trustedInterfaces.flatMap((trusted) => [first('raw', 'PREROUTING', `-d ${subnet} -i ${trusted} -j ACCEPT`)]),
    ...(routed ? [last('filter', 'DOCKER', `-o ${bridge} -p ${icmp} -j ACCEPT`)] : []),
    last('filter', 'DOCKER', `! -i ${bridge} -o ${bridge} -j ${mode === 'nat-unprotected' ? 'ACCEPT' : 'DROP'}`),
    ...linkRules(network, family),
    ...(interContainer
      ? [last('filter', 'DOCKER-FORWARD', `-i ${bridge} -j ACCEPT`)]
      : [
          // A neighbour may use what is published to everybody.
          last('filter', 'DOCKER-FORWARD', `-i ${bridge} -o ${bridge} -m conntrack --ctstate DNAT -j ACCEPT`),
          last('filter', 'DOCKER-FORWARD', `-i ${bridge} -o ${bridge} -j DROP`),
          last('filter', 'DOCKER-FORWARD', `-i ${bridge} ! -o ${bridge} -j ACCEPT`),
        ]),
  ];
}

/** What one container may reach of another though the rule for the two says no. Answers come by DOCKER-CT. */
function linkRules({ bridgeName, interContainer, links = [] }: FirewallNetwork, family: Family): readonly Rule[] {
  if (interContainer) return [];
  return links
    .filter(({ to }) => to.includes(':') === (family === 'ipv6'))
    .map(({ from, to, port, protocol: name }) => {
      const ends = `-s ${host(from, family)} -d ${host(to, family)} -i ${bridgeName} -o ${bridgeName}`;
      return first('filter', 'DOCKER', `${ends} -p ${name} -m ${name} --dport ${String(port)} -j ACCEPT`);
    });
}

/** `internal`: nothing gets in or out, whatever address it claims to have. */
function closedNetwork({ bridgeName: bridge, interContainer }: FirewallNetwork): readonly Rule[] {
  return [
    first('filter', 'DOCKER-ISOLATION-STAGE-1', `! -i ${bridge} -o ${bridge} -j DROP`),
    first('filter', 'DOCKER-ISOLATION-STAGE-1', `-i ${bridge} ! -o ${bridge} -j DROP`),
    last('filter', 'DOCKER-FORWARD', `-i ${bridge} -o ${bridge} -j ${interContainer ? 'ACCEPT' : 'DROP'}`),
  ];
}

function translation(network: FirewallNetwork, family: Family, subnet: string): readonly Rule[] {
  const { bridgeName: bridge, masquerade } = network;
  if (modeOf(network, family) === 'routed') return [];
  const source = family === 'ipv4' ? network.ipv4Source : network.ipv6Source;
  const target = source === undefined ? 'MASQUERADE' : `SNAT --to-source ${source}`;
  return [
    ...(masquerade ? [first('nat', 'POSTROUTING', `-s ${subnet} ! -o ${bridge} -j ${target}`)] : []),
    // A neighbour (or the container itself) that used a published port must get its answer through us, not directly.
    first('nat', 'POSTROUTING', `-s ${subnet} -o ${bridge} -m conntrack --ctstate DNAT -j MASQUERADE`),
    // A container cannot answer 127.0.0.1.
    ...(family === 'ipv4' ? [first('nat', 'POSTROUTING', `-s 127.0.0.0/8 -o ${bridge} -j MASQUERADE`)] : []),
  ];
}

function isClosed(network: FirewallNetwork, family: Family): boolean {
  return network.internal || modeOf(network, family) === 'isolated';
}

function modeOf({ ipv4Mode, ipv6Mode }: FirewallNetwork, family: Family): GatewayMode {
  return (family === 'ipv4' ? ipv4Mode : ipv6Mode) ?? 'nat';
}

function subnetOf({ ipv4Subnet, ipv6Subnet }: FirewallNetwork, family: Family): string | null {
  return family === 'ipv4' ? ipv4Subnet : ipv6Subnet;
}

function isAny(hostIp: string): boolean {
  return hostIp === '' || hostIp === '0.0.0.0' || hostIp === '::';
}

function host(address: string, family: Family): string {
  return family === 'ipv4' ? `${address}/32` : `${address}/128`;
}

function protocol({ protocol: name }: PortRun): string {
  return `-p ${name} -m ${name}`;
}

function range(start: number, length: number): string {
  return length === 1 ? String(start) : `${String(start)}:${String(start + length - 1)}`;
}

/** One port: `172.17.0.2:80`. A run of ports that keep their numbers: the address; a shifted one: `172.17.0.2:80-179/8000`. */
function destination({ address, hostStart, containerStart, length }: PortRun, family: Family): string {
  if (length > 1 && hostStart === containerStart) return address;
  const at = family === 'ipv4' ? address : `[${address}]`;
  if (length === 1) return `${at}:${String(containerStart)}`;
  return `${at}:${String(containerStart)}-${String(containerStart + length - 1)}/${String(hostStart)}`;
}

function first(table: TableName, chain: string, text: string): Rule {
  return { table, chain, place: 'first', text };
}

function last(table: TableName, chain: string, text: string): Rule {
  return { table, chain, place: 'last', text };
}
