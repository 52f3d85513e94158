/** One network's chains, and how packets find them. Pure. */
import { markRules } from './base-table.ts';
import { PUBLISHED_MARK } from './bridge-table.ts';
import type { TableOptions } from './base-table.ts';
import type { FirewallLink } from '../../driver.ts';
import type { FamilyNetwork } from './family.ts';
import { FAMILY } from './family.ts';

/** What the rules of a network depend on besides itself. */
export interface NetworkRuleOptions extends Pick<TableOptions, 'name' | 'family' | 'acceptMark'> {
  /** `--allow-direct-routing` */
  readonly directRouting: boolean;
}

/** Adds a network to the table. */
export function addNetwork(options: NetworkRuleOptions, network: FamilyNetwork): string {
  return `${declareNetwork(options, network)}\n${fillNetwork(options, network)}`;
}

/**
 * Its chains, still empty. Where the whole table is made at once they come before its maps: libnftables puts what an
 * interval map is to hold into the message that makes it, wherever that stands in the script.
 */
export function declareNetwork(options: NetworkRuleOptions, network: FamilyNetwork): string {
  const table = `${FAMILY[options.family].table} ${options.name}`;
  return chainsOf(options, network)
    .map(({ chain }) => `add chain ${table} ${chain}`)
    .join('\n');
}

/** The rules in the chains, and what leads to them. */
export function fillNetwork(options: NetworkRuleOptions, network: FamilyNetwork): string {
  const table = `${FAMILY[options.family].table} ${options.name}`;
  const chains = chainsOf(options, network);
  return [
    `add element ${table} bridges { "${network.bridgeName}" }`,
    ...chains.flatMap(({ chain, rules }) => rules.map((rule) => `add rule ${table} ${chain} ${rule}`)),
    ...chains.map(({ chain, map, key }) => `add element ${table} ${map} { ${key} : ${VERDICT[map]} ${chain} }`),
  ].join('\n');
}

/** Takes it out again. */
export function removeNetwork(options: NetworkRuleOptions, network: FamilyNetwork): string {
  const table = `${FAMILY[options.family].table} ${options.name}`;
  const chains = chainsOf(options, network);
  return [
    `delete element ${table} bridges { "${network.bridgeName}" }`,
    ...chains.map(({ map, key }) => `delete element ${table} ${map} { ${key} }`),
    ...chains.flatMap(({ chain }) => [`flush chain ${table} ${chain}`, `delete chain ${table} ${chain}`]),
  ].join('\n');
}

/** Whether containers of the network may be spoken to at their own addresses, on published ports. */
export function isReachable(
  { mode, trustedInterfaces }: FamilyNetwork,
  { directRouting }: Pick<NetworkRuleOptions, 'directRouting'>,
): boolean {
  return mode === 'routed' || directRouting || trustedInterfaces.length > 0;
}

interface NetworkChain {
  readonly chain: string;
  readonly map: 'into' | 'confined' | 'leaving' | 'direct';
  readonly key: string;
  readonly rules: readonly string[];
}

/** `goto` where the chain has the last word in this table. */
const VERDICT = { into: 'goto', leaving: 'goto', direct: 'goto', confined: 'jump' } as const;

function chainsOf(options: NetworkRuleOptions, network: FamilyNetwork): readonly NetworkChain[] {
  const { bridgeName, subnet, internal, mode } = network;
  const byName = `"${bridgeName}"`;
  const open = options.directRouting || mode === 'routed' || mode === 'nat-unprotected';
  return [
    { chain: `into-${bridgeName}`, map: 'into', key: byName, rules: intoRules(options, network) },
    ...(subnet === null
      ? []
      : [{ chain: `leave-${bridgeName}`, map: 'leaving', key: subnet, rules: leavingRules(network) } as const]),
    ...(internal
      ? [{ chain: `out-${bridgeName}`, map: 'confined', key: byName, rules: [`oifname != ${byName} drop`] } as const]
      : []),
    ...(open || subnet === null
      ? []
      : [{ chain: `direct-${bridgeName}`, map: 'direct', key: subnet, rules: directRules(network) } as const]),
  ];
}

function intoRules(options: NetworkRuleOptions, network: FamilyNetwork): readonly string[] {
  const { bridgeName, interContainer, internal, mode } = network;
  const { table, icmp } = FAMILY[options.family];
  const neighbours = [
    ...(interContainer ? [] : network.links.map((link) => linkRule(table, network, link))),
    `iifname "${bridgeName}" ${interContainer ? 'accept' : 'drop'}`,
  ];
  if (internal) return [...neighbours, 'drop'];
  return [
    ...(interContainer ? [] : [`iifname "${bridgeName}" ct status dnat meta mark set meta mark | ${PUBLISHED_MARK}`]),
    'ct state established,related accept',
    ...markRules(options),
    'ct status dnat accept',
    ...neighbours,
    // For the world: other networks of ours come by published ports, as Docker has it.
    ...(mode === 'nat-unprotected' || (mode === 'nat' && isReachable(network, options))
      ? ['iifname @bridges drop']
      : []),
    ...(mode === 'nat-unprotected' ? ['accept'] : []),
    ...(mode === 'routed' ? [`meta l4proto ${icmp} accept`] : []),
    ...(isReachable(network, options) ? [`meta l4proto . ${table} daddr . th dport @reachable accept`] : []),
    'drop',
  ];
}

function linkRule(table: string, { bridgeName }: FamilyNetwork, { from, to, port, protocol }: FirewallLink): string {
  return `iifname "${bridgeName}" ${table} saddr ${from} ${table} daddr ${to} ${protocol} dport ${String(port)} accept`;
}

/**
 * A neighbour (or the container itself) that used a published port must get its answer through us, not directly. What goes
 * to another network of ours keeps its source: its answer comes this way in any case.
 */
function leavingRules({ bridgeName, internal, mode, masquerade, source }: FamilyNetwork): readonly string[] {
  const translated = mode !== 'routed' && masquerade && !internal;
  return [
    `oifname "${bridgeName}" ct status dnat masquerade`,
    ...(translated ? ['oifname @bridges accept', source === null ? 'masquerade' : `snat to ${source}`] : []),
  ];
}

/** The network's own containers and this host's addresses on it; else nobody. */
function directRules({ bridgeName, trustedInterfaces }: FamilyNetwork): readonly string[] {
  const trusted = [bridgeName, ...trustedInterfaces].map((name) => `"${name}"`).join(', ');
  return [`iifname { ${trusted} } accept`, 'fib daddr type local accept', 'drop'];
}
