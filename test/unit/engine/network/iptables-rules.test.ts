import { describe, expect, it } from 'vitest';
import type { FirewallNetwork } from '../../../../src/engine/network/driver.ts';
import { networkRules, portRules, type RuleOptions } from '../../../../src/engine/network/firewall/iptables/rules.ts';
import { isOurs, parseSaved } from '../../../../src/engine/network/firewall/iptables/saved.ts';
import { within } from '../../../../src/engine/network/firewall/subnets.ts';
import type { PublishedPort } from '../../../../src/engine/network/types.ts';

const network: FirewallNetwork = {
  bridgeName: 'b0',
  ipv4Subnet: '10.0.0.0/24',
  ipv6Subnet: 'fd00::/64',
  masquerade: true,
  interContainer: true,
  internal: false,
};
const options: RuleOptions = {
  directRouting: false,
  acceptMark: null,
  publishPolicy: 'open',
  loopback: ['ipv4', 'ipv6'],
};

const port = (hostPort: number, containerPort: number, hostIp = '0.0.0.0'): PublishedPort => ({
  container: { port: containerPort, protocol: 'tcp' },
  hostIp,
  hostPort,
  endpointIpAddress: hostIp.includes(':') ? 'fd00::2' : '10.0.0.2',
});
const row = (length: number, shift: number): readonly PublishedPort[] =>
  Array.from({ length }, (_, index) => port(8000 + index, 8000 + shift + index));

const dnat = (ports: readonly PublishedPort[], family: 'ipv4' | 'ipv6' = 'ipv4', of = network): readonly string[] =>
  portRules(of, family, ports, options).flatMap(({ table, text }) => (table === 'nat' ? [text] : []));

describe('rules of iptables', () => {
  it('write ports one by one, and long rows as one', () => {
    expect(dnat([port(80, 8080), port(81, 8080, '127.0.0.1')])).toEqual([
      '-p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.2:8080',
      '-d 127.0.0.1/32 -p tcp -m tcp --dport 81 -j DNAT --to-destination 10.0.0.2:8080',
    ]);
    expect(dnat(row(31, 0))).toHaveLength(31);
    expect(dnat(row(32, 0))).toEqual(['-p tcp -m tcp --dport 8000:8031 -j DNAT --to-destination 10.0.0.2']);
    expect(dnat(row(32, 5))).toEqual([
      '-p tcp -m tcp --dport 8000:8031 -j DNAT --to-destination 10.0.0.2:8005-8036/8000',
    ]);
    expect(dnat([port(80, 8080, '::')], 'ipv6')).toEqual([
      '-p tcp -m tcp --dport 80 -j DNAT --to-destination [fd00::2]:8080',
    ]);
  });

  it('pass over ports that no filter can lead, and those that the host is to be asked about', () => {
    expect(dnat([{ ...port(80, 80), hostIp: '::' }])).toEqual([]);
    expect(dnat([port(80, 80)], 'ipv6')).toEqual([]);
    expect(dnat([port(80, 80)], 'ipv4', { ...network, internal: true })).toEqual([]);
    expect(dnat([port(80, 80)], 'ipv4', { ...network, publishPolicy: 'respect' })).toEqual([]);
  });

  it('keep routed networks free of translation', () => {
    const routed: FirewallNetwork = { ...network, ipv4Mode: 'routed' };
    const all = [...networkRules(routed, 'ipv4', options), ...portRules(routed, 'ipv4', [port(80, 80)], options)];
    expect(all.filter(({ table }) => table === 'nat')).toEqual([]);
    expect(all.map(({ text }) => text)).toContain('-d 10.0.0.2/32 ! -i b0 -o b0 -p tcp -m tcp --dport 80 -j ACCEPT');
  });

  it('let nothing of 127.0.0.0/8 out of a bridge, and nothing out of an internal one', () => {
    const texts = (of: FirewallNetwork, family: 'ipv4' | 'ipv6' = 'ipv4'): readonly string[] =>
      networkRules(of, family, options).map(({ text }) => text);
    for (const way of ['-d', '-s']) expect(texts(network)).toContain(`${way} 127.0.0.0/8 -i b0 -j DROP`);
    expect(texts({ ...network, ipv6Subnet: null, internal: true }, 'ipv6')).toContain('-i b0 ! -o b0 -j DROP');
    expect(texts({ ...network, ipv6Subnet: null }, 'ipv6')).toEqual([]);
  });

  it('leave the host by a given address', () => {
    const texts = networkRules({ ...network, ipv4Source: '192.0.2.9' }, 'ipv4', options).map(({ text }) => text);
    expect(texts).toContain('-s 10.0.0.0/24 ! -o b0 -j SNAT --to-source 192.0.2.9');
  });

  it('let links through where containers are kept apart, in their own family', () => {
    const linked = { ...network, links: [{ from: '10.0.0.3', to: '10.0.0.2', port: 80, protocol: 'tcp' }] } as const;
    const rule = '-s 10.0.0.3/32 -d 10.0.0.2/32 -i b0 -o b0 -p tcp -m tcp --dport 80 -j ACCEPT';
    const textsOf = (of: FirewallNetwork, family: 'ipv4' | 'ipv6'): readonly string[] =>
      networkRules(of, family, options).map(({ text }) => text);
    expect(textsOf({ ...linked, interContainer: false }, 'ipv4')).toContain(rule);
    expect(textsOf({ ...linked, interContainer: false }, 'ipv6').join()).not.toContain('10.0.0.3');
    expect(textsOf(linked, 'ipv4')).not.toContain(rule);
  });

  it('are all known as ours when they are read back', () => {
    const claims = { bridges: new Set(['b0']), holds: within(['10.0.0.0/24', 'fd00::/64']), hasMade: () => true };
    const trusting: FirewallNetwork = { ...network, trustedInterfaces: ['eth7'], interContainer: false };
    const marked: RuleOptions = { ...options, acceptMark: '0x1/0x3' };
    for (const family of ['ipv4', 'ipv6'] as const) {
      const ports = [port(80, 80), port(81, 80, '127.0.0.1'), port(82, 80, '::'), ...row(40, 1)];
      const rules = [...networkRules(trusting, family, marked), ...portRules(trusting, family, ports, marked)];
      expect(rules.filter((rule) => !isOurs(rule.table, rule, claims))).toEqual([]);
    }
  });

  it('are none of an administrator’s', () => {
    const claims = { bridges: new Set(['b0']), holds: within(['10.0.0.0/24']), hasMade: () => false };
    const saved = parseSaved(
      ':FORWARD ACCEPT [0:0]\n-A FORWARD -i eth1 -o b0 -j ACCEPT\n-A DOCKER-USER -i b0 -j DROP\n-A DOCKER -i b1 -j DROP\nCOMMIT\n',
    );
    expect(saved?.rules.filter((rule) => isOurs('filter', rule, claims))).toEqual([]);
    expect(parseSaved(':FORWARD ACCEPT [0:0]\n-A FORWARD')).toBeNull();
  });
});
