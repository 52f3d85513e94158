import { describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../src/base/clock.ts';
import { ForbiddenError, InternalError, InvalidArgumentError } from '../../../../src/base/errors.ts';
import type { NetworkId } from '../../../../src/base/ids.ts';
import { checkBridge } from '../../../../src/engine/network/bridge/check.ts';
import { BRIDGE_OPTION, bridgeSettings } from '../../../../src/engine/network/bridge/settings.ts';
import { macAddressOf, parseMac, randomMacAddress, randomVethName } from '../../../../src/engine/network/naming.ts';

const id = 'abcdef0123456789'.padEnd(64, '0') as NetworkId;
const read = (options: Record<string, string>) => bridgeSettings({ id, options });

describe("a bridge's options", () => {
  it("have Docker's defaults", () => {
    expect(read({})).toEqual({
      bridgeName: 'br-abcdef012345',
      interContainer: true,
      masquerade: true,
      hostBinding: '0.0.0.0',
      mtu: 1500,
      ipv4Mode: 'nat',
      ipv6Mode: 'nat',
      inhibitIpv4: false,
      trustedInterfaces: [],
      ipv4Source: null,
      ipv6Source: null,
    });
  });

  it('are read', () => {
    const options = {
      [BRIDGE_OPTION.bridgeName]: 'br.7',
      [BRIDGE_OPTION.interContainer]: 'False',
      [BRIDGE_OPTION.masquerade]: '0',
      [BRIDGE_OPTION.mtu]: '9000',
    };
    expect(read(options)).toMatchObject({ bridgeName: 'br.7', interContainer: false, masquerade: false, mtu: 9000 });
    expect(read({ [BRIDGE_OPTION.mtu]: '0' }).mtu).toBe(1500);
  });

  it.each([
    [BRIDGE_OPTION.bridgeName, '', 'invalid bridge name: '],
    [BRIDGE_OPTION.bridgeName, '..', 'invalid bridge name: ..'],
    [BRIDGE_OPTION.bridgeName, 'sixteen-letters-', 'invalid bridge name: sixteen-letters-'],
    [BRIDGE_OPTION.bridgeName, 'a"b', 'invalid bridge name: a"b'],
    [BRIDGE_OPTION.bridgeName, '../x', 'invalid bridge name: ../x'],
    [
      BRIDGE_OPTION.interContainer,
      'maybe',
      `failed to parse ${BRIDGE_OPTION.interContainer} value: maybe (strconv.ParseBool: parsing "maybe": invalid syntax)`,
    ],
    [BRIDGE_OPTION.mtu, '12', 'invalid MTU number: 12'],
    [BRIDGE_OPTION.mtu, '-1', 'invalid MTU number: -1'],
    [
      BRIDGE_OPTION.mtu,
      'x',
      `failed to parse ${BRIDGE_OPTION.mtu} value: x (strconv.Atoi: parsing "x": invalid syntax)`,
    ],
    [
      BRIDGE_OPTION.mtu,
      '99999999999999999999',
      `failed to parse ${BRIDGE_OPTION.mtu} value: 99999999999999999999 (strconv.Atoi: parsing "99999999999999999999": value out of range)`,
    ],
    [
      BRIDGE_OPTION.ipv6Mode,
      'bridged',
      `failed to parse ${BRIDGE_OPTION.ipv6Mode} value: bridged (unknown gateway mode bridged)`,
    ],
    [
      BRIDGE_OPTION.trustedInterfaces,
      'eth1:eth0" } accept',
      `failed to parse ${BRIDGE_OPTION.trustedInterfaces} value: eth1:eth0" } accept (invalid interface name)`,
    ],
    [
      BRIDGE_OPTION.ipv4Source,
      '2001:db8::1',
      `failed to parse ${BRIDGE_OPTION.ipv4Source} value: 2001:db8::1 (no ipv4 address)`,
    ],
    [
      BRIDGE_OPTION.ipv6Source,
      'fe80::1%eth0',
      `failed to parse ${BRIDGE_OPTION.ipv6Source} value: fe80::1%eth0 (no ipv6 address)`,
    ],
    [BRIDGE_OPTION.ipv4Source, 'me', `failed to parse ${BRIDGE_OPTION.ipv4Source} value: me (nil ip)`],
  ])('refuses %s=%j', (key, value, text) => {
    expect(() => read({ [key]: value })).toThrow(new InvalidArgumentError(text));
  });

  it("are Docker's gateway modes, sources and trusted interfaces", () => {
    const options = {
      [BRIDGE_OPTION.ipv4Mode]: 'nat-unprotected',
      [BRIDGE_OPTION.ipv6Mode]: 'routed',
      [BRIDGE_OPTION.inhibitIpv4]: 'T',
      [BRIDGE_OPTION.trustedInterfaces]: 'eth1:wg0',
      [BRIDGE_OPTION.ipv6Source]: '2001:db8::1',
    };
    expect(read(options)).toMatchObject({
      ipv4Mode: 'nat-unprotected',
      ipv6Mode: 'routed',
      inhibitIpv4: true,
      trustedInterfaces: ['eth1', 'wg0'],
      ipv4Source: null,
      ipv6Source: '2001:db8::1',
    });
  });
});

describe('a bridge network', () => {
  const ipv4 = { subnet: '10.9.0.0/24', gateway: '10.9.0.1', ipRange: null, auxAddresses: {} };
  const ipv6 = { ...ipv4, subnet: 'fd00:9::/64', gateway: 'fd00:9::1' };
  const network = {
    id,
    name: 'n',
    driver: 'bridge',
    createdAt: 1n as Timestamp,
    enableIpv6: true,
    internal: false,
    attachable: false,
    options: {} as Record<string, string>,
    labels: {},
    ipamDriver: 'default',
    ipamOptions: null,
    pools: [ipv4, ipv6],
  };
  const isolated = { [BRIDGE_OPTION.ipv6Mode]: 'isolated' };

  it('is taken', () => {
    checkBridge(network, [network]);
    checkBridge({ ...network, internal: true, options: isolated }, []);
    checkBridge({ ...network, enableIpv4: false, pools: [{ ...ipv6, subnet: 'fe80::/64' }] }, []);
  });

  it.each<[string, Partial<typeof network> & { readonly enableIpv4?: boolean }, Error]>([
    ['no family', { enableIpv4: false, enableIpv6: false }, new InvalidArgumentError('IPv4 or IPv6 must be enabled')],
    ['no IPv4 pool', { pools: [ipv6] }, new InvalidArgumentError('ipv4 pool is empty')],
    ['no IPv6 pool', { pools: [ipv4] }, new InvalidArgumentError('ipv6 pool is empty')],
    [
      'everything as its pool',
      { pools: [ipv4, { ...ipv6, subnet: '::/0' }] },
      new InvalidArgumentError('ipv6 pool is empty'),
    ],
    [
      'two pools of a family',
      { pools: [ipv4, { ...ipv4, subnet: '10.8.0.0/24' }, ipv6] },
      new ForbiddenError("bridge driver doesn't support multiple subnets"),
    ],
    [
      'a multicast subnet',
      { pools: [ipv4, { ...ipv6, subnet: 'ff02::/64' }] },
      new InvalidArgumentError("multicast subnet 'ff02::/64' is not allowed"),
    ],
    [
      'half of the link-local prefix',
      { pools: [ipv4, { ...ipv6, subnet: 'fe80::/80' }] },
      new InvalidArgumentError("'fe80::/80' clashes with the Link-Local prefix 'fe80::/64'"),
    ],
    [
      'more than the link-local prefix',
      { pools: [ipv4, { ...ipv6, subnet: 'fe80::/10' }] },
      new InvalidArgumentError("'fe80::/10' clashes with the Link-Local prefix 'fe80::/64'"),
    ],
    [
      'a gateway elsewhere',
      { pools: [ipv4, { ...ipv6, auxAddresses: { DefaultGatewayIPv6: 'fd00:8::1' } }] },
      new InvalidArgumentError('default gateway ip must be part of the network'),
    ],
    [
      'isolated without being internal',
      { options: isolated },
      new InternalError("gateway mode 'isolated' can only be used for an internal network"),
    ],
    [
      'a prefix that no interface could have',
      { options: { 'com.docker.network.container_iface_prefix': 'a/b' } },
      new InvalidArgumentError('invalid interface name: a/b0'),
    ],
  ])('is refused with %s', (_, change, error) => {
    expect(() => checkBridge({ ...network, ...change }, [])).toThrow(error);
  });

  it("is refused with another network's bridge", () => {
    const other = { ...network, id: 'f'.repeat(64) as NetworkId, options: { [BRIDGE_OPTION.bridgeName]: 'br7' } };
    expect(() => checkBridge({ ...network, options: other.options }, [other])).toThrow(
      new ForbiddenError(
        `cannot create network ${id} (br7): conflicts with network ${other.id} (br7): networks have same bridge name`,
      ),
    );
  });
});

describe('names', () => {
  it('make a MAC address from an IPv4 address', () => {
    expect(macAddressOf('172.17.0.2')).toBe('02:42:ac:11:00:02');
    expect(randomMacAddress()).toMatch(/^02:42(:[0-9a-f]{2}){4}$/);
    expect(randomVethName()).toMatch(/^veth[0-9a-f]{7}$/);
  });

  it('read a MAC address', () => {
    expect(parseMac('02-42-AC-11-00-02')).toBe('02:42:ac:11:00:02');
    expect(parseMac('02:42:ac:11:00')).toBeNull();
  });
});
