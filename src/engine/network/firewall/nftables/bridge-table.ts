/** The table that keeps containers of `icc=false` apart, frame by frame: nothing goes from one such port to another. Pure. */
import { SECLUDED_PORT_GROUP } from '../../driver.ts';
import type { FirewallLink } from '../../driver.ts';
import type { Family } from './family.ts';

/**
 * Where br_netfilter shows bridged frames to the tables of IP, a neighbour's packet for a published port is translated on
 * the bridge and never leaves it: the network's own chain, which comes first, marks it so that it passes here. The mark is
 * that of a frame on its way to the container's port, where it is lost.
 */
export const PUBLISHED_MARK = '0x04000000';

/** In place of the one there is. Of one family alone, the frames of that family. */
export function makeBridgeTable(
  name: string,
  families: readonly Family[],
  links: readonly FirewallLink[] = [],
): string {
  const ports = `meta iifgroup ${String(SECLUDED_PORT_GROUP)} meta oifgroup ${String(SECLUDED_PORT_GROUP)}`;
  const frames = families.length === 2 ? '' : `ether type ${families.includes('ipv4') ? 'ip' : 'ip6'} `;
  return `${dropBridgeTable(name)}
table bridge ${name} {
  chain forward { type filter hook forward priority 100; policy accept;
    meta mark & ${PUBLISHED_MARK} != 0 accept
${links.flatMap(linkRules).join('\n')}
    ${frames}${ports} drop
  }
}`;
}

/** Both ways, for nobody keeps track of bridged connections here; and who wants to send must find the neighbour first. */
function linkRules({ from, to, port, protocol }: FirewallLink): readonly string[] {
  const way = (one: string, other: string): string => `    ether type ip ip saddr ${one} ip daddr ${other}`;
  const query = (one: string, other: string): string => `    ether type arp arp saddr ip ${one} arp daddr ip ${other}`;
  return [
    `${query(from, to)} accept`,
    `${query(to, from)} accept`,
    `${way(from, to)} ${protocol} dport ${String(port)} accept`,
    `${way(to, from)} ${protocol} sport ${String(port)} accept`,
  ];
}

/** Takes it away; fails neither when it is there nor when it is not. */
export function dropBridgeTable(name: string): string {
  return `table bridge ${name}\ndelete table bridge ${name}`;
}
