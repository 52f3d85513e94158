import { describe, expect, it } from 'vitest';
import { closedForwards } from '../../../../../src/engine/network/firewall/closed-forward.ts';

const chain = (table: string, name: string, policy: string | null, family = 'ip') => ({
  chain: { family, table, name, ...(policy === null ? {} : { hook: 'forward', policy }) },
});
const rule = (...expr: readonly object[]) => ({ rule: { expr } });
const link = (name: unknown) => ({ match: { op: '==', left: { meta: { key: 'oifname' } }, right: name } });
const ACCEPT = { accept: null };
const COUNTER = { counter: { packets: 0, bytes: 0 } };

/** A host with these chains, and these rules in them. */
const hostOf = (chains: readonly object[], rules: Readonly<Record<string, readonly object[]>> = {}) => ({
  list: (command: string): unknown => ({
    nftables: command === 'list chains' ? chains : (rules[command.replace('list chain ', '')] ?? []),
  }),
});

describe('chains that drop what is forwarded', () => {
  it('are named with the bridges they do not know', () => {
    const host = hostOf([chain('filter', 'FORWARD', 'drop'), chain('own', 'fwd', 'drop', 'inet')], {
      'ip filter FORWARD': [rule(link('br-1'), COUNTER, ACCEPT)],
    });
    expect(closedForwards(host, ['docker0', 'br-1'])).toEqual([
      { chain: 'ip filter FORWARD', bridges: ['docker0'] },
      { chain: 'inet own fwd', bridges: ['docker0', 'br-1'] },
    ]);
  });

  it.each([
    ['accept by policy', [chain('filter', 'FORWARD', 'accept')], {}],
    ['are no base chains', [chain('filter', 'XX', null)], {}],
    ['are of another family', [chain('filter', 'FORWARD', 'drop', 'bridge')], {}],
    ['are firewalld’s', [chain('firewalld', 'filter_FORWARD', 'drop', 'inet')], {}],
    ['accept everything', [chain('f', 'F', 'drop')], { 'ip f F': [rule(COUNTER, ACCEPT)] }],
    [
      'know the bridge in a set',
      [chain('f', 'F', 'drop')],
      { 'ip f F': [rule(link({ set: ['a', 'docker0'] }), ACCEPT)] },
    ],
    ['know it by a pattern', [chain('f', 'F', 'drop')], { 'ip f F': [rule(link('docker*'), ACCEPT)] }],
    [
      'know it two jumps away',
      [chain('f', 'F', 'drop')],
      {
        'ip f F': [rule({ jump: { target: 'a' } })],
        'ip f a': [rule({ goto: { target: 'b' } }), rule({ jump: { target: 'F' } })],
        'ip f b': [rule(link('docker0'), ACCEPT)],
      },
    ],
  ])('are none that %s', (_what, chains, rules) => {
    expect(closedForwards(hostOf(chains, rules), ['docker0'])).toEqual([]);
  });

  it('are found behind one that cannot be read', () => {
    const { list } = hostOf([chain('f', 'fwd', 'drop'), chain('f', 'F', 'drop')]);
    const nft = {
      list: (command: string): unknown => {
        if (command.endsWith(' fwd')) throw new Error('syntax error, unexpected fwd');
        return list(command);
      },
    };
    expect(closedForwards(nft, ['docker0'])).toEqual([{ chain: 'ip f F', bridges: ['docker0'] }]);
  });

  it('are none on a host without nftables, or without bridges', () => {
    const without = {
      list: (): never => {
        throw new Error('libnftables is not installed');
      },
    };
    expect(closedForwards(without, ['docker0'])).toEqual([]);
    expect(closedForwards(hostOf([chain('filter', 'FORWARD', 'drop')]), [])).toEqual([]);
  });
});
