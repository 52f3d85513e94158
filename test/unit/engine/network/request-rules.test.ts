import { describe, expect, it } from 'vitest';
import { checkRequest } from '../../../../src/engine/network/request-rules.ts';
import type { SandboxRequest } from '../../../../src/engine/network/types.ts';

const plain: Omit<SandboxRequest, 'containerId'> = {
  mode: { kind: 'network', name: 'bridge' },
  endpoints: {},
  portBindings: [],
  publishAll: [],
  macAddress: null,
  sysctls: {},
};
const wish = { aliases: [], ipv4Address: null, ipv6Address: null, macAddress: null };
const binding = {
  container: { port: 80, protocol: 'tcp' },
  hostIp: '',
  hostPortStart: 0,
  hostPortEnd: 0,
} as const;

describe('a request', () => {
  it('may ask for what this engine does', () => {
    expect(() =>
      checkRequest({
        ...plain,
        macAddress: '02:42:99:99:99:99',
        endpoints: { bridge: wish, other: { ...wish, ipv4Address: '10.0.0.9', aliases: ['db'] } },
        portBindings: [binding, { ...binding, hostIp: '127.0.0.1', hostPortStart: 8000, hostPortEnd: 8010 }],
        sysctls: { 'net.core.somaxconn': '1024', 'net.ipv4.conf.eth0.100.rp_filter': '0', 'net/ipv4/ip_forward': '1' },
      }),
    ).not.toThrow();
  });

  it.each<readonly [string, Partial<SandboxRequest>]>([
    ['address zz: invalid MAC address', { macAddress: 'zz' }],
    ['address 1: invalid MAC address', { endpoints: { bridge: { ...wish, macAddress: '1' } } }],
    [
      'user specified IP address is supported on user defined networks only',
      { endpoints: { bridge: { ...wish, ipv4Address: '172.17.0.9' } } },
    ],
    [
      'network-scoped alias is supported only for containers in user defined networks',
      { endpoints: { bridge: { ...wish, aliases: ['x'] } } },
    ],
    ['invalid IPv4 address: q', { endpoints: { mine: { ...wish, ipv4Address: 'q' } } }],
    ['invalid IP address: zz', { portBindings: [{ ...binding, hostIp: 'zz' }] }],
    ['invalid IP address: 1.2.3.4; }', { portBindings: [{ ...binding, hostIp: '1.2.3.4; }' }] }],
    ['invalid IPv6 address: 10.0.0.1', { endpoints: { db: { ...wish, ipv6Address: '10.0.0.1' } } }],
    ['invalid host port range: 9-8', { portBindings: [{ ...binding, hostPortStart: 9, hostPortEnd: 8 }] }],
    ['invalid host port range: 1-65536', { portBindings: [{ ...binding, hostPortStart: 1, hostPortEnd: 65536 }] }],
    ['invalid container port: 0', { portBindings: [{ ...binding, container: { port: 0, protocol: 'tcp' } }] }],
    ['invalid container port: 1.5', { publishAll: [{ port: 1.5, protocol: 'udp' }] }],
    ['sysctl "kernel.shmmax" is not in a network namespace', { sysctls: { 'kernel.shmmax': '1' } }],
    ['is not in a network namespace', { sysctls: { 'net/../kernel/shmmax': '1' } }],
    ['is not in a network namespace', { sysctls: { 'net...kernel.shmmax': '1' } }],
  ])('is refused: %s', (text, part) => {
    expect(() => checkRequest({ ...plain, ...part })).toThrow(text);
  });
});
