import { describe, expect, it } from 'vitest';
import type { Fd, LinkOptions } from '../../../../src/engine/kernel/kernel.ts';
import { decodeLink, hairpinBody, linkBody, vethBody } from '../../../../src/engine/kernel/linux/links.ts';
import { addressBody, routeBody } from '../../../../src/engine/kernel/linux/route-messages.ts';

const hex = (parts: readonly Buffer[]) => Buffer.concat(parts).toString('hex');
const HEADER = '00'.repeat(16);
/** IFLA_IFNAME `eth1` with its NUL and padding. */
const NAME = '09000300' + '6574683100' + '000000';

describe('links, as the kernel is asked for them', () => {
  it.each<[string, LinkOptions, string]>([
    [
      'a macvlan in another namespace, with MTU and MAC address',
      {
        kind: 'macvlan',
        name: 'eth1',
        parentIndex: 5,
        mode: 'passthru',
        netns: 9 as Fd,
        mtu: 1400,
        macAddress: '02:42:0a:01:00:02',
      },
      '08000400' +
        '78050000' +
        '0a000100' +
        '02420a010002' +
        '0000' +
        '08001c00' +
        '09000000' +
        '08000500' +
        '05000000' +
        '1c001280' +
        '0c000100' +
        '6d6163766c616e00' +
        '0c000280' +
        '08000100' +
        '08000000',
    ],
    [
      'a private macvlan',
      { kind: 'macvlan', name: 'eth1', parentIndex: 5, mode: 'private' },
      '08000500' + '05000000' + '1c001280' + '0c000100' + '6d6163766c616e00' + '0c000280' + '08000100' + '01000000',
    ],
    [
      'an ipvlan of layer 3',
      { kind: 'ipvlan', name: 'eth1', parentIndex: 5, mode: 'l3', flag: 'bridge' },
      '08000500' +
        '05000000' +
        '1c001280' +
        '0b000100' +
        '6970766c616e00' +
        '00' +
        '0c000280' +
        '06000100' +
        '01000000',
    ],
    [
      'an ipvlan of layer 3 with netfilter, private',
      { kind: 'ipvlan', name: 'eth1', parentIndex: 5, mode: 'l3s', flag: 'private' },
      '08000500' +
        '05000000' +
        '24001280' +
        '0b000100' +
        '6970766c616e00' +
        '00' +
        '14000280' +
        '06000100' +
        '02000000' +
        '06000200' +
        '01000000',
    ],
    [
      'a VLAN',
      { kind: 'vlan', name: 'eth1', parentIndex: 5, vlanId: 300 },
      '08000500' +
        '05000000' +
        '1c001280' +
        '09000100' +
        '766c616e00' +
        '000000' +
        '0c000280' +
        '06000100' +
        '2c010000',
    ],
    ['a dummy', { kind: 'dummy', name: 'eth1' }, '10001280' + '0a000100' + '64756d6d7900' + '0000'],
  ])('%s', (_, options, rest) => {
    const body = hex(linkBody(options));
    expect(body.slice(0, HEADER.length + NAME.length)).toBe(HEADER + NAME);
    expect(body.slice(HEADER.length + NAME.length)).toBe(rest);
  });

  it('set hairpin mode by index or by name', () => {
    const slave = '1c001280' + '0b000400' + '62726964676500' + '00' + '0c000580' + '05000400' + '01000000';
    expect(hex(hairpinBody(7, true))).toBe('00000000' + '07000000' + '00'.repeat(8) + slave);
    expect(hex(hairpinBody('eth1', true))).toBe(HEADER + NAME + slave);
  });

  it('know their parent', () => {
    const body = Buffer.concat(linkBody({ kind: 'vlan', name: 'eth1', parentIndex: 5, vlanId: 3 }));
    const link = decodeLink({ type: 16, flags: 0, sequence: 1, port: 0, body });
    expect(link).toMatchObject({ name: 'eth1', parentIndex: 5, type: 'vlan' });
  });

  it('queues nothing at either end of a veth pair, as with Docker', () => {
    const pair = { name: 'veth1', masterIndex: null, mtu: 1500, peerName: 'eth0', peerMacAddress: null };
    const [body = '', peer = ''] = hex(vethBody({ ...pair, peerNetns: 9 as Fd })).split('76657468000000');
    expect([body, peer].map((end) => end.includes('08000d00' + '00000000'))).toEqual([true, true]);
  });
});

describe('addresses and routes, as the kernel is asked for them', () => {
  it('an IPv6 address is used at once, without asking the neighbours', () => {
    const address = 'fd000000000000000000000000000002';
    expect(hex(addressBody(3, 'fd00::2/64'))).toBe(
      '0a400200' + '03000000' + '14000200' + address + '14000100' + address,
    );
  });

  it('an IPv6 default route', () => {
    const gateway = 'fd000000000000000000000000000001';
    expect(hex(routeBody({ destination: '::/0', gateway: 'fd00::1', linkIndex: 3 }))).toBe(
      '0a000000' + 'fe030001' + '00000000' + '14000500' + gateway + '08000400' + '03000000',
    );
  });
});
