import { describe, expect, it } from 'vitest';
import { chooseGateways, withGateways } from '../../../../../src/engine/network/joining/gateway.ts';
import type { EndpointId } from '../../../../../src/base/ids.ts';
import type { EndpointState } from '../../../../../src/engine/network/types.ts';

type Way = 'ipv4' | 'ipv6';

const endpoint = (networkName: string, leadsOut: readonly Way[], gatewayPriority = 0) =>
  ({ endpointId: networkName as EndpointId, networkName, leadsOut, gatewayPriority }) as EndpointState;

function chosen(...endpoints: readonly EndpointState[]): readonly (string | null)[] {
  const { ipv4, ipv6 } = chooseGateways(endpoints);
  return [ipv4?.networkName ?? null, ipv6?.networkName ?? null];
}

const BOTH: readonly Way[] = ['ipv4', 'ipv6'];

describe('the default routes go', () => {
  it('by the network that comes first by name', () => {
    expect(chosen(endpoint('b', ['ipv4']), endpoint('a', ['ipv4']))).toEqual(['a', null]);
  });

  it('by priority before that', () => {
    expect(chosen(endpoint('a', ['ipv4']), endpoint('b', ['ipv4'], 1), endpoint('c', ['ipv4'], -1))).toEqual([
      'b',
      null,
    ]);
  });

  it('by one that leads out in both families, as in dockerd 28 even past higher priorities', () => {
    expect(chosen(endpoint('a', ['ipv4'], 5), endpoint('b', BOTH))).toEqual(['b', 'b']);
    expect(chosen(endpoint('c', BOTH), endpoint('b', BOTH), endpoint('d', BOTH, 1))).toEqual(['d', 'd']);
  });

  it('by one for each family where none leads out in both', () => {
    expect(chosen(endpoint('a', ['ipv6']), endpoint('b', ['ipv4']), endpoint('c', ['ipv4']))).toEqual(['b', 'a']);
  });

  it('nowhere by internal networks', () => {
    expect(chosen(endpoint('a', [], 9), endpoint('b', ['ipv4']))).toEqual(['b', null]);
    expect(chosen(endpoint('a', []))).toEqual([null, null]);
  });

  it('by the gateways of endpoints that an older version wrote down', () => {
    const old = { endpointId: 'x', networkName: 'bridge', ipv4Gateway: '10.0.0.1', ipv6Gateway: null };
    expect(withGateways([old as unknown as EndpointState])).toEqual([{ ...old, gatewayOf: ['ipv4'] }]);
  });
});
