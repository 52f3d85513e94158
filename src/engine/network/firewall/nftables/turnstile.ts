/**
 * How published ports obey the host's own input policy (`publish-policy: respect`).
 *
 * A published port's packets are translated before the host's input policy sees them, and then go to its forward policy:
 * that is why publishing with Docker opens ports behind the back of ufw and the like. Here the first packet of a connection
 * is left as it came. It goes the way of all packets for this host, through whatever input policy there is (iptables,
 * nftables, ufw, firewalld), and what that lets through meets our `let_in` chain, which has the last word there:
 *
 *     eth0 ─ prerouting ─ input policy of the host ─ let_in: a copy into the turnstile, the packet itself ends here
 *                                                       │
 *            turnstile's other end ─ prerouting: DNAT ─ forward ─ bridge ─ container
 *
 * The turnstile is a veth pair with both ends on this host. What comes out of its other end is a packet like any other,
 * from the same client, and is now translated; connection tracking knows the connection from then on and takes its further
 * packets straight there, as on an open network. So the client's address is kept, nothing of ours is in the way of the
 * data, connections outlive the daemon, and each new connection is asked anew: the policy's changes take effect at once.
 */
import { closeSync } from 'node:fs';
import { createHash } from 'node:crypto';
import type { Fd, Kernel } from '../../../kernel/kernel.ts';
import type { Sysctls } from '../../sysctl.ts';

const OWN_NETNS = '/proc/thread-self/ns/net';
/** Datagrams come through in one piece, whatever links they came by. */
const MTU = 65_535;
/** The address of hosts that have none (RFC 7600): without one the kernel takes every source for a forged one. */
const DUMMY_ADDRESS = '192.0.0.8/32';
/** Both ends' address, so that each takes the other's frames without asking. */
const MAC_ADDRESS = '02:00:00:00:00:07';
/** Any way back to the source will do: it is not this one. Where all links are strict (1), the greater value counts. */
const LOOSE = '2';

/** The links' names, of this table alone. */
export function turnstileNames(table: string): { readonly into: string; readonly outOf: string } {
  const tag = createHash('sha256').update(table).digest('hex').slice(0, 8);
  return { into: `mti-${tag}`, outOf: `mto-${tag}` };
}

/** Makes and removes the pair. */
export interface Turnstile {
  /** Idempotent. */
  open(names: ReturnType<typeof turnstileNames>): void;
  /** Idempotent. */
  close(names: ReturnType<typeof turnstileNames>): void;
}

export function linkTurnstile(kernel: Pick<Kernel, 'openRoute' | 'namespaces'>, sysctls: Sysctls): Turnstile {
  return {
    open({ into, outOf }) {
      using route = kernel.openRoute(null);
      if (route.linkByName(into) === null) {
        const here: Fd = kernel.namespaces.openNetns(OWN_NETNS);
        try {
          route.createVethPair({
            name: into,
            masterIndex: null,
            mtu: MTU,
            peerName: outOf,
            peerNetns: here,
            peerMacAddress: MAC_ADDRESS,
          });
        } finally {
          closeSync(here);
        }
      }
      const near = route.linkByName(into);
      const far = route.linkByName(outOf);
      if (near === null || far === null) return;
      const addressed = route.addresses(far.index).some(({ cidr }) => cidr === DUMMY_ADDRESS);
      if (!addressed) route.addAddress(far.index, DUMMY_ADDRESS);
      sysctls.write(`net/ipv4/conf/${outOf}/rp_filter`, LOOSE);
      sysctls.write(`net/ipv4/conf/${outOf}/forwarding`, '1');
      route.changeLink(near.index, { macAddress: MAC_ADDRESS, arp: false, up: true });
      route.changeLink(far.index, { arp: false, up: true });
    },
    close({ into }) {
      using route = kernel.openRoute(null);
      const near = route.linkByName(into);
      if (near !== null) void route.retireLink(near.index).catch(() => undefined);
    },
  };
}
