import type { ContainerChange } from '../types.ts';

/**
 * Who is told at once that a container or an exec is there, is gone, or shows something else. Events are Docker's and
 * few; this is every change of what the door's `get` and `getExec` give, also where Docker tells nobody (a failed
 * start, a network given back, a removal under way).
 */
export class Changes {
  readonly #listeners = new Set<(change: ContainerChange) => void>();

  tell(change: ContainerChange): void {
    for (const listener of [...this.#listeners]) listener(change);
  }

  watch(listener: (change: ContainerChange) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }
}
