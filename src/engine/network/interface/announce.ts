/** Telling the neighbours whose an address is now. */
import { closeSync } from 'node:fs';
import type { Clock } from '../../../base/clock.ts';
import { KernelError } from '../../kernel/kernel.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { EndpointRequest, Sandbox } from '../driver.ts';
import { macAddressOf } from '../naming.ts';
import type { Sysctls } from '../sysctl.ts';

/**
 * A bridge passes nothing on before it has heard of its new port's carrier, which takes the kernel some milliseconds, on a
 * busy host more.
 */
const TIMES_MS = [20, 300] as const;

/** What a container's interface is announced with. */
export interface Announcer {
  /** Has the kernel announce it when it can; of a sandbox that is gone by then, nothing is said. */
  announce(sandbox: Sandbox, request: EndpointRequest): void;
}

/**
 * Whether neighbours could have another MAC address in mind for one of the endpoint's addresses: not when that follows from
 * the address, for then whoever had it before had the same.
 */
export function needsAnnouncing({ macAddress, ipv4Address, ipv6Address }: EndpointRequest): boolean {
  return [ipv4Address, ipv6Address].some((address) => address !== null && macAddressOf(address) !== macAddress);
}

/** Has the kernel say it when the interface's MAC address is set; in the interface's namespace. */
export function sayWhenSet(sysctls: Sysctls, interfaceName: string, hasIpv6: boolean): void {
  sysctls.write(`net/ipv4/conf/${interfaceName}/arp_notify`, '1');
  if (hasIpv6) sysctls.write(`net/ipv6/conf/${interfaceName}/ndisc_notify`, '1');
}

/**
 * Sets the MAC address that the interface has already, at which the kernel sends a gratuitous ARP request and unsolicited
 * neighbour advertisements of all its addresses.
 */
export function kernelAnnouncer(kernel: Pick<Kernel, 'namespaces' | 'openRoute'>, clock: Clock): Announcer {
  return {
    announce: ({ netnsPath }, { interfaceName, macAddress }) => {
      for (const delayMs of TIMES_MS)
        clock.after(delayMs, () => announceNow(kernel, netnsPath, interfaceName, macAddress));
    },
  };
}

/** The namespace is looked up anew each time: holding it open would keep the addresses of a dead container alive. */
function announceNow(
  kernel: Pick<Kernel, 'namespaces' | 'openRoute'>,
  netnsPath: string,
  interfaceName: string,
  macAddress: string,
): void {
  try {
    const netns = kernel.namespaces.openNetns(netnsPath);
    try {
      using inside = kernel.openRoute(netns);
      const link = inside.linkByName(interfaceName);
      if (link?.macAddress === macAddress) inside.changeLink(link.index, { macAddress });
    } finally {
      closeSync(netns);
    }
  } catch (error) {
    // Gone, or never to be told: neighbours find out by themselves, only later.
    if (!(error instanceof KernelError)) throw error;
  }
}
