import { describe, expect, it } from 'vitest';
import { SharedLists, withLists, withoutLists } from '../../../../../src/engine/network/dns/shared-lists.ts';
import type { NamedEndpoint, NameView } from '../../../../../src/engine/network/name-service.ts';

const endpoint = (name: string, ipv4Address = '10.0.0.2'): NamedEndpoint => ({
  names: [name],
  ipv4Address,
  ipv6Address: null,
});
const view = (networks: Readonly<Record<string, readonly NamedEndpoint[]>>): NameView => ({
  networks: Object.entries(networks).map(([networkName, endpoints]) => ({
    networkName,
    internal: false,
    ipv4: true,
    ipv6: false,
    endpoints,
    links: {},
  })),
  servers: [],
});

describe('lists of endpoints', () => {
  it('are told once for all views, and again when they are others', () => {
    const lists = new SharedLists();
    const [one, two] = [view({ x: [endpoint('a')] }), view({ x: [endpoint('a')] })];
    expect(lists.change(null, one)).toEqual([['x', [endpoint('a')]]]);
    expect(lists.change(null, two)).toEqual([]);
    const changed = view({ x: [endpoint('a', '10.0.0.3')], y: [] });
    expect(lists.change(one, changed)).toEqual([
      ['x', [endpoint('a', '10.0.0.3')]],
      ['y', []],
    ]);
    expect(lists.change(changed, view({ x: [endpoint('b', '10.0.0.3')], y: [] }))).toEqual([
      ['x', [endpoint('b', '10.0.0.3')]],
    ]);
  });

  it('are let go of with the last view they are in', () => {
    const lists = new SharedLists();
    const [one, two] = [view({ x: [], y: [] }), view({ x: [] })];
    lists.change(null, one);
    lists.change(null, two);
    expect(lists.change(one, two)).toEqual([['y', null]]);
    expect(lists.change(two, null)).toEqual([]);
    expect(lists.change(two, null)).toEqual([['x', null]]);
    expect(lists.change(null, two)).toEqual([['x', []]]);
  });

  it('make views whole again', () => {
    const whole = view({ x: [endpoint('a')], y: [] });
    const told = withoutLists(whole);
    expect(told.networks[0]).not.toHaveProperty('endpoints');
    expect(withLists(told, new Map([['x', [endpoint('a')]]]))).toEqual(whole);
  });
});
