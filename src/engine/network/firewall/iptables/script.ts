/**
 * Input of `iptables-restore --noflush`. Each table is one transaction; a line that fails leaves its table as it was. Pure.
 *
 * `-C` is a question: a script that asks whether the jumps are there fails as a whole where somebody has flushed them, so
 * no change is made on top of a heap of rubble, and no process is needed to look.
 */
import { OWN_CHAINS, TABLES, USER_CHAIN, WIDE_OUTPUT_JUMP } from './chains.ts';
import type { Rule, TableName } from './rules.ts';
import { isAnonymous, isOurs, type Claims, type SavedRule, type SavedTable } from './saved.ts';

/** Takes `removed` away and adds `added`, where all of `expected` is there, in whichever table. */
export function changeScript(expected: readonly Rule[], removed: readonly Rule[], added: readonly Rule[]): string {
  return document((table) => {
    const ofTable = (rules: readonly Rule[]): readonly Rule[] => rules.filter((rule) => rule.table === table);
    return [
      ...ofTable(expected).map(({ chain, text }) => `-C ${chain} ${text}`),
      ...ofTable(removed).map(remove),
      ...ofTable(added).map(add),
    ];
  });
}

/** What ought to be there. */
export interface Wanted {
  readonly skeleton: readonly Rule[];
  readonly rules: readonly Rule[];
  /** What no rule lets through is not forwarded. */
  readonly isClosed: boolean;
  /** Nothing is behind the skeleton: another engine may put its own jumps before it, or take it away. */
  readonly isIdle?: boolean;
}

/** Makes of what is there (`saved`) what ought to be; '' when it is. */
export function mendScript(saved: ReadonlyMap<TableName, SavedTable>, wanted: Wanted, claims: Claims): string {
  return document((table) => {
    const is = saved.get(table) ?? { chains: new Map<string, string>(), rules: [] };
    const skeleton = wanted.skeleton.filter((rule) => rule.table === table);
    const rules = wanted.rules.filter((rule) => rule.table === table);
    const ours = is.rules.filter((rule) => isOurs(table, rule, claims));
    const missing = chainsOf(table).filter((chain) => !is.chains.has(chain));
    const isNarrow = table === 'nat' && !skeleton.some((rule) => isSame(rule, WIDE_OUTPUT_JUMP));
    const wide = is.rules.filter((rule) => isNarrow && isSame(rule, WIDE_OUTPUT_JUMP));
    const jumps = [...is.rules.filter((rule) => skeleton.some((wish) => isSame(wish, rule))), ...wide];
    const policy = table === 'filter' && wanted.isClosed ? policyScript(is, 'DROP') : [];
    const stands = missing.length === 0 && wide.length === 0 && standsFirst(skeleton, is.rules);
    if ((stands || wanted.isIdle === true) && isSameSet(ours, rules)) return policy;
    return [
      ...policy,
      ...missing.map((chain) => `-N ${chain}`),
      ...[...jumps, ...ours].map(remove),
      ...[...skeleton].reverse().map(add),
      ...rules.map(add),
    ];
  });
}

/**
 * Takes everything away that is ours; and the chains, unless another engine's rules are in them. What remains is the
 * administrator's chain and the jump to it, as dockerd leaves them. '' when there is nothing.
 */
export function clearScript(
  saved: ReadonlyMap<TableName, SavedTable>,
  { skeleton, wasClosed }: { readonly skeleton: readonly Rule[]; readonly wasClosed: boolean },
  claims: Claims,
): string {
  const foreign = (['filter', 'nat'] as const).some((table) =>
    (saved.get(table)?.rules ?? []).some(
      (rule) =>
        OWN_CHAINS[table].includes(rule.chain) &&
        // Docker 27 and older end some chains with this; without other rules it does nothing.
        rule.text !== '-j RETURN' &&
        !isOurs(table, rule, claims) &&
        !skeleton.some((wish) => isSame(wish, rule)),
    ),
  );
  return document((table) => {
    const is = saved.get(table) ?? { chains: new Map<string, string>(), rules: [] };
    const ours = is.rules.filter((rule) => isOurs(table, rule, claims));
    if (foreign) return ours.map(remove);
    const chains = OWN_CHAINS[table].filter((chain) => is.chains.has(chain));
    const isLeft = ({ text }: SavedRule): boolean => text === `-j ${USER_CHAIN}`;
    const jumps = is.rules.filter(
      (rule) =>
        !chains.includes(rule.chain) &&
        (chains.some((name) => rule.text.endsWith(`-j ${name}`)) ||
          (skeleton.some((wish) => isSame(wish, rule)) && !isLeft(rule))),
    );
    // Nobody else is there whose they could be.
    const anonymous = is.rules.filter((rule) => isAnonymous(table, rule) && !ours.includes(rule));
    const outside = [...anonymous, ...ours].filter((rule) => !chains.includes(rule.chain) && !jumps.includes(rule));
    return [
      ...(table === 'filter' && wasClosed ? policyScript(is, 'ACCEPT') : []),
      ...[...jumps, ...outside].map(remove),
      ...chains.map((chain) => `-F ${chain}`),
      ...chains.map((chain) => `-X ${chain}`),
    ];
  });
}

function policyScript({ chains }: SavedTable, policy: 'ACCEPT' | 'DROP'): readonly string[] {
  const now = chains.get('FORWARD');
  return now === undefined || now === policy ? [] : [`:FORWARD ${policy} [0:0]`];
}

function document(linesOf: (table: TableName) => readonly string[]): string {
  return TABLES.flatMap((table) => {
    const lines = linesOf(table);
    return lines.length === 0 ? [] : [`*${table}`, ...lines, 'COMMIT', ''];
  }).join('\n');
}

function chainsOf(table: TableName): readonly string[] {
  return table === 'filter' ? [...OWN_CHAINS.filter, USER_CHAIN] : OWN_CHAINS[table];
}

function add({ chain, place, text }: Rule): string {
  return `${place === 'first' ? '-I' : '-A'} ${chain} ${text}`;
}

function remove({ chain, text }: SavedRule): string {
  return `-D ${chain} ${text}`;
}

function isSame(a: SavedRule, b: SavedRule): boolean {
  return a.chain === b.chain && a.text === b.text;
}

/** Whether each chain begins with its part of the skeleton, and has none of it a second time. */
function standsFirst(skeleton: readonly Rule[], rules: readonly SavedRule[]): boolean {
  return [...new Set(skeleton.map(({ chain }) => chain))].every((chain) => {
    const wishes = skeleton.filter((rule) => rule.chain === chain);
    const there = rules.filter((rule) => rule.chain === chain);
    return (
      wishes.every((wish, index) => there[index]?.text === wish.text) &&
      there.filter((rule) => wishes.some((wish) => isSame(wish, rule))).length === wishes.length
    );
  });
}

function isSameSet(is: readonly SavedRule[], wanted: readonly Rule[]): boolean {
  const keys = (rules: readonly SavedRule[]): readonly string[] =>
    rules.map(({ chain, text }) => `${chain} ${text}`).sort();
  const [a, b] = [keys(is), keys(wanted)];
  return a.length === b.length && a.every((key, index) => key === b[index]);
}
