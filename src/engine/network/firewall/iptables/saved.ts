/** What `iptables-save` tells of one table, and which of it is ours. Pure. */
import { isIP } from 'node:net';
import { OWN_CHAINS, USER_CHAIN } from './chains.ts';
import type { TableName } from './rules.ts';

/** One table as it is. */
export interface SavedTable {
  /** With the policy of a built-in one, and `-` for the others. */
  readonly chains: ReadonlyMap<string, string>;
  /** In order; `text` without `-A CHAIN`. */
  readonly rules: readonly SavedRule[];
}

export interface SavedRule {
  readonly chain: string;
  readonly text: string;
}

/** Networks whose rules are ours: those that are, and those of which an earlier run left something. */
export interface Claims {
  readonly bridges: ReadonlySet<string>;
  /** Whether an address is one of their containers'. */
  holds(address: string): boolean;
  /** Whether a rule that does not tell whose it is, is one that we have put there. */
  hasMade(table: TableName, rule: SavedRule): boolean;
}

/** Null when the text does not go on to its end. */
export function parseSaved(text: string): SavedTable | null {
  const chains = new Map<string, string>();
  const rules: SavedRule[] = [];
  let isWhole = false;
  for (const line of text.split('\n')) {
    const [, chain = '', policy = ''] = /^:(\S+) (\S+)/.exec(line) ?? [];
    const [, at = '', rule = ''] = /^-A (\S+) ?(.*)$/.exec(line) ?? [];
    if (chain !== '') chains.set(chain, policy);
    else if (at !== '') rules.push({ chain: at, text: rule });
    else if (line === 'COMMIT') isWhole = true;
  }
  return isWhole ? { chains, rules } : null;
}

/** `B` stands for one of our bridges, `N` for one of our subnets or an address in one. */
const SHAPES: Readonly<Record<string, readonly RegExp[]>> = {
  // Of Docker 20 to 27, which had no chain of its own for these.
  'filter FORWARD': [
    /^-o (?<B>\S+) -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT$/,
    /^-o (?<B>\S+) -j DOCKER$/,
    /^-i (?<B>\S+) ! -o \k<B> -j ACCEPT$/,
    /^-i (?<B>\S+) -o \k<B> -j (?:ACCEPT|DROP)$/,
  ],
  'nat POSTROUTING': [
    /^-s \S+ ! -o (?<B>\S+) -j (?:MASQUERADE|SNAT --to-source \S+)$/,
    /^-s \S+ -o (?<B>\S+)(?: -m conntrack --ctstate DNAT)? -j MASQUERADE$/,
    /^-o (?<B>\S+) -m addrtype --src-type LOCAL -j MASQUERADE$/,
    /^-s (?<N>\S+) -d \k<N> -p \S+ -m \S+ --dport \S+ -j MASQUERADE$/,
  ],
  'raw PREROUTING': [
    /^-[ds] 127\.0\.0\.0\/8 -i (?<B>\S+) -j DROP$/,
    /^-d (?<N>\S+) (?:! )?-i \S+(?: -p \S+ -m \S+ --dport \S+)? -j (?:DROP|ACCEPT)$/,
  ],
};

/** Rules that name neither a bridge nor a container's address: see forgeryRules. */
const ANONYMOUS: Readonly<Record<string, RegExp>> = {
  'raw PREROUTING': /^-d 127\.\S+ ! -i lo -p \S+ -m \S+ --dport \S+ -j DROP$/,
};

/** Whether a rule is of a kind that does not tell whose it is. */
export function isAnonymous(table: TableName, { chain, text }: SavedRule): boolean {
  return ANONYMOUS[`${table} ${chain}`]?.test(text) ?? false;
}

/** Whether a rule came from us. What an administrator wrote into a built-in chain stays, unless it is letter by letter ours. */
export function isOurs(table: TableName, { chain, text }: SavedRule, claims: Claims): boolean {
  if (chain === USER_CHAIN) return false;
  if (OWN_CHAINS[table].includes(chain)) {
    const links = [...text.matchAll(/(?:^| )-[io] (\S+)/g)].map(([, name = '']) => name);
    return links.some((name) => claims.bridges.has(name)) || claims.holds(targetOf(text));
  }
  if (isAnonymous(table, { chain, text })) return claims.hasMade(table, { chain, text });
  return (SHAPES[`${table} ${chain}`] ?? []).some((shape) => {
    const { B: bridge, N: network } = shape.exec(text)?.groups ?? {};
    return (
      (bridge !== undefined && claims.bridges.has(bridge)) ||
      (network !== undefined && claims.holds(addressOf(network)))
    );
  });
}

/** Address that a DNAT rule leads to; '' for another rule. */
function targetOf(text: string): string {
  const target = / --to-destination (\S+)$/.exec(text)?.[1] ?? '';
  if (isIP(target) !== 0) return target;
  return /^\[(.*)\]:/.exec(target)?.[1] ?? target.replace(/:.*$/, '');
}

function addressOf(network: string): string {
  return network.replace(/\/.*$/, '');
}
