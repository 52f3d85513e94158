import { describe, expect, it } from 'vitest';
import { defaultBridgePool } from '../../../../../src/engine/network/ipam/default-bridge.ts';
import { blockOf } from '../../../../../src/engine/network/ipam/pool.ts';

describe('the pool of the default bridge', () => {
  const none = { bip: null, fixedCidr: null, defaultGateway: null };
  const chosen = () => blockOf('172.17.0.0/16');
  const never = () => {
    throw new Error('no pool may be chosen here');
  };

  it('is chosen without flags, its first address being the gateway', () => {
    expect(defaultBridgePool('ipv4', none, null, chosen)).toEqual({
      subnet: '172.17.0.0/16',
      gateway: '172.17.0.1',
      ipRange: null,
      auxAddresses: {},
    });
  });

  it('follows --bip, --fixed-cidr and --default-gateway', () => {
    const wish = { bip: '10.9.0.5/16', fixedCidr: '10.9.8.0/24', defaultGateway: '10.9.0.254' };
    expect(defaultBridgePool('ipv4', wish, null, never)).toEqual({
      subnet: '10.9.0.0/16',
      gateway: '10.9.0.5',
      ipRange: '10.9.8.0/24',
      auxAddresses: { DefaultGatewayIPv4: '10.9.0.254' },
    });
  });

  it('follows --bip6, --fixed-cidr-v6 and --default-gateway-v6', () => {
    const wish = { bip: null, fixedCidr: 'fd00:1::/64', defaultGateway: 'fd00:1::9' };
    expect(defaultBridgePool('ipv6', wish, null, never)).toEqual({
      subnet: 'fd00:1::/64',
      gateway: 'fd00:1::1',
      ipRange: 'fd00:1::/64',
      auxAddresses: { DefaultGatewayIPv6: 'fd00:1::9' },
    });
  });

  it('is that of a bridge somebody else made', () => {
    expect(defaultBridgePool('ipv4', none, '192.168.77.1/24', never)).toMatchObject({
      subnet: '192.168.77.0/24',
      gateway: '192.168.77.1',
    });
  });

  it.each([
    [{ ...none, bip: 'x' }, 'invalid CIDR address: x'],
    [{ ...none, bip: 'fd00::1/64' }, 'invalid CIDR address: fd00::1/64'],
    [{ ...none, bip: '10.0.0.1/24', fixedCidr: '10.0.1.0/25' }, 'container subnet must be a subset of bridge network'],
    [{ ...none, bip: '10.0.0.1/24', defaultGateway: '10.0.1.1' }, 'default gateway ip must be part of the network'],
  ])('refuses %j', (wish, text) => {
    expect(() => defaultBridgePool('ipv4', wish, null, never)).toThrow(text);
  });
});
