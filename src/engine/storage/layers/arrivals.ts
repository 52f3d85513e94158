import type { ChainId } from '../../oci/digest.ts';

/** Layers that are on their way, and who waits for them. */
export class Arrivals {
  readonly #expected = new Map<ChainId, number>();
  readonly #waiters = new Map<ChainId, Set<() => void>>();

  /** Counts each as expected until disposed; disposing twice is harmless. */
  expect(chainIds: readonly ChainId[]): Disposable {
    for (const chainId of chainIds) this.#expected.set(chainId, (this.#expected.get(chainId) ?? 0) + 1);
    let open = true;
    return {
      [Symbol.dispose]: () => {
        if (!open) return;
        open = false;
        for (const chainId of chainIds) this.#forget(chainId);
      },
    };
  }

  /** True while somebody says that the layer will come. */
  isExpected(chainId: ChainId): boolean {
    return this.#expected.has(chainId);
  }

  /** Settles when the layer has come or nobody expects it any more; rejects with the signal's reason when aborted. */
  async changed(chainId: ChainId, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiters = this.#waiters.get(chainId) ?? new Set();
    this.#waiters.set(chainId, waiters.add(resolve));
    const onAbort = (): void => reject(signal?.reason as Error);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      waiters.delete(resolve);
      if (waiters.size === 0 && this.#waiters.get(chainId) === waiters) this.#waiters.delete(chainId);
    }
  }

  /** Tells those who wait to look again. */
  wake(chainId: ChainId): void {
    for (const waiter of this.#waiters.get(chainId) ?? []) waiter();
  }

  #forget(chainId: ChainId): void {
    const left = (this.#expected.get(chainId) ?? 1) - 1;
    if (left > 0) {
      this.#expected.set(chainId, left);
      return;
    }
    this.#expected.delete(chainId);
    this.wake(chainId);
  }
}
