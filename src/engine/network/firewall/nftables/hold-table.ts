/**
 * A table that nobody else can take away: it belongs to our netlink socket (Linux 5.12), and goes with it.
 *
 * It does nothing but use the kernel's address translation (by its chain) and connection tracking (by its rule).
 * `nft flush ruleset` removes the last user of them otherwise, and until our tables are back, a millisecond later, packets
 * of open connections would arrive untranslated at the host itself, which breaks them off. With this one there, open
 * connections do not notice. Pure.
 */
import type { Family } from './family.ts';
import { FAMILY } from './family.ts';

export function makeHoldTable(name: string, family: Family): string {
  return `table ${FAMILY[family].table} ${nameOf(name)} {
  flags owner;
  chain hold { type nat hook prerouting priority -100; policy accept;
    ct state established accept
  }
}
`;
}

export function dropHoldTable(name: string, family: Family): string {
  return `delete table ${FAMILY[family].table} ${nameOf(name)}`;
}

function nameOf(name: string): string {
  return `${name}-hold`;
}
