/** At start: from the modes of a container to the namespaces that its runtime makes or joins. */
import type { SandboxState } from '../../network/types.ts';
import type { Container } from '../container.ts';
import type { Room } from '../room.ts';
import type { NamespaceChoice, ResolvedNamespaces } from '../spec/input.ts';
import type { UsernsPlan } from '../userns/plan.ts';
import { ipcDonor, networkDonor, pidDonor } from './donors.ts';

const HOST_SHM = '/dev/shm';

/** The namespaces, with the file of each one that is joined. */
export function resolveNamespaces(
  room: Room,
  container: Container,
  { sandbox, userns }: { readonly sandbox: SandboxState | null; readonly userns: UsernsPlan | null },
): ResolvedNamespaces {
  const { spec, ipcMode, cgroupnsMode } = container.document;
  const { host } = spec;
  return {
    user: userns === null ? null : { path: userns.joined ?? container.paths.userns, mapping: userns.mapping },
    network: networkOf(room, container, sandbox),
    ipc: ipcMode.kind === 'container' ? joined(ipcDonor(room, ipcMode.ref).pid, 'ipc') : hostOrOwn(ipcMode.kind),
    pid:
      host.pidMode.kind === 'container'
        ? joined(pidDonor(room, host.pidMode.ref).pid, 'pid')
        : hostOrOwn(host.pidMode.kind),
    uts: hostOrOwn(host.utsMode.kind),
    cgroup: cgroupnsMode.kind === 'host' ? 'host' : null,
  };
}

/** What is mounted on /dev/shm; null: shared memory of its own. */
export function shmPathOf(room: Room, { document, paths }: Container): string | null {
  const { ipcMode } = document;
  switch (ipcMode.kind) {
    case 'host':
      return HOST_SHM;
    case 'shareable':
      return paths.shm;
    case 'container':
      // The donor may itself have joined another's.
      return shmPathOf(room, ipcDonor(room, ipcMode.ref).container);
    case 'private':
    case 'none':
      return null;
  }
}

function networkOf(room: Room, container: Container, sandbox: SandboxState | null): NamespaceChoice {
  const { network } = container.document.spec.host;
  if (network.kind === 'host') return 'host';
  if (network.kind !== 'container') {
    const path = sandbox?.netnsPath ?? null;
    return path === null ? null : { path };
  }
  const donor = networkDonor(room, network.ref, container);
  return donor.container.document.spec.host.network.kind === 'host' ? 'host' : joined(donor.pid, 'net');
}

function joined(pid: number, name: 'net' | 'ipc' | 'pid'): NamespaceChoice {
  return { path: `/proc/${String(pid)}/ns/${name}` };
}

function hostOrOwn(kind: string): 'host' | null {
  return kind === 'host' ? 'host' : null;
}
