import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../../src/base/logger.ts';
import type { FirewallDriver } from '../../../../src/engine/network/driver.ts';
import { PortAllocator } from '../../../../src/engine/network/port-allocator.ts';
import { allBindings, PortPublisher } from '../../../../src/engine/network/port-publisher.ts';
import type { PortBinding, PublishedPort } from '../../../../src/engine/network/types.ts';

const tcp = (first: number, last = first, hostIp = '0.0.0.0') => ({ protocol: 'tcp', hostIp, first, last }) as const;

describe('the book of host ports', () => {
  it('gives random ports in rising order from 32768, protocols apart', () => {
    const ports = new PortAllocator();
    expect([ports.take(tcp(0)), ports.take(tcp(0))]).toEqual([32768, 32769]);
    expect(ports.take({ ...tcp(0), protocol: 'udp' })).toBe(32768);
    ports.release('tcp', '0.0.0.0', 32768);
    expect(ports.take(tcp(0))).toBe(32770);
  });

  it('comes round when it has reached the end', () => {
    const ports = new PortAllocator();
    ports.take(tcp(32768));
    expect(ports.take(tcp(0))).toBe(32769);
    for (let port = 32770; port <= 60999; port += 1) expect(ports.take(tcp(0))).toBe(port);
    expect(() => ports.take(tcp(0))).toThrow('all ports are allocated');
    ports.release('tcp', '0.0.0.0', 40000);
    expect(ports.take(tcp(0))).toBe(40000);
  });

  it("refuses a taken port in dockerd's words", () => {
    const ports = new PortAllocator();
    ports.take(tcp(8080));
    expect(() => ports.take(tcp(8080))).toThrow('Bind for 0.0.0.0:8080 failed: port is already allocated');
    expect(ports.take(tcp(8080, 8080, '127.0.0.1'))).toBe(8080);
  });

  it('uses a range up', () => {
    const ports = new PortAllocator();
    expect([ports.take(tcp(9000, 9001)), ports.take(tcp(9000, 9001))]).toEqual([9000, 9001]);
    expect(() => ports.take(tcp(9000, 9001))).toThrow('all ports are allocated');
  });
});

const target = { bridgeName: 'x0', ipv4Address: '10.0.0.2', hostBinding: '0.0.0.0' };
const binding = (start: number, end = start, port = 80): PortBinding => ({
  container: { port, protocol: 'tcp' },
  hostIp: '',
  hostPortStart: start,
  hostPortEnd: end,
});

/** A publisher on a host where other processes have `occupied`; `held` is what it reserves. */
function publisherWith(occupied: readonly number[], firewallFails = false) {
  const held = new Set<number>();
  const filter: PublishedPort[] = [];
  const firewall = {
    publish: async (_bridge: string, ports: readonly PublishedPort[]) => {
      if (firewallFails) throw new Error('no firewall today');
      filter.push(...ports);
    },
    unpublish: async (_bridge: string, ports: readonly PublishedPort[]) => {
      for (const port of ports) filter.splice(filter.indexOf(port), 1);
    },
  } as Partial<FirewallDriver> as FirewallDriver;
  const publisher = new PortPublisher(firewall, async (_protocol, _hostIp, port) => {
    if (occupied.includes(port)) throw Object.assign(new Error('in use'), { code: 'EADDRINUSE' });
    if (port === 666) throw Object.assign(new Error('not here'), { code: 'EADDRNOTAVAIL' });
    held.add(port);
    return { release: async () => void held.delete(port) };
  });
  return { publisher, held, filter };
}

describe('publishing', () => {
  it('passes over ports of other processes where it may choose', async () => {
    const { publisher, held } = publisherWith([9000, 32768]);
    const ports = await publisher.publish(target, [binding(9000, 9001), binding(0, 0, 81)]);
    expect(ports.map(({ hostPort }) => hostPort)).toEqual([9001, 32769]);
    expect([...held]).toEqual([9001, 32769]);
  });

  it.each([
    [binding(9000), 'Error starting userland proxy: listen tcp4 0.0.0.0:9000: bind: address already in use'],
    [binding(9000, 9001), 'Error starting userland proxy: listen tcp4 0.0.0.0:9001: bind: address already in use'],
    [binding(666), 'Error starting userland proxy: listen tcp4 0.0.0.0:666: bind: cannot assign requested address'],
  ])('says what the kernel refused (%#)', async (wish, text) => {
    const { publisher } = publisherWith([9000, 9001]);
    await expect(publisher.publish(target, [wish])).rejects.toThrow(text);
  });

  it('publishes all or nothing', async () => {
    const { publisher, held, filter } = publisherWith([9000]);
    await expect(publisher.publish(target, [binding(7000), binding(9000)])).rejects.toThrow('address already in use');
    expect(held.size).toBe(0);
    expect(filter).toEqual([]);
    await expect(publisher.publish(target, [binding(7000)])).resolves.toHaveLength(1);
  });

  it('gives the ports back when the firewall fails', async () => {
    const { publisher, held } = publisherWith([], true);
    await expect(publisher.publish(target, [binding(7000)])).rejects.toThrow('no firewall today');
    await expect(publisher.publish(target, [binding(7000)])).rejects.toThrow('no firewall today');
    expect(held.size).toBe(0);
  });

  it('refuses a port twice in one request', async () => {
    const { publisher, held } = publisherWith([]);
    await expect(publisher.publish(target, [binding(7000), binding(7000, 7000, 81)])).rejects.toThrow(
      'Bind for 0.0.0.0:7000 failed: port is already allocated',
    );
    expect(held.size).toBe(0);
  });

  it('takes ports of an earlier run over, and goes on without one that another process has got meanwhile', async () => {
    const { publisher, held } = publisherWith([9000]);
    const published = (hostPort: number): PublishedPort => ({
      container: { port: 80, protocol: 'tcp' },
      hostIp: '0.0.0.0',
      hostPort,
      endpointIpAddress: '10.0.0.2',
    });
    await publisher.adopt([published(7000), published(9000)], silentLogger);
    expect([...held]).toEqual([7000]);
    await expect(publisher.publish(target, [binding(7000)])).rejects.toThrow('port is already allocated');
    await publisher.unpublish('x0', [published(7000), published(9000)]);
    expect(held.size).toBe(0);
    await expect(publisher.publish(target, [binding(7000)])).resolves.toHaveLength(1);
  });

  it('publishes with -P what -p does not mention', () => {
    const all = allBindings(
      [binding(7000, 7000, 99)],
      [
        { port: 99, protocol: 'tcp' },
        { port: 99, protocol: 'udp' },
      ],
    );
    expect(all).toEqual([
      binding(7000, 7000, 99),
      { container: { port: 99, protocol: 'udp' }, hostIp: '', hostPortStart: 0, hostPortEnd: 0 },
    ]);
  });
});
