import { describe, expect, it } from 'vitest';
import type { NetworkId } from '../../../../src/base/ids.ts';
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
    [BRIDGE_OPTION.bridgeName, ''],
    [BRIDGE_OPTION.bridgeName, '..'],
    [BRIDGE_OPTION.bridgeName, 'sixteen-letters-'],
    [BRIDGE_OPTION.bridgeName, 'a"b'],
    [BRIDGE_OPTION.bridgeName, '../x'],
    [BRIDGE_OPTION.interContainer, 'maybe'],
    [BRIDGE_OPTION.mtu, '12'],
    [BRIDGE_OPTION.mtu, 'x'],
  ])('refuses %s=%j', (key, value) => {
    expect(() => read({ [key]: value })).toThrow(/^invalid /);
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
