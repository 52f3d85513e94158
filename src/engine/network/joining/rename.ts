import type { ContainerId } from '../../../base/ids.ts';
import type { NetworkRoom } from '../room.ts';
import type { SandboxState } from '../types.ts';
import { refreshNames } from './name-views.ts';
import { renamedEndpoint } from './names.ts';

/** See {@link Networks.renamed}. */
export function renameSandbox(room: NetworkRoom, containerId: ContainerId, name: string): SandboxState | null {
  const before = room.live.get(containerId);
  if (before === null) return null;
  const endpoints = before.endpoints.map((endpoint) => renamedEndpoint(endpoint, name, before.hostname));
  const after = { ...before, endpoints };
  room.live.set(containerId, after);
  refreshNames(room, endpoints);
  return after;
}
