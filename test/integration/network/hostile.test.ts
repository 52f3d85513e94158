import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LAB_ADDRESS } from '../../support/network-lab.ts';
import type { LabHost, NetnsPath } from '../../support/network-lab.ts';
import { FirewallLab, SILENT, UDP, type Container } from './firewall-packets.ts';

const { host, neighbour } = LAB_ADDRESS;

/** Containers whose root may do to their own links, addresses and routes what he likes. */
describe('a hostile container', () => {
  let room: FirewallLab;
  let beside: Container;

  beforeAll(async () => {
    room = await FirewallLab.open();
    beside = await room.container('beside', await room.network(1));
  });

  afterAll(async () => room[Symbol.asyncDispose]());

  /** How many datagrams somebody has received. */
  async function received(by: LabHost | NetnsPath): Promise<number> {
    const [ipv4, ipv6] = await Promise.all(
      ['snmp', 'snmp6'].map((file) => room.lab.ok(by, 'cat', `/proc/self/net/${file}`)),
    );
    const counts = [/^Udp: (\d+)/m.exec(ipv4 ?? ''), /^Udp6InDatagrams\s+(\d+)/m.exec(ipv6 ?? '')];
    return counts.reduce((sum, match) => sum + Number(match?.[1] ?? NaN), 0);
  }

  /** What of these datagrams arrives; nobody can answer most of them. */
  async function arriving(by: LabHost | NetnsPath, ...questions: readonly Parameters<FirewallLab['ask']>[]) {
    const before = await received(by);
    for (const [from, address, port] of questions) await room.ask(from, address, port, { ...UDP, ...SILENT });
    return (await received(by)) - before;
  }

  /** The bridge's hardware address: where forged packets are sent. */
  async function bridgeOf(network: string): Promise<string> {
    const id = await room.engine.dockerOk('network', 'inspect', '-f', '{{slice .Id 0 12}}', network);
    const shown = await room.lab.ok('host', 'ip', '-o', 'link', 'show', `br-${id}`);
    return /link\/ether (\S+)/.exec(shown)?.[1] ?? '';
  }

  it('does not stay on a network by another name of its interface', async () => {
    const guest = await room.container('guest', await room.network(2), '--cap-add', 'NET_ADMIN');
    await room.engine.dockerOk('network', 'connect', 'net1', 'guest');
    expect(await room.ask(guest.netns, beside.ipv4, 80)).toMatch(/^10\.199\.1\./);
    const ip = (...words: readonly string[]) => room.lab.ok(guest.netns, 'ip', 'link', ...words);
    await ip('set', 'eth1', 'down');
    await ip('set', 'eth1', 'name', 'hidden');
    await ip('set', 'hidden', 'up');
    await ip('add', 'eth1', 'type', 'veth', 'peer', 'name', 'decoy');
    await room.engine.dockerOk('network', 'disconnect', 'net1', 'guest');
    expect(await ip('show')).not.toContain('hidden');
    expect(await room.ask(guest.netns, beside.ipv4, 80, SILENT)).toBe('timeout');
  });

  it('on a network without IPv4 does not reach 127.0.0.1 of the host', async () => {
    await room.engine.dockerOk('network', 'create', '--ipv4=false', '--ipv6', '--subnet', 'fd00:6::/64', 'six');
    const six = await room.container('six', 'six');
    await room.lab.serve('host', 5555, '127.0.0.1');
    const ip = (...words: readonly string[]) => room.lab.ok(six.netns, 'ip', ...words);
    await ip('address', 'add', '10.77.0.2/24', 'dev', 'eth0');
    await ip('neighbour', 'add', '10.77.0.1', 'lladdr', await bridgeOf('six'), 'dev', 'eth0');
    await ip('route', 'add', '127.0.0.1/32', 'via', '10.77.0.1', 'table', '7');
    await room.lab.ok(six.netns, 'sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1');
    await ip('rule', 'add', 'pref', '1', 'to', '127.0.0.1', 'lookup', '7');
    await ip('rule', 'add', 'pref', '2', 'lookup', 'local');
    await ip('rule', 'del', 'pref', '0');
    expect(await arriving('host', [six.netns, '127.0.0.1', 5555])).toBe(0);
    expect(await arriving('host', ['host', '127.0.0.1', 5555])).toBeGreaterThan(0);
  });

  it('does not leave an internal network: by the turnstile, or by a family that it does not have', async () => {
    const policy = ['-o', 'org.moored.network.publish-policy=respect'];
    const asked = await room.container('asked', await room.network(3, ...policy), '-p', '8085:80/udp');
    await room.engine.dockerOk('network', 'create', '--internal', '--subnet', '10.199.4.0/24', 'inner');
    const inner = await room.container('inner', 'inner');
    const ip = (...words: readonly string[]) => room.lab.ok(inner.netns, 'ip', ...words);
    await ip('route', 'replace', 'default', 'via', '10.199.4.1');
    expect(await arriving(asked.netns, [inner.netns, host.ipv4, 8085])).toBe(0);
    expect(await arriving(asked.netns, ['neighbour', host.ipv4, 8085])).toBeGreaterThan(0);

    await room.lab.serve('neighbour', 5556);
    await room.lab.ok(inner.netns, 'sysctl', '-qw', 'net.ipv6.conf.eth0.disable_ipv6=0');
    await ip('address', 'add', 'fd00:4::2/64', 'dev', 'eth0', 'nodad');
    await ip('neighbour', 'add', 'fd00:4::1', 'lladdr', await bridgeOf('inner'), 'dev', 'eth0');
    await ip('route', 'add', 'default', 'via', 'fd00:4::1');
    expect(await arriving('neighbour', [inner.netns, neighbour.ipv6, 5556])).toBe(0);
    expect(await arriving('neighbour', ['host', neighbour.ipv6, 5556])).toBeGreaterThan(0);
  });

  it('does not reach containers of an unprotected network that is not its own', async () => {
    const mode = ['-o', 'com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected'];
    const open = await room.container('open', await room.network(5, ...mode));
    expect(await room.ask('router', open.ipv4, 80)).toBe('198.51.100.1');
    expect(await room.ask(beside.netns, open.ipv4, 80, SILENT)).toBe('timeout');
  });
});
