import { describe, expect, it } from 'vitest';
import type { FirewallDriver, FirewallNetwork } from '../../../src/engine/network/driver.ts';
import type { PublishedPort } from '../../../src/engine/network/types.ts';

/** A firewall driver to be tried. */
export interface FirewallSubject extends Disposable {
  readonly firewall: FirewallDriver;
  /** Takes the driver's rules away behind its back. */
  flush(): void;
  /** All that the driver has in the kernel now, as text; '' for nothing at all. */
  inspect(): string;
}

const network = (bridgeName: string): FirewallNetwork => ({
  bridgeName,
  ipv4Subnet: bridgeName === 'fc0' ? '10.197.0.0/24' : '10.197.1.0/24',
  ipv6Subnet: null,
  masquerade: true,
  interContainer: true,
  internal: false,
});

const port = (hostPort: number, hostIp = '0.0.0.0'): PublishedPort => ({
  container: { port: 80, protocol: 'tcp' },
  hostIp,
  hostPort,
  endpointIpAddress: '10.197.0.2',
});

/** What every FirewallDriver does: each call atomic, each call idempotent, in any order. */
export function firewallContract(name: string, make: () => FirewallSubject): void {
  describe(`firewall driver ${name}`, () => {
    it('holds what it was given, and nothing when torn down', async () => {
      using subject = make();
      const { firewall } = subject;
      await firewall.initialise({ networks: [network('fc0')], ports: [port(50001)] });
      await firewall.addNetwork(network('fc1'));
      await firewall.publish('fc0', [port(50002), port(50003, '127.0.0.1')]);
      if (firewall.active) {
        for (const word of ['fc0', 'fc1', '50001', '50002', '50003']) expect(subject.inspect()).toContain(word);
      }
      await firewall.unpublish('fc0', [port(50002)]);
      await firewall.removeNetwork('fc1');
      for (const word of ['fc1', '50002']) expect(subject.inspect()).not.toContain(word);
      if (firewall.active) for (const word of ['fc0', '50001', '50003']) expect(subject.inspect()).toContain(word);
      await firewall.tearDown();
      expect(subject.inspect()).toBe('');
    });

    it('does everything twice as once', async () => {
      using subject = make();
      const { firewall } = subject;
      const state = { networks: [network('fc0')], ports: [port(50001)] };
      await firewall.initialise(state);
      await firewall.addNetwork(network('fc1'));
      await firewall.publish('fc1', [port(50002)]);
      const once = subject.inspect();
      await firewall.addNetwork(network('fc1'));
      await firewall.publish('fc1', [port(50002)]);
      expect(subject.inspect()).toBe(once);
      for (const _ of [1, 2]) {
        await firewall.unpublish('fc1', [port(50002)]);
        await firewall.removeNetwork('fc1');
        await firewall.initialise(state);
      }
      expect(subject.inspect()).not.toContain('50002');
      for (const _ of [1, 2]) await firewall.tearDown();
      expect(subject.inspect()).toBe('');
    });

    it('puts everything back that another program took away', async () => {
      using subject = make();
      const { firewall } = subject;
      await firewall.initialise({ networks: [network('fc0')], ports: [port(50001)] });
      await firewall.publish('fc0', [port(50002)]);
      const whole = subject.inspect();
      subject.flush();
      await firewall.reassert();
      expect(subject.inspect()).toBe(whole);
      await firewall.reassert();
      expect(subject.inspect()).toBe(whole);
      await firewall.tearDown();
    });

    it('drops what an earlier run left when it starts', async () => {
      using subject = make();
      await subject.firewall.initialise({ networks: [network('fc0')], ports: [port(50001)] });
      await subject.firewall.initialise({ networks: [network('fc1')], ports: [] });
      expect(subject.inspect()).not.toMatch(/fc0|50001/);
      await subject.firewall.tearDown();
    });
  });
}
