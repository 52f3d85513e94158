import type { NetworkId } from '../../base/ids.ts';

/**
 * Which networks are being plugged into right now, and which are closed because they are being made or removed: so that
 * none of these meets another half done.
 */
export class Occupancy {
  readonly #inside = new Map<NetworkId, number>();
  readonly #closed = new Set<NetworkId>();
  readonly #waiting = new Map<NetworkId, (() => void)[]>();

  /** Keeps the network from being removed until disposed; null when it is closed. */
  enter(id: NetworkId): Disposable | null {
    if (this.#closed.has(id)) return null;
    this.#inside.set(id, (this.#inside.get(id) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#inside.get(id) ?? 1) - 1;
        if (left > 0) this.#inside.set(id, left);
        else this.#leaveEmpty(id);
      },
    };
  }

  /** Keeps everybody out until disposed; null when somebody is inside, or another has closed it. */
  close(id: NetworkId): Disposable | null {
    if (this.#closed.has(id) || this.#inside.has(id)) return null;
    this.#closed.add(id);
    return { [Symbol.dispose]: () => void this.#closed.delete(id) };
  }

  /** As {@link close}, once all who are inside have left; null when another has closed it. */
  async closeWhenEmpty(id: NetworkId): Promise<Disposable | null> {
    while (this.#inside.has(id)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.set(id, [...(this.#waiting.get(id) ?? []), resolve]);
      await promise;
    }
    return this.close(id);
  }

  #leaveEmpty(id: NetworkId): void {
    this.#inside.delete(id);
    const waiting = this.#waiting.get(id) ?? [];
    this.#waiting.delete(id);
    for (const resume of waiting) resume();
  }
}
