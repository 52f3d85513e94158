/**
 * A container's network at its start. The runtime takes longer to make a process than we take for links, ports and names;
 * all it needs of these is the namespace to join. So the rest is made meanwhile, and is there before the process runs.
 */
import type { Undo } from '../../../base/undo.ts';
import type { SandboxRequest, SandboxState } from '../../network/types.ts';
import type { RuntimeSpec } from '../../oci/runtime-spec.ts';
import type { Task, TaskRequest } from '../../runtime/monitor.ts';
import type { Container } from '../container.ts';
import type { Room } from '../room.ts';

/** The network of a container that is being started. */
export interface StartNetwork {
  /** As it is to be, but for its published ports; null: another container's. */
  readonly state: SandboxState | null;
  /** Settles when all of it is there, and written down. Any number of calls. */
  whole(): Promise<void>;
}

const BORROWED: StartNetwork = { state: null, whole: async () => undefined };

/** Makes the namespace and finds the addresses. */
export async function openNetwork(
  room: Room,
  container: Container,
  request: SandboxRequest,
  undo: Undo,
): Promise<StartNetwork> {
  const { containerId, userns } = request;
  if (container.document.spec.host.network.kind === 'container') return BORROWED;
  const state = await room.networks.prepare(request);
  if (userns !== undefined) undo.defer(() => room.kernel.userNamespaces.remove(container.paths.userns));
  undo.defer(() => room.networks.tearDown(containerId, state));
  const complete = async (): Promise<void> => container.update({ sandbox: await room.networks.complete(containerId) });
  let completing: Promise<void> | null = null;
  return { state, whole: () => (completing ??= complete()) };
}

/** Makes the process, waiting to be started, and the whole of its network. The first failure is thrown when both have ended. */
export async function makeProcess(
  room: Room,
  network: StartNetwork,
  request: TaskRequest,
  { hooks }: RuntimeSpec,
  undo: Undo,
): Promise<Task> {
  // A process out of a checkpoint runs at once; hooks run before the process does.
  const isLookedAt = request.runtime.readsNetwork || (request.restore ?? null) !== null || hooks !== undefined;
  if (isLookedAt) await network.whole();
  const making = room.monitor.create(request).then((task) => {
    undo.defer(() => task.delete());
    return task;
  });
  const both = [making, network.whole()] as const;
  try {
    const [task] = await Promise.all(both);
    return task;
  } finally {
    await Promise.allSettled(both);
  }
}
