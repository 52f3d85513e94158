/** Options that let in more than a host does without them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LAB_ADDRESS } from '../../support/network-lab.ts';
import { FirewallLab, SILENT } from './firewall-packets.ts';
import type { Container } from './firewall-packets.ts';

const { client, host, neighbour, router } = LAB_ADDRESS;

describe.each(['nftables', 'iptables'])('options of %s', (backend) => {
  let room: FirewallLab;
  let web: Container;

  beforeAll(async () => {
    room = await FirewallLab.open(
      ...['--firewall-backend', backend],
      ...['--bridge-accept-fwmark', '0x1/0x3', '--allow-direct-routing', '--ip-forward-no-drop'],
    );
    web = await room.container('web', await room.network(1), '-p', '8080:80');
    await room.lab.serve(web.netns, 81);
    await room.lab.serve('client', 9000);
  });

  afterAll(async () => {
    await (room as FirewallLab | undefined)?.[Symbol.asyncDispose]();
  });

  it('--allow-direct-routing opens published ports at the container address, and no others', async () => {
    expect(
      await room.askAll({
        'published, IPv4': ['router', web.ipv4, 80],
        'published, IPv6': ['router', web.ipv6, 80],
        'not published, IPv4': ['router', web.ipv4, 81, SILENT],
        'not published, IPv6': ['router', web.ipv6, 81, SILENT],
      }),
    ).toEqual({
      'published, IPv4': router.ipv4,
      'published, IPv6': router.ipv6,
      'not published, IPv4': 'timeout',
      'not published, IPv6': 'timeout',
    });
  });

  it('--bridge-accept-fwmark lets in what bears the mark, under its mask', async () => {
    const marks = (mark: string): string => `table inet marks {
      chain early { type filter hook prerouting priority -150; iifname "eth0" tcp dport 81 meta mark set ${mark}; }
    }`;
    const ask = (): Promise<Record<string, string>> =>
      room.askAll({ IPv4: ['router', web.ipv4, 81, SILENT], IPv6: ['router', web.ipv6, 81, SILENT] });
    await room.lab.ok('host', 'nft', marks('0x2'));
    expect(await ask()).toEqual({ IPv4: 'timeout', IPv6: 'timeout' });
    // Bits outside the mask are somebody else's.
    await room.lab.ok('host', 'nft', `flush table inet marks; ${marks('0x11')}`);
    expect(await ask()).toEqual({ IPv4: router.ipv4, IPv6: router.ipv6 });
    await room.lab.ok('host', 'nft', 'delete table inet marks');
  });

  it('--ip-forward-no-drop leaves alone what others forward through the host', async () => {
    await room.lab.ok('neighbour', 'ip', 'route', 'replace', `${client.ipv4}/32`, 'via', host.ipv4);
    await room.lab.ok(
      'host',
      ...['sysctl', '-qw', 'net.ipv4.conf.all.send_redirects=0', 'net.ipv4.conf.eth0.send_redirects=0'],
    );
    const before = await forwarded();
    expect(await room.ask('neighbour', client.ipv4, 9000)).toBe(neighbour.ipv4);
    expect(await forwarded()).toBeGreaterThan(before);
  });

  /** Datagrams that the host has passed on. */
  async function forwarded(): Promise<number> {
    const [names = '', values = ''] = (await room.lab.ok('host', 'grep', '^Ip:', '/proc/net/snmp')).split('\n');
    return Number(values.split(' ')[names.split(' ').indexOf('ForwDatagrams')]);
  }
});
