import type { InternetCalls, ReadySet } from '../../kernel/internet.ts';
import type { Fd } from '../../kernel/kernel.ts';

/** Who is called when which descriptor can be read: all of them behind one epoll, so that each has its turn. */
export class Wakes implements Disposable {
  readonly #set: ReadySet;
  readonly #calls = new Map<number, () => void>();
  #lastKey = 0;

  constructor(internet: Pick<InternetCalls, 'openReadySet'>) {
    this.#set = internet.openReadySet();
    this.#set.watch((keys) => {
      // One that was called before may have let go of another.
      for (const key of keys) this.#calls.get(key)?.();
    });
  }

  /** Dispose before the descriptor is closed. */
  on(fd: Fd, call: () => void): Disposable {
    this.#lastKey = (this.#lastKey + 1) >>> 0;
    const key = this.#lastKey;
    this.#set.add(fd, key);
    this.#calls.set(key, call);
    return {
      [Symbol.dispose]: () => {
        if (this.#calls.delete(key)) this.#set.remove(fd);
      },
    };
  }

  [Symbol.dispose](): void {
    this.#calls.clear();
    this.#set[Symbol.dispose]();
  }
}
