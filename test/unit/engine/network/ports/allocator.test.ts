import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PortAllocator, randomPorts } from '../../../../../src/engine/network/ports/allocator.ts';
import type { HostPortWish } from '../../../../../src/engine/network/ports/allocator.ts';

const RANDOM = { first: 32768, last: 60999, reserved: new Set<number>() };

const tcp = (first: number, last = first, ...hostIps: readonly string[]): HostPortWish => ({
  protocol: 'tcp',
  hostIps: hostIps.length === 0 ? ['0.0.0.0'] : hostIps,
  first,
  last,
});

describe('the book of host ports', () => {
  it('gives random ports in rising order from 32768, protocols apart', () => {
    const ports = new PortAllocator(RANDOM);
    expect([ports.take(tcp(0)), ports.take(tcp(0))]).toEqual([32768, 32769]);
    expect(ports.take({ ...tcp(0), protocol: 'udp' })).toBe(32768);
    ports.release('tcp', ['0.0.0.0'], 32768);
    expect(ports.take(tcp(0))).toBe(32770);
  });

  it('comes round when it has reached the end', () => {
    const ports = new PortAllocator(RANDOM);
    ports.take(tcp(32768));
    expect(ports.take(tcp(0))).toBe(32769);
    for (let port = 32770; port <= 60999; port += 1) expect(ports.take(tcp(0))).toBe(port);
    expect(() => ports.take(tcp(0))).toThrow('all ports are allocated');
    ports.release('tcp', ['0.0.0.0'], 40000);
    expect(ports.take(tcp(0))).toBe(40000);
  });

  it("refuses a taken port in dockerd's words, and takes it on no address then", () => {
    const ports = new PortAllocator(RANDOM);
    ports.take(tcp(8080, 8080, '::'));
    const both = tcp(8080, 8080, '0.0.0.0', '::');
    expect(() => ports.take(both)).toThrow('Bind for :::8080 failed: port is already allocated');
    expect(ports.take(tcp(8080))).toBe(8080);
    expect(() => ports.take(both)).toThrow('Bind for 0.0.0.0:8080 failed: port is already allocated');
    expect(ports.take(tcp(8080, 8080, '127.0.0.1'))).toBe(8080);
  });

  it('uses a range up, going on behind the last one as dockerd does', () => {
    const ports = new PortAllocator(RANDOM);
    expect([ports.take(tcp(9000, 9002)), ports.take(tcp(9000, 9002))]).toEqual([9000, 9001]);
    ports.release('tcp', ['0.0.0.0'], 9000);
    expect(ports.take(tcp(9000, 9002))).toBe(9002);
    expect(ports.take(tcp(9000, 9002))).toBe(9000);
    expect(() => ports.take(tcp(9000, 9002))).toThrow('all ports are allocated');
  });

  it('gives several addresses a port that is free on all of them', () => {
    const ports = new PortAllocator(RANDOM);
    ports.take(tcp(32769, 32769, '::'));
    const both = tcp(0, 0, '0.0.0.0', '::');
    expect([ports.take(both), ports.take(both)]).toEqual([32768, 32770]);
  });

  it('never gives a port twice, whatever is taken and given back in between', () => {
    const addresses = ['0.0.0.0', '::', '127.0.0.1'];
    const wish = fc.record({
      protocol: fc.constantFrom('tcp' as const, 'udp' as const),
      hostIps: fc.subarray(addresses, { minLength: 1 }),
      first: fc.integer({ min: 1, max: 12 }),
      span: fc.integer({ min: 0, max: 6 }),
      random: fc.boolean(),
    });
    const step = fc.oneof(
      wish.map((value) => ({ kind: 'take' as const, value })),
      fc.nat(20).map((value) => ({ kind: 'release' as const, value })),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const ports = new PortAllocator({ first: 100, last: 108, reserved: new Set([104]) });
        const held: { readonly protocol: 'tcp' | 'udp'; readonly hostIps: readonly string[]; readonly port: number }[] =
          [];
        const isTaken = (protocol: string, hostIps: readonly string[], port: number): boolean =>
          held.some(
            (one) => one.protocol === protocol && one.port === port && one.hostIps.some((ip) => hostIps.includes(ip)),
          );
        for (const { kind, value } of steps) {
          if (kind === 'release') {
            const [given] = held.splice(value, 1);
            if (given !== undefined) ports.release(given.protocol, given.hostIps, given.port);
            continue;
          }
          const { protocol, hostIps, random } = value;
          const [first, last] = random ? [0, 0] : [value.first, value.first + value.span];
          const [begin, end] = random ? [100, 108] : [first, last];
          const candidates = Array.from({ length: end - begin + 1 }, (_, index) => begin + index).filter(
            (port) => !(random && port === 104) && !isTaken(protocol, hostIps, port),
          );
          let port: number | null = null;
          try {
            port = ports.take({ protocol, hostIps, first, last });
          } catch {
            // Refused: nothing may have been free.
          }
          if (port === null) expect(candidates).toEqual([]);
          else {
            expect(candidates).toContain(port);
            held.push({ protocol, hostIps, port });
          }
        }
      }),
    );
  });

  it('takes 5,000 ports of a range without looking at each again and again', () => {
    const ports = new PortAllocator(RANDOM);
    const given = Array.from({ length: 5000 }, () => ports.take(tcp(10000, 14999, '0.0.0.0', '::')));
    expect(new Set(given).size).toBe(5000);
    expect(given.at(-1)).toBe(14999);
  });
});

describe('the range of random ports', () => {
  const sysctls = (values: Readonly<Record<string, string>>) => ({
    read: (key: string) => values[key] ?? null,
    write: () => undefined,
  });

  it("is the kernel's, less what is reserved", () => {
    const { first, last, reserved } = randomPorts(
      sysctls({
        'net/ipv4/ip_local_port_range': '32768\t32771',
        'net/ipv4/ip_local_reserved_ports': '32768,32770-32771',
      }),
    );
    expect([first, last, [...reserved]]).toEqual([32768, 32771, [32768, 32770, 32771]]);
    const ports = new PortAllocator({ first, last, reserved });
    expect(ports.take(tcp(0))).toBe(32769);
    expect(() => ports.take(tcp(0))).toThrow('all ports are allocated');
  });

  it("is libnetwork's own where the kernel does not say", () => {
    expect(randomPorts(sysctls({}))).toEqual({ first: 49153, last: 65535, reserved: new Set() });
  });
});
