import { describe, expect, it } from 'vitest';
import {
  byName,
  membershipsOf,
  withMembership,
  withoutMembership,
} from '../../../../src/engine/containers/membership.ts';
import type { HostOptions } from '../../../../src/engine/containers/spec-types.ts';
import type { EndpointWish, NetworkMode } from '../../../../src/engine/network/types.ts';

const NONE: EndpointWish = { aliases: [], ipv4Address: null, ipv6Address: null, macAddress: null };
const host = (network: NetworkMode, endpoints: HostOptions['endpoints'] = {}): HostOptions =>
  ({ network, endpoints }) as HostOptions;
const named = (name: string): NetworkMode => ({ kind: 'network', name });
const namesOf = (options: HostOptions): readonly string[] => [...membershipsOf(options).keys()];

describe('the networks of a container', () => {
  it('are its mode’s first, then the others', () => {
    expect(namesOf(host(named('bridge')))).toEqual(['bridge']);
    expect(namesOf(host(named('b'), { a: NONE, b: NONE }))).toEqual(['b', 'a']);
    expect(namesOf(host({ kind: 'none' }))).toEqual(['none']);
    expect(namesOf(host({ kind: 'container', ref: 'x' }, { a: NONE }))).toEqual([]);
  });

  it('are left and joined again, also the mode’s', () => {
    const joined = withMembership(host(named('a')), 'b', { ...NONE, aliases: ['x'] });
    expect(membershipsOf(joined).get('b')?.aliases).toEqual(['x']);
    const left = withoutMembership(joined, 'a');
    expect(namesOf(left)).toEqual(['b']);
    expect(namesOf(withoutMembership(left, 'b'))).toEqual([]);
    const other = withMembership(left, 'c', NONE);
    expect([namesOf(other), other.leftOwnNetwork]).toEqual([['b', 'c'], true]);
    const back = withMembership(left, 'a', NONE);
    expect([namesOf(back), back.leftOwnNetwork]).toEqual([['a', 'b'], undefined]);
  });

  it('are known by name, whatever they were called', () => {
    const given = host(named('f00'), { f00: NONE, other: NONE });
    expect(namesOf(byName(given, (ref) => (ref === 'f00' ? 'front' : ref)))).toEqual(['front', 'other']);
  });
});
