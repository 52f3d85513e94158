import { describe, expect, it } from 'vitest';
import { ApiVersion } from '../../../../src/api/compat/version.ts';
import { withMacAddress, withSysctls, type Networking } from '../../../../src/api/wire/main-endpoint.ts';
import type { EndpointWish, NetworkMode } from '../../../../src/engine/index.ts';

const MAC = '02:42:ac:11:00:09';
const BRIDGE: NetworkMode = { kind: 'network', name: 'bridge' };

function wish(more: Partial<EndpointWish> = {}): EndpointWish {
  return { aliases: [], ipv4Address: null, ipv6Address: null, macAddress: null, ...more };
}

function networking(version: string, endpoints: Networking['endpoints'] = {}, mode = BRIDGE): Networking {
  return { mode, version: new ApiVersion(version), endpoints, warnings: [] };
}

describe('a container-wide MAC address', () => {
  it('is the main endpoint’s', () => {
    expect(withMacAddress(networking('1.43'), MAC)).toMatchObject({
      endpoints: { bridge: { macAddress: MAC } },
      warnings: [],
    });
    const both = withMacAddress(networking('1.51', { bridge: wish({ aliases: ['a'] }), other: wish() }), MAC);
    expect(both.endpoints).toMatchObject({ bridge: { aliases: ['a'], macAddress: MAC }, other: { macAddress: null } });
    expect(both.warnings).toEqual([expect.stringContaining('is now deprecated')]);
  });

  it('is the only endpoint’s for older clients, by whatever name', () => {
    expect(withMacAddress(networking('1.41', { 'by-id': wish() }), MAC).endpoints).toMatchObject({
      'by-id': { macAddress: MAC },
    });
  });

  it.each([
    [networking('1.43', {}, { kind: 'host' }), 'conflicting options: mac-address and the network mode'],
    [networking('1.51', { other: wish() }), /^unable to migrate .* must match the identity of a network/],
    [networking('1.51', { bridge: wish({ macAddress: '02:42:ac:11:00:08' }) }), 'or be left empty'],
  ])('is refused', (given, message) => {
    expect(() => withMacAddress(given, MAC)).toThrow(message);
  });
});

describe('sysctls of eth0', () => {
  const sysctls = { 'net.ipv4.conf.eth0.log_martians': '1', 'net.ipv4.ip_forward': '1' };

  it('are the main endpoint’s for clients that know no better', () => {
    const option = 'com.docker.network.endpoint.sysctls';
    const had = { bridge: wish({ driverOptions: { [option]: 'net.ipv4.conf.IFNAME.x=2' } }) };
    const { networking: joined, sysctls: left } = withSysctls(networking('1.47', had), sysctls);
    expect(left).toEqual({ 'net.ipv4.ip_forward': '1' });
    expect(joined.endpoints['bridge']?.driverOptions).toEqual({
      [option]: 'net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.conf.IFNAME.x=2',
    });
    expect(joined.warnings).toEqual([
      `Migrated sysctl "net.ipv4.conf.eth0.log_martians" to DriverOpts{"${option}":"net.ipv4.conf.IFNAME.log_martians=1"}.`,
    ]);
  });

  it('are left alone where the namespace is not its own', () => {
    expect(withSysctls(networking('1.51', {}, { kind: 'host' }), sysctls).sysctls).toBe(sysctls);
  });

  it.each([
    ['1.48', sysctls, 'must be supplied using driver option'],
    ['1.41', { 'net.ipv4.conf.eth1.x': '1' }, 'unable to determine network endpoint for sysctl net.ipv4.conf.eth1.x'],
  ])('are refused for %s', (version, given, message) => {
    expect(() => withSysctls(networking(version), given)).toThrow(message);
  });
});
