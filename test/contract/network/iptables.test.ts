import { describe, expect, it } from 'vitest';
import type { FirewallNetwork } from '../../../src/engine/network/driver.ts';
import type { PublishedPort } from '../../../src/engine/network/types.ts';
import { firewallContract } from './firewall-contract.ts';
import { absenceOf, IptablesSubject, type IptablesMake } from './iptables-subject.ts';

const network: FirewallNetwork = {
  bridgeName: 'ic0',
  ipv4Subnet: '10.197.0.0/24',
  ipv6Subnet: 'fd97::/64',
  masquerade: true,
  interContainer: true,
  internal: false,
};

const port = (hostPort: number, containerPort = 80, endpointIpAddress = '10.197.0.2'): PublishedPort => ({
  container: { port: containerPort, protocol: 'tcp' },
  hostIp: endpointIpAddress.includes(':') ? '::' : '0.0.0.0',
  hostPort,
  endpointIpAddress,
});

for (const make of ['nft', 'legacy'] as const satisfies readonly IptablesMake[]) {
  const absence = absenceOf(make);
  describe.skipIf(absence !== null)(`iptables-${make}${absence === null ? '' : ` (skipped: ${absence})`}`, () => {
    firewallContract(`iptables-${make}`, () => new IptablesSubject(make));

    it('is first in FORWARD with a chain of the administrator’s, which it never touches', async () => {
      using subject = new IptablesSubject(make);
      const { firewall } = subject;
      subject.run('iptables', '-N', 'DOCKER-USER');
      subject.run('iptables', '-A', 'DOCKER-USER', '-s', '192.0.2.66/32', '-j', 'DROP');
      subject.run('iptables', '-A', 'FORWARD', '-i', 'eth9', '-j', 'ACCEPT');
      await firewall.initialise({ networks: [network], ports: [port(50001)] });
      const forward = ['-A FORWARD -j DOCKER-USER', '-A FORWARD -j DOCKER-FORWARD', '-A FORWARD -i eth9 -j ACCEPT'];
      const chain = (name: string): readonly string[] =>
        subject.rules('filter').filter((line) => line.startsWith(`-A ${name} `));
      expect(chain('FORWARD')).toEqual(forward);
      subject.run('iptables', '-F', 'FORWARD');
      subject.run('iptables', '-A', 'FORWARD', '-i', 'eth9', '-j', 'ACCEPT');
      await firewall.publish('ic0', [port(50002)]);
      expect(chain('FORWARD')).toEqual(forward);
      await firewall.tearDown();
      expect(chain('FORWARD')).toEqual([forward[0], forward[2]]);
      expect(chain('DOCKER-USER')).toEqual(['-A DOCKER-USER -s 192.0.2.66/32 -j DROP']);
    });

    it('needs one process for a change, and writes nothing where nothing is missing', async () => {
      using subject = new IptablesSubject(make);
      const { firewall } = subject;
      await firewall.initialise({ networks: [{ ...network, ipv6Subnet: null }], ports: [] });
      subject.runs.length = 0;
      await firewall.publish('ic0', [port(50001)]);
      await firewall.unpublish('ic0', [port(50001)]);
      expect(subject.runs.map(([program]) => program)).toEqual(new Array(2).fill(`/usr/sbin/iptables-${make}-restore`));
      await firewall.addNetwork(network);
      await firewall.publish('ic0', [port(50002), port(50002, 80, 'fd97::2')]);
      subject.runs.length = 0;
      await firewall.reassert();
      expect(subject.runs.filter(([program = '']) => program.endsWith('restore'))).toEqual([]);
    });

    it('publishes five thousand ports at once, in a row and scattered', async () => {
      using subject = new IptablesSubject(make);
      const { firewall } = subject;
      await firewall.initialise({ networks: [{ ...network, ipv6Subnet: null }], ports: [] });
      const before = subject.inspect();
      const row = Array.from({ length: 5000 }, (_, index) => port(20_000 + index, 30_000 + index));
      await firewall.publish('ic0', row);
      expect(subject.rules('nat')).toContain(
        '-A DOCKER -p tcp -m tcp --dport 20000:24999 -j DNAT --to-destination 10.197.0.2:30000-34999/20000',
      );
      await firewall.unpublish('ic0', row.slice(100, 101));
      expect(subject.rules('nat').filter((line) => line.includes('DNAT --to'))).toHaveLength(2);
      await firewall.unpublish('ic0', row);
      const scattered = Array.from({ length: 5000 }, (_, index) => port(20_000 + 2 * index, 80));
      await firewall.publish('ic0', scattered);
      expect(subject.rules('nat').filter((line) => line.includes('DNAT --to'))).toHaveLength(5000);
      await firewall.unpublish('ic0', scattered);
      expect(subject.inspect()).toBe(before);
    });

    it('leaves another engine of the same chain names alone', async () => {
      using subject = new IptablesSubject(make);
      const { firewall } = subject;
      subject.run('iptables', '-t', 'nat', '-N', 'DOCKER');
      const foreign = '-A DOCKER ! -i other0 -p tcp -m tcp --dport 70 -j DNAT --to-destination 10.9.9.9:70';
      subject.run('iptables', '-t', 'nat', ...foreign.split(' '));
      await firewall.initialise({ networks: [network], ports: [port(50001)] });
      subject.run('iptables', '-t', 'nat', '-F', 'OUTPUT');
      await firewall.reassert();
      expect(subject.rules('nat')).toContain(foreign);
      await firewall.tearDown();
      expect(subject.rules('nat')).toContain(foreign);
      expect(subject.rules('filter')).toContain('-A FORWARD -j DOCKER-FORWARD');
      expect(subject.inspect()).not.toMatch(/ic0|10\.197\.0/);
    });

    it('takes away what an earlier run left of networks that are no more', async () => {
      using subject = new IptablesSubject(make);
      await subject.firewall.initialise({ networks: [network], ports: [port(50001), port(50001, 80, 'fd97::2')] });
      const next = subject.another();
      await next.removeNetwork('ic0');
      await next.initialise({ networks: [{ ...network, bridgeName: 'ic1', ipv4Subnet: '10.198.0.0/24' }], ports: [] });
      expect(subject.inspect()).not.toMatch(/ic0|50001|10\.197\.0/);
      expect(subject.inspect()).toContain('ic1');
      await subject.another().tearDown();
      expect(subject.inspect()).toBe('');
    });

    it('forwards nothing else where only the engine has made the host a router, until it is torn down', async () => {
      using subject = new IptablesSubject(make);
      const policies = (): readonly string[] => subject.rules('filter').filter((line) => line.startsWith('-P FORWARD'));
      await subject.firewall.initialise({ networks: [network], ports: [], closeForwarding: ['ipv4'] });
      expect(policies()).toEqual(['-P FORWARD DROP']);
      expect(subject.rules('filter', 'ip6tables')).toContain('-P FORWARD ACCEPT');
      subject.run('iptables', '-P', 'FORWARD', 'ACCEPT');
      await subject.firewall.reassert();
      expect(policies()).toEqual(['-P FORWARD DROP']);
      await subject.another().tearDown();
      expect(policies()).toEqual(['-P FORWARD ACCEPT']);
    });

    it('takes over what dockerd 20.10 left of the same bridge', async () => {
      using subject = new IptablesSubject(make);
      const left: readonly (readonly [table: string, rule: string])[] = [
        ['filter', '-N DOCKER'],
        ['filter', '-A FORWARD -o ic0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT'],
        ['filter', '-A FORWARD -o ic0 -j DOCKER'],
        ['filter', '-A FORWARD -i ic0 ! -o ic0 -j ACCEPT'],
        ['filter', '-A DOCKER -d 10.197.0.9/32 ! -i ic0 -o ic0 -p tcp -m tcp --dport 80 -j ACCEPT'],
        ['nat', '-N DOCKER'],
        ['nat', '-A DOCKER -i ic0 -j RETURN'],
        ['nat', '-A DOCKER ! -i ic0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.197.0.9:80'],
        ['nat', '-A POSTROUTING -s 10.197.0.9/32 -d 10.197.0.9/32 -p tcp -m tcp --dport 80 -j MASQUERADE'],
        ['nat', '-A POSTROUTING -s 10.197.0.0/24 ! -o ic0 -j MASQUERADE'],
        ['nat', '-A POSTROUTING -s 10.197.0.0/24 ! -o eth9 -j MASQUERADE'],
      ];
      for (const [table, rule] of left) subject.run('iptables', '-t', table, ...rule.split(' '));
      await subject.firewall.initialise({ networks: [{ ...network, ipv6Subnet: null }], ports: [] });
      const now = [...subject.rules('filter'), ...subject.rules('nat')];
      expect(now.filter((line) => line.includes('10.197.0.9') || line.startsWith('-A FORWARD -'))).toEqual([
        '-A FORWARD -j DOCKER-USER',
        '-A FORWARD -j DOCKER-FORWARD',
      ]);
      expect(now.filter((line) => line.includes('10.197.0.0/24 ! -o'))).toHaveLength(2);
      expect(now).not.toContain('-A DOCKER -i ic0 -j RETURN');
    });
  });
}
