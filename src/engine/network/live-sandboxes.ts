import type { ContainerId, NetworkId } from '../../base/ids.ts';
import type { EndpointState, SandboxState } from './types.ts';

/** The sandboxes of running containers, and which of their endpoints are on which network. */
export class LiveSandboxes {
  readonly #sandboxes = new Map<ContainerId, SandboxState>();
  readonly #byNetwork = new Map<NetworkId, Map<ContainerId, EndpointState>>();

  get(containerId: ContainerId): SandboxState | null {
    return this.#sandboxes.get(containerId) ?? null;
  }

  /** Adds a sandbox or replaces the same container's. */
  set(containerId: ContainerId, sandbox: SandboxState): void {
    this.delete(containerId);
    this.#sandboxes.set(containerId, sandbox);
    for (const endpoint of sandbox.endpoints) {
      const held = this.#byNetwork.get(endpoint.networkId) ?? new Map<ContainerId, EndpointState>();
      this.#byNetwork.set(endpoint.networkId, held.set(containerId, endpoint));
    }
  }

  delete(containerId: ContainerId): void {
    for (const { networkId } of this.#sandboxes.get(containerId)?.endpoints ?? []) {
      const held = this.#byNetwork.get(networkId);
      held?.delete(containerId);
      if (held?.size === 0) this.#byNetwork.delete(networkId);
    }
    this.#sandboxes.delete(containerId);
  }

  clear(): void {
    this.#sandboxes.clear();
    this.#byNetwork.clear();
  }

  /** All of them, by container. */
  entries(): IterableIterator<[ContainerId, SandboxState]> {
    return this.#sandboxes.entries();
  }

  /** The endpoints on one network. */
  on(networkId: NetworkId): readonly EndpointState[] {
    return [...(this.#byNetwork.get(networkId)?.values() ?? [])];
  }

  /** The endpoints on all networks. */
  endpoints(): readonly EndpointState[] {
    return [...this.#sandboxes.values()].flatMap(({ endpoints }) => endpoints);
  }
}
