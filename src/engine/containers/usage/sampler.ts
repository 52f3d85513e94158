import type { Clock } from '../../../base/clock.ts';
import type { Container } from '../container.ts';
import type { ContainerUsage, UsagePair } from './types.ts';

const TICK_MS = 1000;
/** For so long after somebody asked, the next one who asks need not wait for a second sample. */
const KEEP_MS = 30_000;
/** Two samples closer together say little: the machine's own time is counted in hundredths of a second. */
const MIN_GAP_NS = 500_000_000n;
/** Each container costs a dozen small reads: so many of them are a millisecond. */
const CONTAINERS_AT_ONCE = 5;

interface Watched {
  /** Newest last; null: nothing ran. At most two. */
  samples: readonly (ContainerUsage | null)[];
  /** Monotonic time up to which it is kept without anybody following. */
  keptUntilMs: number;
  readonly followers: Set<(sample: ContainerUsage | null) => void>;
}

/**
 * Samples of what containers use: one tick a second for all who follow, of those containers only that somebody asks about,
 * and no work at all when nobody does.
 */
export class UsageSampler {
  readonly #clock: Clock;
  readonly #read: (container: Container) => ContainerUsage | null;
  readonly #watched = new Map<Container, Watched>();
  #timer: Disposable | null = null;

  constructor(clock: Clock, read: (container: Container) => ContainerUsage | null) {
    this.#clock = clock;
    this.#read = read;
  }

  /** Calls back with each tick's sample, null where nothing runs, until disposed. */
  follow(container: Container, follower: (sample: ContainerUsage | null) => void): Disposable {
    const { followers } = this.#watch(container);
    followers.add(follower);
    return { [Symbol.dispose]: () => void followers.delete(follower) };
  }

  /**
   * A sample of now and one before it: at once where one is kept, otherwise after a tick. Null when nothing runs by then.
   */
  async pair(container: Container, signal: AbortSignal): Promise<UsagePair | null> {
    const { samples } = this.#watch(container);
    const current = this.#read(container);
    if (current === null) return null;
    const previous = samples.findLast((sample) => isBefore(sample, current));
    if (previous !== undefined && previous !== null) return { previous, current };
    const { promise, resolve, reject } = Promise.withResolvers<ContainerUsage | null>();
    const onAbort = (): void => reject(signal.reason as Error);
    signal.throwIfAborted();
    signal.addEventListener('abort', onAbort, { once: true });
    const ticks: (ContainerUsage | null)[] = [];
    using _following = this.follow(container, (sample) => {
      // The first tick may come too soon after the first sample.
      ticks.push(sample);
      if (sample === null || isBefore(current, sample) || ticks.length > 1) resolve(sample);
    });
    try {
      const next = await promise;
      return next === null ? null : { previous: current, current: next };
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  #watch(container: Container): Watched {
    const known = this.#watched.get(container);
    const keptUntilMs = this.#clock.monotonicMs() + KEEP_MS;
    if (known !== undefined) {
      known.keptUntilMs = keptUntilMs;
      return known;
    }
    const made: Watched = { samples: [], keptUntilMs, followers: new Set() };
    this.#watched.set(container, made);
    this.#timer ??= this.#clock.after(TICK_MS, () => void this.#tick());
    return made;
  }

  async #tick(): Promise<void> {
    const nextAtMs = this.#clock.monotonicMs() + TICK_MS;
    let read = 0;
    for (const [container, watched] of [...this.#watched]) {
      if (watched.followers.size === 0 && watched.keptUntilMs < this.#clock.monotonicMs()) {
        this.#watched.delete(container);
        continue;
      }
      const sample = this.#read(container);
      watched.samples = [...watched.samples.slice(-1), sample];
      for (const follower of [...watched.followers]) follower(sample);
      read += 1;
      // Others have the thread in between.
      if (read % CONTAINERS_AT_ONCE === 0) await this.#clock.sleep(0);
    }
    this.#timer =
      this.#watched.size === 0
        ? null
        : this.#clock.after(Math.max(0, nextAtMs - this.#clock.monotonicMs()), () => void this.#tick());
  }
}

function isBefore(earlier: ContainerUsage | null, later: ContainerUsage): boolean {
  // A restart begins the counters anew.
  return (
    earlier !== null &&
    later.readAt - earlier.readAt >= MIN_GAP_NS &&
    earlier.resources.cpu.totalNs <= later.resources.cpu.totalNs
  );
}
