/**
 * Finds base chains of other programs that drop what is forwarded to a bridge: `iptables -P FORWARD DROP` (by iptables-nft), a
 * hardened nftables.conf, ufw. A packet passes only when every chain lets it, so that ours cannot help. Rules of
 * iptables-legacy are not seen by nftables.
 *
 * It does not run the rules in its head: a chain that names a bridge anywhere, or accepts everything, is taken for one whose
 * administrator knows of it. firewalld's chains are left out, for it is told of the bridges.
 */
import type { NftCalls } from '../../kernel/kernel.ts';

/** A chain in the way. */
export interface ClosedForward {
  /** `ip filter FORWARD` */
  readonly chain: string;
  /** Whose packets it drops. */
  readonly bridges: readonly string[];
}

interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook?: string;
  readonly policy?: string;
}

type Expression = Readonly<Record<string, unknown>>;

const FAMILIES: ReadonlySet<string> = new Set(['ip', 'ip6', 'inet']);
/** What can stand in nft's language without quotes. */
const PLAIN_NAME = /^[A-Za-z][A-Za-z0-9_./-]*$/;
/** Chains followed by their jumps; who has more of them is not judged. */
const MOST_CHAINS = 32;

/** Asks nftables; a host without it has none. */
export function closedForwards(nft: Pick<NftCalls, 'list'>, bridges: readonly string[]): readonly ClosedForward[] {
  if (bridges.length === 0) return [];
  const chains = orNone(() => objectsOf<Chain>(nft.list('list chains'), 'chain'));
  return chains.filter(isClosed).flatMap((chain) => {
    const dropped = orNone(() => droppedBy(nft, chain, bridges));
    return dropped.length === 0 ? [] : [{ chain: `${chain.family} ${chain.table} ${chain.name}`, bridges: dropped }];
  });
}

/** What cannot be read (no nftables, names that its language reserves, a chain that went meanwhile) is not judged. */
function orNone<T>(read: () => readonly T[]): readonly T[] {
  try {
    return read();
  } catch {
    return [];
  }
}

function isClosed({ family, table, name, hook, policy }: Chain): boolean {
  const isForeign = table !== 'firewalld' && [table, name].every((word) => PLAIN_NAME.test(word));
  return hook === 'forward' && policy === 'drop' && FAMILIES.has(family) && isForeign;
}

/** Bridges that neither the chain nor those it jumps to ever name. */
function droppedBy(
  nft: Pick<NftCalls, 'list'>,
  { family, table, name }: Chain,
  bridges: readonly string[],
): readonly string[] {
  let left = bridges;
  const chains = new Set([name]);
  for (const chain of chains) {
    if (chains.size > MOST_CHAINS || left.length === 0) return [];
    const document = nft.list(`list chain ${family} ${table} ${chain}`);
    for (const { expr = [] } of objectsOf<{ readonly expr?: readonly Expression[] }>(document, 'rule')) {
      if (acceptsAll(expr)) return [];
      const links = expr.flatMap(linksOf);
      left = left.filter((bridge) => !links.some((link) => names(link, bridge)));
      for (const target of expr.flatMap(jumpsOf)) if (PLAIN_NAME.test(target)) chains.add(target);
    }
  }
  return left;
}

function acceptsAll(expr: readonly Expression[]): boolean {
  return expr.some((part) => 'accept' in part) && expr.every((part) => 'accept' in part || 'counter' in part);
}

/** The text in a match, of one link or a set of them. */
function linksOf({ match }: Expression): readonly string[] {
  const { left, right } = (match ?? {}) as { readonly left?: unknown; readonly right?: unknown };
  if (!/"[io]ifname"/.test(JSON.stringify(left ?? ''))) return [];
  return [...JSON.stringify(right ?? '').matchAll(/"([^"]+)"/g)].map(([, text]) => text ?? '');
}

function jumpsOf(part: Expression): readonly string[] {
  const jump = (part['jump'] ?? part['goto']) as { readonly target?: string } | undefined;
  return jump?.target === undefined ? [] : [jump.target];
}

function names(link: string, bridge: string): boolean {
  return link.endsWith('*') ? bridge.startsWith(link.slice(0, -1)) : link === bridge;
}

function objectsOf<T>(document: unknown, kind: string): readonly T[] {
  const { nftables = [] } = (document ?? {}) as { readonly nftables?: readonly Readonly<Record<string, T>>[] };
  return nftables.flatMap((entry) => (entry[kind] === undefined ? [] : [entry[kind]]));
}
