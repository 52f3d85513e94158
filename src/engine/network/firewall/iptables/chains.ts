/** Chains that every engine with Docker's names shares, and how they hang together. Pure. */
import type { Family, Rule, TableName } from './rules.ts';

/**
 * The administrator's chain: made empty when missing, the first that a forwarded packet meets, and for the rest left
 * alone. It outlives the engine.
 */
export const USER_CHAIN = 'DOCKER-USER';

/** Ours, by table. */
export const OWN_CHAINS: Readonly<Record<TableName, readonly string[]>> = {
  filter: [
    'DOCKER',
    'DOCKER-BRIDGE',
    'DOCKER-CT',
    'DOCKER-FORWARD',
    'DOCKER-ISOLATION-STAGE-1',
    'DOCKER-ISOLATION-STAGE-2',
  ],
  nat: ['DOCKER'],
  raw: [],
};

export const TABLES: readonly TableName[] = ['filter', 'nat', 'raw'];

const FILTER_JUMPS: readonly (readonly [chain: string, text: string])[] = [
  ['FORWARD', `-j ${USER_CHAIN}`],
  ['FORWARD', '-j DOCKER-FORWARD'],
  ['DOCKER-FORWARD', '-j DOCKER-CT'],
  ['DOCKER-FORWARD', '-j DOCKER-ISOLATION-STAGE-1'],
  ['DOCKER-FORWARD', '-j DOCKER-BRIDGE'],
  // A published port is everybody's: also a container's of another network that asks for it at the host's address.
  ['DOCKER-ISOLATION-STAGE-2', '-m conntrack --ctstate DNAT -j RETURN'],
];

const LOCAL_JUMP = '-m addrtype --dst-type LOCAL -j DOCKER';
const OUTPUT_JUMPS: Readonly<Record<Family, readonly [fromAnywhere: string, fromOthers: string]>> = {
  ipv4: [LOCAL_JUMP, `! -d 127.0.0.0/8 ${LOCAL_JUMP}`],
  ipv6: [LOCAL_JUMP, `! -d ::1/128 ${LOCAL_JUMP}`],
};

/**
 * The kernel takes no answer for ::1 from another link, and has no switch for that as IPv4 has: who asks for `localhost` is
 * refused at once, and tries 127.0.0.1. The packet's link is still `lo` here.
 */
const REFUSALS: readonly string[] = [
  '-s ::1/128 -p tcp -m conntrack --ctstate DNAT -j REJECT --reject-with tcp-reset',
  '-s ::1/128 -m conntrack --ctstate DNAT -j REJECT --reject-with icmp6-port-unreachable',
];

/** What an engine with the proxy for loopback addresses must not find: a jump of an earlier run that led them past it. */
export const WIDE_OUTPUT_JUMP = { chain: 'OUTPUT', text: LOCAL_JUMP };

/**
 * What binds the chains together, in the order in which it stands at the head of each chain. `loopback`: published ports are
 * led in from the host's own loopback addresses, too.
 */
export function skeletonOf(family: Family, loopback: boolean): readonly Rule[] {
  const [fromAnywhere, fromOthers] = OUTPUT_JUMPS[family];
  return [
    ...FILTER_JUMPS.map(([chain, text]) => rule('filter', chain, text)),
    ...(family === 'ipv6' && loopback ? REFUSALS.map((text) => rule('filter', 'OUTPUT', text)) : []),
    rule('nat', 'PREROUTING', LOCAL_JUMP),
    rule('nat', 'OUTPUT', loopback ? fromAnywhere : fromOthers),
  ];
}

function rule(table: TableName, chain: string, text: string): Rule {
  return { table, chain, place: 'first', text };
}
