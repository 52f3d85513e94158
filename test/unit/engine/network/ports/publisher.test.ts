import { beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../../../src/base/logger.ts';
import type { FirewallDriver } from '../../../../../src/engine/network/driver.ts';
import { allBindings, checkBinding } from '../../../../../src/engine/network/ports.ts';
import type { PortPublisher, PublishTarget, UserlandProxy } from '../../../../../src/engine/network/ports.ts';
import type { PortProxy } from '../../../../../src/engine/network/ports/proxy.ts';
import type { ServedPort } from '../../../../../src/engine/network/ports/proxy/orders.ts';
import { createPortPublisher } from '../../../../../src/engine/network/ports/publisher.ts';
import type { PortBinding, PortProtocol, PublishedPort } from '../../../../../src/engine/network/types.ts';
import { FakeInternet } from '../../../../support/fake-internet.ts';

const target: PublishTarget = { bridgeName: 'x0', ipv4Address: '10.0.0.2', hostBinding: '0.0.0.0' };
const dual: PublishTarget = { ...target, ipv6Address: 'fd00::2' };

function binding(start: number, end = start, port = 80, hostIp = '', protocol: PortProtocol = 'tcp'): PortBinding {
  return { container: { port, protocol }, hostIp, hostPortStart: start, hostPortEnd: end };
}

function text({ container, hostIp, hostPort, endpointIpAddress }: PublishedPort): string {
  return `${hostIp} ${String(hostPort)} > ${endpointIpAddress} ${String(container.port)}/${container.protocol}`;
}

let internet: FakeInternet;
let filter: string[];
let proxied: Map<number, ServedPort>;
let firewallFails: boolean;

beforeEach(() => {
  internet = new FakeInternet();
  filter = [];
  proxied = new Map();
  firewallFails = false;
});

function publisherWith(
  userlandProxy: UserlandProxy = 'where-needed',
  families: readonly ('ipv4' | 'ipv6')[] = ['ipv4', 'ipv6'],
): PortPublisher {
  const firewall = {
    active: families.length > 0,
    families,
    publish: async (_bridge: string, ports: readonly PublishedPort[]) => {
      if (firewallFails) throw new Error('no firewall today');
      const listening = [...internet.listening].map((fd) => internet.bound.get(fd)?.port);
      expect(ports.filter(({ hostPort }) => listening.includes(hostPort))).toEqual([]);
      filter.push(...ports.map(text));
    },
    unpublish: async (_bridge: string, ports: readonly PublishedPort[]) => {
      const gone = ports.map(text);
      filter = filter.filter((port) => !gone.includes(port));
    },
  } as Partial<FirewallDriver> as FirewallDriver;
  const proxy: PortProxy = {
    serve: (port) => {
      expect(internet.bound.has(port.fd)).toBe(true);
      proxied.set(port.key, port);
    },
    drop: async (ports) => {
      for (const { key } of ports) proxied.delete(key);
    },
    stop: async () => proxied.clear(),
  };
  const sysctls = { read: () => null, write: () => undefined };
  return createPortPublisher({ internet, firewall, sysctls, logger: silentLogger, proxy, userlandProxy });
}

describe('publishing', () => {
  it('leads all addresses of IPv4 by the packet filter, those of IPv6 by the proxy, on one socket', async () => {
    const publisher = publisherWith();
    const ports = await publisher.publish(target, [binding(8080)]);
    expect(ports.map(text)).toEqual(['0.0.0.0 8080 > 10.0.0.2 80/tcp', ':: 8080 > 10.0.0.2 80/tcp']);
    expect(filter).toEqual(['0.0.0.0 8080 > 10.0.0.2 80/tcp']);
    expect([...internet.bound.values()]).toMatchObject([{ address: '::', port: 8080, bothFamilies: true }]);
    expect([...proxied.values()]).toMatchObject([{ protocol: 'tcp', backendAddress: '10.0.0.2', backendPort: 80 }]);
    await publisher.unpublish('x0', ports);
    expect([filter, internet.held(), proxied.size]).toEqual([[], [], 0]);
  });

  it('leads both families by the packet filter where the container has both, and by the proxy what passes it by', async () => {
    const ports = await publisherWith().publish(dual, [binding(8080)]);
    expect(ports.map(text)).toEqual(['0.0.0.0 8080 > 10.0.0.2 80/tcp', ':: 8080 > fd00::2 80/tcp']);
    expect(filter).toHaveLength(2);
    expect([...proxied.values()]).toMatchObject([
      { backendAddress: '10.0.0.2', backendPort: 80 },
      { backendAddress: 'fd00::2', backendPort: 80 },
    ]);
    // One each: they lead to different addresses.
    expect(internet.bound.size).toBe(2);
  });

  it.each([
    ['never', ['ipv4', 'ipv6'], [], ['0.0.0.0 8080']],
    ['where-needed', [], ['0.0.0.0+:: > 10.0.0.2'], ['0.0.0.0 8080', ':: 8080']],
    ['where-needed', ['ipv4'], ['0.0.0.0+:: > 10.0.0.2'], ['0.0.0.0 8080', ':: 8080']],
    ['always', ['ipv4', 'ipv6'], ['0.0.0.0+:: > 10.0.0.2'], ['0.0.0.0 8080', ':: 8080']],
    ['never', [], [], ['0.0.0.0 8080']],
  ] as const)('has the proxy %s with a filter of %j', async (mode, families, served, rows) => {
    const ports = await publisherWith(mode, families).publish(target, [binding(8080)]);
    expect(ports.map(({ hostIp, hostPort }) => `${hostIp} ${String(hostPort)}`)).toEqual(rows);
    expect([...proxied.values()].map(({ backendAddress }) => `0.0.0.0+:: > ${backendAddress}`)).toEqual(served);
  });

  it('gives each family a socket of its own where the proxy leads them to different addresses', async () => {
    await publisherWith('always').publish(dual, [binding(8080)]);
    expect(internet.held()).toEqual(['tcp 0.0.0.0 8080', 'tcp :: 8080']);
    expect(internet.bound.size).toBe(2);
    expect([...proxied.values()].map(({ backendAddress }) => backendAddress)).toEqual(['10.0.0.2', 'fd00::2']);
  });

  it('leads by the proxy alone what a network wants so', async () => {
    const publisher = publisherWith();
    const ports = await publisher.publish({ ...target, proxied: true }, [binding(8080)]);
    expect(ports.every((port) => port.proxied === true)).toBe(true);
    expect([filter, proxied.size]).toEqual([[], 1]);
  });

  it('opens the ports of routed networks without a host port', async () => {
    const ports = await publisherWith().publish({ ...dual, ipv4Mode: 'routed', ipv6Mode: 'routed' }, [binding(8080)]);
    expect(ports.map(text)).toEqual(['0.0.0.0 0 > 10.0.0.2 80/tcp', ':: 0 > fd00::2 80/tcp']);
    expect(internet.bound.size).toBe(0);
  });

  it('passes over ports of other processes where it may choose', async () => {
    internet.occupied.add('tcp 0.0.0.0 9000').add('tcp 127.0.0.1 49153');
    const ports = await publisherWith('never').publish(target, [binding(9000, 9001), binding(0, 0, 81)]);
    expect(ports.map(({ hostPort }) => hostPort)).toEqual([9001, 49154]);
  });

  it('publishes all or nothing', async () => {
    const publisher = publisherWith();
    internet.occupied.add('tcp 0.0.0.0 9000');
    await expect(publisher.publish(target, [binding(7000), binding(9000)])).rejects.toThrow('address already in use');
    expect([filter, internet.held(), proxied.size]).toEqual([[], [], 0]);
    await expect(publisher.publish(target, [binding(7000)])).resolves.toHaveLength(2);
  });

  it('gives the ports back when the firewall fails', async () => {
    const publisher = publisherWith();
    firewallFails = true;
    await expect(publisher.publish(target, [binding(7000)])).rejects.toThrow('no firewall today');
    await expect(publisher.publish(target, [binding(7000)])).rejects.toThrow('no firewall today');
    expect(internet.held()).toEqual([]);
  });
});

describe('what the kernel refuses', () => {
  const failed = 'failed to bind host port';
  const unproxied = 'failed to start userland proxy for port mapping 0.0.0.0:9000:10.0.0.2:80/sctp: SCTP is led';
  it.each([
    [binding(9000), `${failed} for 0.0.0.0:9000:10.0.0.2:80/tcp: address already in use`],
    [binding(9000, 9001), `${failed} 9001 for 0.0.0.0:9000-9001:10.0.0.2:80/tcp: address already in use`],
    [binding(9002), `${failed} for [::]:9002:10.0.0.2:80/tcp: address already in use`],
    [binding(9000, 9000, 80, '127.0.0.1'), `${failed} for 127.0.0.1:9000:10.0.0.2:80/tcp: address already in use`],
    [binding(80, 80, 80, '192.0.2.1'), `${failed} for 192.0.2.1:80:10.0.0.2:80/tcp: cannot assign requested address`],
    [
      binding(9000, 9000, 80, '', 'sctp'),
      'failed to create socket for userland proxy for 0.0.0.0:9000:10.0.0.2:80/sctp: protocol not supported',
    ],
  ])('%j', async (wish, expected) => {
    internet.occupied.add('tcp 0.0.0.0 9000').add('tcp 0.0.0.0 9001').add('tcp :: 9002');
    internet.hasSctp = false;
    await expect(publisherWith().publish(target, [wish])).rejects.toThrow(expected);
    expect(internet.held()).toEqual([]);
  });

  it('is SCTP that only the proxy could lead', async () => {
    const publish = publisherWith('where-needed', []).publish(target, [binding(9000, 9000, 80, '', 'sctp')]);
    await expect(publish).rejects.toThrow(unproxied);
  });

  it('refuses a port twice, and one of another container', async () => {
    const publisher = publisherWith();
    const text = 'Bind for 0.0.0.0:7000 failed: port is already allocated';
    await expect(publisher.publish(target, [binding(7000), binding(7000, 7000, 81)])).rejects.toThrow(text);
    expect(internet.held()).toEqual([]);
    await publisher.publish(target, [binding(7000)]);
    await expect(publisher.publish({ ...target, ipv4Address: '10.0.0.3' }, [binding(7000)])).rejects.toThrow(text);
  });

  it('is told after ranges that are used up, or that others have', async () => {
    const publisher = publisherWith();
    await publisher.publish(target, [binding(7000, 7001), binding(7000, 7001, 81)]);
    await expect(publisher.publish(target, [binding(7000, 7001)])).rejects.toThrow('all ports are allocated');
  });
});

describe('ports of an earlier run', () => {
  const row = (hostPort: number, hostIp = '0.0.0.0'): PublishedPort => ({
    container: { port: 80, protocol: 'tcp' },
    hostIp,
    hostPort,
    endpointIpAddress: '10.0.0.2',
  });

  it('are taken over, but for one that another process has got meanwhile', async () => {
    const publisher = publisherWith();
    internet.occupied.add('tcp 0.0.0.0 9000');
    await publisher.adopt([row(7000), row(7000, '::'), row(9000), row(7001, '127.0.0.1')], silentLogger);
    expect(internet.held()).toEqual(['tcp :: 7000', 'tcp 0.0.0.0 7000', 'tcp 127.0.0.1 7001']);
    const served = { backendAddress: '10.0.0.2', backendPort: 80 };
    expect([...proxied.values()]).toMatchObject([served, served]);
    await expect(publisher.publish(target, [binding(7000)])).rejects.toThrow('port is already allocated');
    await publisher.unpublish('x0', [row(7000), row(9000)]);
    expect(internet.held()).toHaveLength(3);
    await publisher.unpublish('x0', [row(7000, '::')]);
    expect(internet.held()).toEqual(['tcp 127.0.0.1 7001']);
    await expect(publisher.publish(target, [binding(7000)])).resolves.toHaveLength(2);
  });

  it('are all let go of at the end', async () => {
    const publisher = publisherWith();
    await publisher.publish(target, [binding(7000), binding(0, 0, 81, '127.0.0.1')]);
    await publisher.releaseAll();
    expect([internet.held(), proxied.size]).toEqual([[], 0]);
  });
});

describe('what is asked for', () => {
  it('is with -P what -p does not mention', () => {
    const ports = [99, 98].map((port) => ({ port, protocol: 'tcp' }) as const);
    expect(allBindings([binding(7000, 7000, 99)], [])).toEqual([binding(7000, 7000, 99)]);
    expect(allBindings([binding(7000, 7000, 99)], ports)).toEqual([binding(7000, 7000, 99), binding(0, 0, 98)]);
  });

  it.each([
    [binding(80, 80, 0), 'invalid container port: 0'],
    [binding(80, 79), 'invalid host port range: 80-79'],
    [binding(1, 65536), 'invalid host port range: 1-65536'],
    [binding(80, 80, 80, 'localhost'), 'invalid IP address: localhost'],
    [binding(80, 80, 80, 'fe80::1%eth0'), 'invalid IP address: fe80::1%eth0'],
  ])('is refused: %j', (wish, expected) => {
    expect(() => checkBinding(wish)).toThrow(expected);
  });

  it.each([binding(0), binding(80, 80, 80, '::1'), binding(1, 65535, 65535, '10.0.0.1')])('is allowed: %j', (wish) => {
    expect(() => checkBinding(wish)).not.toThrow();
  });
});
