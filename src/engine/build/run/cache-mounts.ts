import type { RunMount } from '../../dockerfile/types.ts';
import type { BuildCacheEntry } from '../types.ts';

/** A cache mount that one RUN has. */
export interface HeldCacheMount extends AsyncDisposable {
  /** Directory to bind. */
  readonly path: string;
}

/** Directories that outlive builds (`RUN --mount=type=cache`), by id. */
export interface CacheMounts {
  /**
   * `shared`: at once with others; `locked`: waits for them; `private`: another one of its own when it is held. `fill` writes
   * what a new one begins with; those that began differently (`base`) have nothing in common but their id.
   */
  hold(
    mount: RunMount & { readonly kind: 'cache' },
    options: {
      readonly base: string;
      readonly fill: ((directory: string) => Promise<void>) | null;
      readonly signal: AbortSignal;
    },
  ): Promise<HeldCacheMount>;
  list(): Promise<readonly BuildCacheEntry[]>;
  /** False: it is held, or has gone. */
  remove(id: string): Promise<boolean>;
}
