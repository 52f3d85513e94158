import type { ContainerId } from '../../../base/ids.ts';
import type { ContainerChange, ContainerView, Engine } from '../../../engine/index.ts';

type Bucket = 'running' | 'paused' | 'stopped';

/** How many containers run, counted at each change: looking at all of them for each would be slow with a thousand. */
export class ContainerCounts implements Disposable {
  readonly #engine: Pick<Engine, 'containers'>;
  readonly #buckets = new Map<ContainerId, Bucket>();
  readonly #counts = { running: 0, paused: 0, stopped: 0 };
  readonly #watching: Disposable;

  /** `onChange` is told when a number is another one. */
  constructor(engine: Pick<Engine, 'containers'>, onChange: () => void) {
    this.#engine = engine;
    for (const view of engine.containers.list()) this.#set(view.id, bucketOf(view));
    this.#watching = engine.containers.watch((change) => {
      if (this.#take(change)) onChange();
    });
  }

  [Symbol.dispose](): void {
    this.#watching[Symbol.dispose]();
  }

  get running(): number {
    return this.#counts.running;
  }

  get paused(): number {
    return this.#counts.paused;
  }

  get stopped(): number {
    return this.#counts.stopped;
  }

  #take({ kind, containerId }: ContainerChange): boolean {
    if (kind === 'removed') return this.#set(containerId, null);
    if (kind !== 'added' && kind !== 'changed') return false;
    return this.#set(containerId, bucketOf(this.#engine.containers.get(containerId)));
  }

  #set(id: ContainerId, bucket: Bucket | null): boolean {
    const before = this.#buckets.get(id) ?? null;
    if (before === bucket) return false;
    if (before !== null) this.#counts[before] -= 1;
    if (bucket === null) {
      this.#buckets.delete(id);
      return true;
    }
    this.#buckets.set(id, bucket);
    this.#counts[bucket] += 1;
    return true;
  }
}

/** Docker's three: what is neither running nor paused is stopped; restarting counts as running, as in `docker info`. */
function bucketOf({ state: { status } }: ContainerView): Bucket {
  if (status === 'paused') return 'paused';
  return status === 'running' || status === 'restarting' ? 'running' : 'stopped';
}
