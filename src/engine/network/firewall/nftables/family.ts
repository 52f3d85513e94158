/** What differs between the tables of IPv4 and IPv6. */
import type { Family } from '../../ipam/ip.ts';
import type { FirewallLink, FirewallNetwork, GatewayMode } from '../../driver.ts';

export type { Family } from '../../ipam/ip.ts';

/** Words of nft's language for one family. */
export interface FamilyWords {
  /** Table family, and the word before `saddr` in rules of IPv4; see `header`. */
  readonly table: 'ip' | 'ip6';
  readonly addressType: 'ipv4_addr' | 'ipv6_addr';
  /** Host address that stands for all of them. */
  readonly anyAddress: string;
  readonly loopback: string;
  readonly icmp: string;
}

export const FAMILY: Readonly<Record<Family, FamilyWords>> = {
  ipv4: { table: 'ip', addressType: 'ipv4_addr', anyAddress: '0.0.0.0', loopback: '127.0.0.0/8', icmp: 'icmp' },
  ipv6: { table: 'ip6', addressType: 'ipv6_addr', anyAddress: '::', loopback: '::1', icmp: 'ipv6-icmp' },
};

/** A bridge network as one family's table sees it. */
export interface FamilyNetwork {
  readonly bridgeName: string;
  /** Null: an internal network without addresses of this family, which its containers can forge all the same. */
  readonly subnet: string | null;
  readonly mode: GatewayMode;
  readonly masquerade: boolean;
  /** Source address in place of masquerade. */
  readonly source: string | null;
  readonly interContainer: boolean;
  readonly links: readonly FirewallLink[];
  readonly internal: boolean;
  readonly respectful: boolean;
  readonly trustedInterfaces: readonly string[];
}

/** The network's part of one family; null: it has none. */
export function familyNetwork(network: FirewallNetwork, family: Family): FamilyNetwork | null {
  const [subnet, mode, source] =
    family === 'ipv4'
      ? [network.ipv4Subnet, network.ipv4Mode, network.ipv4Source]
      : [network.ipv6Subnet, network.ipv6Mode, network.ipv6Source];
  if (subnet === null && !network.internal) return null;
  return {
    bridgeName: network.bridgeName,
    subnet,
    mode: mode ?? 'nat',
    masquerade: network.masquerade,
    source: source ?? null,
    interContainer: network.interContainer,
    links: (network.links ?? []).filter(({ to }) => familyOf(to) === family),
    internal: network.internal,
    respectful: network.publishPolicy === 'respect',
    trustedInterfaces: network.trustedInterfaces ?? [],
  };
}

/** The family that text belongs to, an address or a subnet. */
export function familyOf(address: string): Family {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}
