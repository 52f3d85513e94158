import type { Timestamp } from '../../base/clock.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { Containers } from '../containers/types.ts';
import type { EngineEvent, Events } from '../events/types.ts';

/** What is counted as it happens, from the start of the daemon on. */
export class Counts implements Disposable {
  events = 0;
  healthChecks = 0;
  failedHealthChecks = 0;
  readonly #outOfMemory = new Map<string, number>();
  readonly #lastProbe = new Map<ContainerId, Timestamp>();
  readonly #containers: Pick<Containers, 'get' | 'watch'>;
  readonly #listening: readonly Disposable[];

  constructor(events: Pick<Events, 'listen'>, containers: Pick<Containers, 'get' | 'watch'>) {
    this.#containers = containers;
    this.#listening = [
      events.listen((event) => this.#count(event)),
      containers.watch(({ kind, containerId }) => {
        if (kind === 'changed') this.#countProbes(containerId);
      }),
    ];
  }

  /** How often a container's processes were killed for lack of memory. */
  outOfMemory(id: ContainerId): number {
    return this.#outOfMemory.get(id) ?? 0;
  }

  [Symbol.dispose](): void {
    for (const one of this.#listening) one[Symbol.dispose]();
  }

  #count({ type, action, actorId }: EngineEvent): void {
    this.events += 1;
    if (type !== 'container') return;
    if (action === 'oom') this.#outOfMemory.set(actorId, (this.#outOfMemory.get(actorId) ?? 0) + 1);
    if (action !== 'destroy') return;
    this.#outOfMemory.delete(actorId);
    this.#lastProbe.delete(actorId as ContainerId);
  }

  /** A probe shows in the view when it has ended. */
  #countProbes(id: ContainerId): void {
    const probe = this.#containers.get(id).health?.log.at(-1);
    if (probe === undefined || probe.startedAt === this.#lastProbe.get(id)) return;
    this.#lastProbe.set(id, probe.startedAt);
    this.healthChecks += 1;
    if (probe.exitCode !== 0) this.failedHealthChecks += 1;
  }
}
