/**
 * The text of our table, in nft's own language, less what belongs to single networks. Pure.
 *
 * There is one table in `ip` and one in `ip6`, never one in `inet`: NAT in `inet` needs Linux 5.2, and each family may be
 * forbidden to us on its own (`--iptables=false`, `--ip6tables=false`).
 *
 *     map published_on   protocol . host address . port → container address . port   `-p 192.0.2.1:8080:80`
 *     map published      protocol . host port → container address . port             `-p 8080:80`
 *     map published_tcp, published_udp   host ports from … to → container address    `-p 8000-9000:8000-9000`
 *     set loopback_only  what is published on 127.0.0.0/8
 *     set reachable      container ports that may be reached at the container's own address
 *     set asked, asked_on   published, but only for whom the host's own input policy lets in: see turnstile.ts
 *     map into, confined, leaving, direct   to a network's chains, by bridge name or subnet
 *
 *     guard         before everything: what can only be a forgery
 *     direct        container addresses are not reached from elsewhere
 *     prerouting, output   what is addressed to this host and published goes to its container
 *     postrouting   out of a network to the world by masquerade; and within one, where the answer would not come back
 *     forward       into a network: answers, what was published, its own containers; nothing else
 *
 * A network is four map elements and three chains: 200 of them cost a packet no more than one does.
 */
import type { Family } from './family.ts';
import { FAMILY } from './family.ts';

/** What the table is to be like as a whole. */
export interface TableOptions {
  readonly name: string;
  readonly family: Family;
  /** `mark/mask` as given to `--bridge-accept-fwmark`, in numbers; null: none. */
  readonly acceptMark: { readonly mark: number; readonly mask: number } | null;
  /** What other links forward to one another is dropped. */
  readonly closeForwarding: boolean;
  /** False: published ports are not led in from this host's own loopback addresses (`--userland-proxy`). */
  readonly loopback: boolean;
  /** Names of the links that lead back what the host's input policy has let in; null: no network asks it. */
  readonly turnstile: { readonly into: string; readonly outOf: string } | null;
}

/** Where copies are sent to by name; no such host has to exist. */
const TURNSTILE_GATEWAY = { ipv4: '192.0.0.8', ipv6: 'fe80::7' } as const;
/** Behind any filter that might still say no; connection tracking confirms last of all, at the highest there is. */
const LAST_WORD = 1_000_000;

/** Takes the table away; fails neither when it is there nor when it is not. */
export function dropTable(name: string, family: Family): string {
  const table = `${FAMILY[family].table} ${name}`;
  return `table ${table}\ndelete table ${table}`;
}

/** The empty table. */
export function makeTable(options: TableOptions): string {
  const { table, addressType, loopback } = FAMILY[options.family];
  const local = options.loopback ? '' : `${table} daddr != ${loopback} `;
  return `table ${table} ${options.name} {
  map published_on { type inet_proto . ${addressType} . inet_service : ${addressType} . inet_service; }
  map published { type inet_proto . inet_service : ${addressType} . inet_service; }
  map published_tcp { type inet_service : ${addressType}; flags interval; }
  map published_udp { type inet_service : ${addressType}; flags interval; }
  set loopback_only { type inet_proto . ${addressType} . inet_service; }
  set reachable { type inet_proto . ${addressType} . inet_service; }
  set asked { type inet_proto . inet_service; }
  set asked_on { type inet_proto . ${addressType} . inet_service; }
  set bridges { type ifname; }
  map into { type ifname : verdict; }
  map confined { type ifname : verdict; }
  map leaving { type ${addressType} : verdict; flags interval; }
  map direct { type ${addressType} : verdict; flags interval; }
  chain guard { type filter hook prerouting priority -300; policy accept;
    ${lines(options.family === 'ipv4' ? IPV4_GUARD : [])}
  }
  chain arriving_directly { type filter hook prerouting priority -140; policy accept;
    ct state established,related accept
    ${lines(markRules(options))}
    ${table} daddr vmap @direct
  }
  chain prerouting { type nat hook prerouting priority -100; policy accept;
    ${options.family === 'ipv4' ? `ip daddr != ${loopback} ` : ''}fib daddr type local jump arriving
  }
  chain arriving {
    ${lines(options.turnstile === null ? [] : askedRules(options, 'return'))}
    jump dnat_published
  }
  chain output { type nat hook output priority -100; policy accept;
    ${local}fib daddr type local jump dnat_published
  }
  chain dnat_published {
    meta l4proto { tcp, udp, sctp } dnat ${table} to meta l4proto . ${table} daddr . th dport map @published_on
    meta l4proto { tcp, udp, sctp } dnat ${table} to meta l4proto . th dport map @published
    dnat to tcp dport map @published_tcp
    dnat to udp dport map @published_udp
  }
  chain postrouting { type nat hook postrouting priority 100; policy accept;
    ${table} saddr ${loopback} oifname @bridges masquerade
    ${table} saddr vmap @leaving
  }
  chain forward { type filter hook forward priority 0; policy accept;
    iifname vmap @confined
    oifname vmap @into
    ${lines(options.closeForwarding ? closingRules(options) : [])}
  }
  ${options.family === 'ipv6' && options.loopback ? REFUSED_LOOPBACK : ''}
  ${options.turnstile === null ? '' : turnstileChains(options)}
}
`;
}

/**
 * `route_localnet` on a bridge lets 127.0.0.1:8080 of the host reach a container; it would also let containers reach what
 * listens on the host's 127.0.0.1 only, or pass for the host itself. Answers to the former arrive under the bridge's own
 * address (they were masqueraded), so everything of 127.0.0.0/8 that comes out of a bridge is the latter.
 *
 * On other links the kernel drops such packets, unless somebody switched route_localnet on there for reasons of their own:
 * published ports are kept from them in any case, theirs are left alone.
 */
const IPV4_GUARD = [
  'iifname @bridges ip daddr 127.0.0.0/8 drop',
  'iifname @bridges ip saddr 127.0.0.0/8 drop',
  'iifname != "lo" ip daddr 127.0.0.0/8 meta l4proto . ip daddr . th dport @loopback_only drop',
];

/**
 * The kernel takes no answer for ::1 from a link, and has no switch for that as IPv4 has. Who asks for `localhost` is refused
 * at once and goes on to 127.0.0.1, where a reserved port without anybody behind it would leave him hanging.
 */
const REFUSED_LOOPBACK = `chain refused { type filter hook output priority 0; policy accept;
    ip6 saddr ::1 ct status dnat meta l4proto tcp reject with tcp reset
    ip6 saddr ::1 ct status dnat reject
  }`;

/** Rules that accept what bears the mark of `--bridge-accept-fwmark`. */
export function markRules({ acceptMark }: Pick<TableOptions, 'acceptMark'>): readonly string[] {
  if (acceptMark === null) return [];
  const { mark, mask } = acceptMark;
  return [`meta mark & 0x${mask.toString(16)} == 0x${mark.toString(16)} accept`];
}

function closingRules(options: TableOptions): readonly string[] {
  return ['ct state established,related accept', 'iifname @bridges accept', ...markRules(options), 'drop'];
}

/** What was published on a condition, and has not come through the turnstile. */
function askedRules({ family, turnstile }: TableOptions, verdict: string): readonly string[] {
  const unasked = `iifname != "${turnstile?.outOf ?? ''}"`;
  return [
    `${unasked} meta l4proto . th dport @asked ${verdict}`,
    `${unasked} meta l4proto . ${FAMILY[family].table} daddr . th dport @asked_on ${verdict}`,
  ];
}

/**
 * See turnstile.ts. What came out of it and still stands here was unpublished in that moment. Internal networks do not get in:
 * behind it nobody would know where a packet came from. (Here no packet has a link to leave by: `confined` drops them.)
 */
function turnstileChains(options: TableOptions): string {
  const { family, turnstile } = options;
  return `chain let_in { type filter hook input priority ${String(LAST_WORD)}; policy accept;
    iifname "${turnstile?.outOf ?? ''}" drop
    iifname "lo" accept
    ${lines(askedRules(options, 'jump turn'))}
  }
  chain turn {
    fib daddr type != local return
    iifname vmap @confined
    ct state new dup to ${TURNSTILE_GATEWAY[family]} device "${turnstile?.into ?? ''}"
    drop
  }`;
}

/** Joined with the indentation of a chain's body. */
export function lines(texts: readonly string[]): string {
  return texts.filter((text) => text !== '').join('\n    ');
}
