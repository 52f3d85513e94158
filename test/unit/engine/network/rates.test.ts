import { describe, expect, it } from 'vitest';
import { KernelError } from '../../../../src/engine/kernel/kernel.ts';
import type { Link, RateLimit, RouteSocket } from '../../../../src/engine/kernel/kernel.ts';
import type { Sandbox } from '../../../../src/engine/network/driver.ts';
import { limitRates } from '../../../../src/engine/network/joining/rates.ts';
import type { NetworkRoom } from '../../../../src/engine/network/room.ts';
import type { EndpointState } from '../../../../src/engine/network/types.ts';

const EGRESS = 'org.moored.network.rate.egress';
const INGRESS = 'org.moored.network.rate.ingress';
const ENDPOINT = { interfaceName: 'eth0', networkName: 'lan' } as EndpointState;

/** Limits that were set, by where and on which link. */
function limited(
  link: Partial<Link> | null,
  labels: Readonly<Record<string, string>>,
  error?: Error,
): readonly string[] {
  const set: string[] = [];
  const socket = (where: string): RouteSocket =>
    ({
      linkByName: () => link,
      limitRate: (index: number, { bytesPerSecond }: RateLimit) => {
        if (error !== undefined) throw error;
        set.push(`${where} ${String(index)} ${String(bytesPerSecond)}`);
      },
    }) as unknown as RouteSocket;
  const room = { route: { get: () => socket('host') } } as unknown as NetworkRoom;
  limitRates(room, ENDPOINT, { inside: socket('inside') } as Sandbox, labels);
  return set;
}

const VETH = { index: 2, type: 'veth', parentIndex: 9 };

describe('limits of an endpoint', () => {
  it('are at its own end for what it sends, at the host’s for what it receives', () => {
    expect(limited(VETH, { [EGRESS]: '8kbit', [INGRESS]: '16kbit' })).toEqual(['inside 2 1000', 'host 9 2000']);
    expect(limited(VETH, { [INGRESS]: '16kbit' })).toEqual(['host 9 2000']);
    expect(limited(VETH, { other: 'label' })).toEqual([]);
  });

  it('hold for what it sends on any link, and not for what it receives where the host has no end', () => {
    const macvlan = { index: 2, type: 'macvlan', parentIndex: 3 };
    expect(limited(macvlan, { [EGRESS]: '8kbit' })).toEqual(['inside 2 1000']);
    expect(() => limited(macvlan, { [INGRESS]: '8kbit' })).toThrow(
      'what a container receives cannot be limited on network lan: only bridge networks have an end on the host',
    );
  });

  it('need a kernel that can, and a link', () => {
    const labels = { [EGRESS]: '8kbit' };
    expect(() => limited(VETH, labels, new KernelError('RTM_NEWQDISC', 'ENOENT', '#2'))).toThrow(
      'bandwidth cannot be limited: the kernel module sch_tbf is not available',
    );
    expect(() => limited(VETH, labels, new KernelError('RTM_NEWQDISC', 'EPERM', '#2'))).toThrow('EPERM');
    expect(() => limited(null, labels)).toThrow('ENODEV');
  });
});
