/** Who may have which cache mount when. */

export type Sharing = 'shared' | 'private' | 'locked';

/** A directory that steps take turns at. */
export interface TurnPlace {
  /** How it is held; null: nobody does. */
  heldAs: Sharing | null;
  holders: number;
}

/**
 * The directories of one name. `choose` says which one is to be taken now, `make` that a new one is, `wait` that one is
 * about to be free that may not be passed by: what has been filled by others is what a cache is for.
 */
export function choose<Place extends TurnPlace>(places: readonly Place[], sharing: Sharing): Place | 'make' | 'wait' {
  const free = places.find(({ heldAs }) => heldAs === null);
  if (sharing === 'private') return free ?? 'make';
  const shared = places.find(({ heldAs }) => heldAs === 'shared');
  if (sharing === 'shared' && shared !== undefined) return shared;
  const isLocked = places.some(({ heldAs }) => heldAs === 'locked');
  // One that waits for the locked one would fill another meanwhile, and leave two where one was wanted.
  if (isLocked || shared !== undefined) return 'wait';
  return free ?? 'make';
}

/** Those who wait for one name, first come first served: a stream of sharers does not keep out who wants it alone. */
export class Queue {
  /** Each true when it has got what it waits for. */
  #waiting: (() => boolean)[] = [];

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Calls `take` at each {@link Queue.advance} until it gives something; rejects with the signal's reason. */
  wait<T>(take: () => T | null, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const retry = (): boolean => {
      const taken = take();
      if (taken === null) return false;
      signal.removeEventListener('abort', onAbort);
      resolve(taken);
      return true;
    };
    const onAbort = (): void => {
      this.#waiting = this.#waiting.filter((other) => other !== retry);
      reject(signal.reason as Error);
      this.advance();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#waiting.push(retry);
    return promise;
  }

  /** Something was given back: lets those through, in order, who can be served now. */
  advance(): void {
    while (this.#waiting[0]?.() === true) this.#waiting.shift();
  }
}
