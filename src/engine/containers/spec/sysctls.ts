import { configFailure } from '../../runtime/errors.ts';
import type { ResolvedNamespaces } from './input.ts';

/** Kernel parameters that each IPC namespace has of its own. */
const OF_IPC: ReadonlySet<string> = new Set(
  'msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced'.split(' ').map((name) => `kernel.${name}`),
);

/** Which namespaces are not the host's. */
export interface OwnNamespaces {
  readonly network: boolean;
  readonly ipc: boolean;
  readonly uts: boolean;
}

export function ownNamespacesOf({ network, ipc, uts }: ResolvedNamespaces): OwnNamespaces {
  return { network: network !== 'host', ipc: ipc !== 'host', uts: uts !== 'host' };
}

/**
 * Refuses what would change the host, in runc's words: dockerd leaves this to runc, and other runtimes differ.
 */
export function checkSysctls(sysctls: Readonly<Record<string, string>>, own: OwnNamespaces): void {
  for (const given of Object.keys(sysctls)) {
    const reason = objectionTo(dotted(given), own);
    if (reason !== null) throw configFailure(`sysctl ${JSON.stringify(dotted(given))} ${reason}`);
  }
}

function objectionTo(name: string, own: OwnNamespaces): string | null {
  if (OF_IPC.has(name) || name.startsWith('fs.mqueue.')) {
    return own.ipc ? null : 'is not allowed in the hosts ipc namespace';
  }
  if (name.startsWith('net.')) return own.network ? null : 'not allowed in host network namespace';
  if (own.uts && name === 'kernel.domainname') return null;
  if (own.uts && name === 'kernel.hostname') return 'is not allowed as it conflicts with the OCI "hostname" field';
  return 'is not in a separate kernel namespace';
}

/** `net/ipv4/conf/eth0.100/x` → `net.ipv4.conf.eth0/100.x` (sysctl.d(5)): the first separator tells which form it is. */
function dotted(name: string): string {
  const first = /[./]/.exec(name)?.[0];
  return first === '/' ? name.replace(/[./]/g, (separator) => (separator === '/' ? '.' : '/')) : name;
}
