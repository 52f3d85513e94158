import type { ContainerId } from '../../base/ids.ts';
import { connectSandbox } from './joining/connect.ts';
import { disconnectSandbox } from './joining/disconnect.ts';
import { renameSandbox } from './joining/rename.ts';
import { completeSandbox, prepareSandbox } from './joining/set-up.ts';
import { sweepSandboxes, tearDownSandbox } from './joining/tear-down.ts';
import { LiveSandboxes } from './live-sandboxes.ts';
import { Occupancy } from './occupancy.ts';
import { createNetwork } from './records/create.ts';
import { removeNetwork } from './records/remove.ts';
import { allowForwarding, makeNetworks, restoreNetworks } from './records/restore.ts';
import { watchBridges } from './records/watch.ts';
import { checkRequest } from './request-rules.ts';
import { driverOf, viewOf } from './room.ts';
import type { NetworkRoom, NetworksParts } from './room.ts';
import type {
  ConnectRequest,
  DisconnectRequest,
  NetworkRequest,
  Networks,
  NetworkView,
  SandboxRequest,
  SandboxState,
} from './types.ts';

/** The network room at work: see driver.ts for its stories. */
export class EngineNetworks implements Networks {
  readonly #room: NetworkRoom;
  #watch: Disposable | null = null;

  constructor(parts: NetworksParts) {
    this.#room = { ...parts, live: new LiveSandboxes(), arriving: new Map(), occupancy: new Occupancy() };
  }

  async restore(live: Parameters<Networks['restore']>[0]): Promise<void> {
    await restoreNetworks(this.#room, live);
    this.#watch?.[Symbol.dispose]();
    this.#watch = watchBridges(this.#room);
  }

  list(): readonly NetworkView[] {
    return this.#room.registry.list().map((record) => viewOf(this.#room, record));
  }

  get(ref: string): NetworkView {
    return viewOf(this.#room, this.#room.registry.get(ref));
  }

  async create(request: NetworkRequest): ReturnType<Networks['create']> {
    return await createNetwork(this.#room, request);
  }

  async remove(ref: string): Promise<void> {
    await removeNetwork(this.#room, ref);
  }

  async connect(request: ConnectRequest): Promise<SandboxState> {
    return await connectSandbox(this.#room, request);
  }

  async disconnect(request: DisconnectRequest): Promise<SandboxState> {
    return await disconnectSandbox(this.#room, request);
  }

  renamed(containerId: ContainerId, name: string): SandboxState | null {
    return renameSandbox(this.#room, containerId, name);
  }

  validate(request: Omit<SandboxRequest, 'containerId'>): void {
    checkRequest(request);
  }

  async prepare(request: SandboxRequest): Promise<SandboxState> {
    return await prepareSandbox(this.#room, request);
  }

  async complete(containerId: ContainerId): Promise<SandboxState> {
    return await completeSandbox(this.#room, containerId);
  }

  async tearDown(containerId: ContainerId, sandbox: SandboxState): Promise<void> {
    await tearDownSandbox(this.#room, containerId, sandbox);
  }

  async reassert(): Promise<void> {
    allowForwarding(this.#room);
    await this.#room.firewall.reassert();
    await makeNetworks(this.#room);
  }

  async close(): Promise<void> {
    this.#watch?.[Symbol.dispose]();
    this.#watch = null;
    await this.#room.publisher.releaseAll();
  }

  async shutDown(): Promise<void> {
    const { live, registry, firewall, route } = this.#room;
    await this.close();
    live.clear();
    const outcomes = await Promise.allSettled(
      registry.list().map((network) => driverOf(this.#room, network).removeNetwork(network)),
    );
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    await firewall.tearDown();
    sweepSandboxes(this.#room);
    route[Symbol.dispose]();
  }
}
