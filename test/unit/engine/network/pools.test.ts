import { describe, expect, it } from 'vitest';
import { formatSubnet, parseCidr } from '../../../../src/engine/network/ipv4.ts';
import {
  bridgeAddressOf,
  choosePool,
  DEFAULT_ADDRESS_POOLS,
  defaultBridgePool,
  defaultGatewayOf,
} from '../../../../src/engine/network/pools.ts';

const blocks = (...cidrs: readonly string[]) => cidrs.map((cidr) => parseCidr(cidr)!.subnet);
const choose = (taken: readonly string[], preferred: string | null = null) =>
  formatSubnet(choosePool(DEFAULT_ADDRESS_POOLS, blocks(...taken), preferred === null ? null : blocks(preferred)[0]!));

describe('the choice of a pool', () => {
  it("follows dockerd's order", () => {
    expect(choose([])).toBe('172.17.0.0/16');
    expect(choose(['172.17.0.0/16'])).toBe('172.18.0.0/16');
    expect(choose(['172.16.0.0/14'])).toBe('172.20.0.0/16');
    expect(choose(['172.16.0.0/12'])).toBe('192.168.0.0/20');
    expect(choose(['172.16.0.0/12', '192.168.3.0/24'])).toBe('192.168.16.0/20');
  });

  it('keeps clear of a single address, such as a name server', () => {
    expect(choose(['172.17.0.53/32'])).toBe('172.18.0.0/16');
  });

  it('stays with the pool of the last run while nobody else has it', () => {
    expect(choose([], '172.25.0.0/16')).toBe('172.25.0.0/16');
    expect(choose(['172.25.4.0/24'], '172.25.0.0/16')).toBe('172.17.0.0/16');
  });

  it("says so in dockerd's words when nothing is left", () => {
    expect(() => choose(['172.16.0.0/12', '192.168.0.0/16'])).toThrow(
      'could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network',
    );
  });

  it('gives the blocks that the administrator named', () => {
    const own = [{ base: '10.10.0.0/22', prefixLength: 24 }];
    expect(formatSubnet(choosePool(own, blocks('10.10.0.0/24'), null))).toBe('10.10.1.0/24');
    expect(() => choosePool([{ base: '10.0.0.0/24', prefixLength: 16 }], [], null)).toThrow(
      'invalid default address pool',
    );
  });
});

describe('the pool of the default bridge', () => {
  const none = { bip: null, fixedCidr: null, defaultGateway: null };
  const chosen = () => blocks('172.17.0.0/16')[0]!;
  const never = () => {
    throw new Error('no pool may be chosen here');
  };

  it('is chosen without flags, its first address being the gateway', () => {
    const pool = defaultBridgePool(none, null, chosen);
    expect(pool).toEqual({ subnet: '172.17.0.0/16', gateway: '172.17.0.1', ipRange: null, auxAddresses: {} });
    expect(bridgeAddressOf(pool)).toBe('172.17.0.1/16');
    expect(defaultGatewayOf(pool)).toBe('172.17.0.1');
  });

  it('follows --bip, --fixed-cidr and --default-gateway', () => {
    const wish = { bip: '10.9.0.5/16', fixedCidr: '10.9.8.0/24', defaultGateway: '10.9.0.254' };
    const pool = defaultBridgePool(wish, null, never);
    expect(pool).toMatchObject({ subnet: '10.9.0.0/16', gateway: '10.9.0.5', ipRange: '10.9.8.0/24' });
    expect(defaultGatewayOf(pool)).toBe('10.9.0.254');
  });

  it('is that of a bridge somebody else made', () => {
    expect(defaultBridgePool(none, '192.168.77.1/24', never)).toMatchObject({
      subnet: '192.168.77.0/24',
      gateway: '192.168.77.1',
    });
  });

  it.each([
    [{ ...none, bip: 'x' }, 'invalid CIDR address: x'],
    [{ ...none, bip: '10.0.0.1/24', fixedCidr: '10.0.1.0/25' }, 'container subnet must be a subset of bridge network'],
    [{ ...none, bip: '10.0.0.1/24', defaultGateway: '10.0.1.1' }, 'default gateway ip must be part of the network'],
  ])('refuses %j', (wish, text) => {
    expect(() => defaultBridgePool(wish, null, never)).toThrow(text);
  });
});
