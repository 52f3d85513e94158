/** The n-th call of publishing fails: nothing is reserved, served or led, and the next try goes through. */
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import type { FirewallDriver } from '../../../src/engine/network/driver.ts';
import type { PublishTarget } from '../../../src/engine/network/ports.ts';
import { createPortProxy } from '../../../src/engine/network/ports/proxy.ts';
import { createPortPublisher } from '../../../src/engine/network/ports/publisher.ts';
import type { PortBinding, PublishedPort } from '../../../src/engine/network/types.ts';
import { FakeKernel } from '../../support/fake-kernel.ts';

const target: PublishTarget = { bridgeName: 'x0', ipv4Address: '10.0.0.2', hostBinding: '0.0.0.0' };
const bindings = [8080, 8081].flatMap((port): readonly PortBinding[] =>
  (['tcp', 'udp'] as const).map((protocol) => ({
    container: { port, protocol },
    hostIp: '',
    hostPortStart: port,
    hostPortEnd: port,
  })),
);

function publisherOn(kernel: FakeKernel) {
  const led = new Set<PublishedPort>();
  const firewall = {
    active: true,
    publish: async (_bridge: string, ports: readonly PublishedPort[]) => ports.forEach((port) => led.add(port)),
    unpublish: async (_bridge: string, ports: readonly PublishedPort[]) => ports.forEach((port) => led.delete(port)),
  } as Partial<FirewallDriver> as FirewallDriver;
  const { internet } = kernel;
  const proxy = createPortProxy({ internet, logger: silentLogger, workerUrl: new URL('file:///never-started') });
  const sysctls = { read: () => null, write: () => undefined };
  const parts = { internet, firewall, sysctls, logger: silentLogger, proxy, userlandProxy: 'where-needed' } as const;
  return { led, publisher: createPortPublisher(parts) };
}

describe('publishing, whichever call fails', () => {
  it('leaves nothing behind', async () => {
    let failures = 0;
    for (let n = 1; ; n += 1) {
      const kernel = new FakeKernel();
      const { led, publisher } = publisherOn(kernel);
      kernel.failAt(n, 'EIO');
      const outcome = await publisher.publish(target, bindings).catch((error: unknown) => error);
      if (kernel.pendingFailure) break;
      // Closing cannot fail.
      if (kernel.names()[n - 1] === 'internet.close') continue;
      if (outcome instanceof Error) {
        failures += 1;
        expect([n, kernel.leftovers(), led.size]).toEqual([n, [], 0]);
      }
      kernel.forget();
      // A failed look at whether the host has IPv6 leaves IPv4.
      if (outcome instanceof Error) await expect(publisher.publish(target, bindings)).resolves.toHaveLength(8);
      await publisher.releaseAll();
      expect([n, kernel.leftovers()]).toEqual([n, []]);
    }
    expect(failures).toBeGreaterThan(bindings.length);
  });
});
