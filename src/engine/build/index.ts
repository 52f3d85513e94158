/**
 * The build room: Dockerfiles → images. It writes no image itself (images/write.ts does), runs no process (containers do)
 * and reads no tree (workers do): it knows what follows from what, and what was made already.
 */
import { statfs } from 'node:fs/promises';
import { EngineError } from '../../base/errors.ts';
import type { ImageUsers } from '../images/types.ts';
import { BuildTables } from '../state/build-steps.ts';
import type { Database } from '../state/database.ts';
import { CacheBounds } from './cache/bounds.ts';
import { cacheEntries } from './cache/entries.ts';
import { ownBytes, victimsOf } from './cache/prune.ts';
import { StepCache } from './cache/step-cache.ts';
import type { CacheMounts } from './run/cache-mounts.ts';
import { DraftImages } from './solve/draft-images.ts';
import type { SolveGround } from './solve/job.ts';
import type { BuildCacheEntry, Builds, CacheLimits, CachePruneRequest } from './types.ts';

export interface BuildsDependencies extends Omit<SolveGround, 'cache' | 'drafts'> {
  readonly database: Database;
  readonly users: ImageUsers;
  readonly cacheMounts: Pick<CacheMounts, 'list' | 'remove'>;
  /** On whose disk layers and blobs lie. */
  readonly dataRoot: string;
  readonly limits: CacheLimits;
}

/** The room, with what only the composing place calls. */
export interface BuildRoom extends Builds, AsyncDisposable {
  /** At start-up, when containers are known: takes away what builds of a killed engine left. */
  recover(): Promise<void>;
  /** Brings the cache down to its limits now, which happens by itself after builds. Never rejects. */
  collectCache(): Promise<void>;
  reconfigure(limits: CacheLimits): void;
}

/** Makes the build room. */
export function createBuilds(dependencies: BuildsDependencies): BuildRoom {
  const { contexts, runs, store, cacheMounts: mounts } = dependencies;
  const tables = new BuildTables(dependencies.database);
  const steps = new StepCache({ ...dependencies, tables });
  const drafts = new DraftImages({ ...dependencies, tables });
  const ground: SolveGround = { ...dependencies, cache: steps, drafts };
  const running = new Running();
  const entries = async (): Promise<readonly BuildCacheEntry[]> =>
    cacheEntries({ tables, catalog: store.catalog, steps, mounts });
  const victims = async (request: CachePruneRequest): Promise<readonly BuildCacheEntry[]> => {
    const { bavail, bsize } = await statfs(dependencies.dataRoot);
    return victimsOf(await entries(), request, { now: dependencies.clock.now(), freeBytes: bavail * bsize });
  };
  const prune: Builds['pruneCache'] = async (request, signal) => {
    const removed: BuildCacheEntry[] = [];
    for (const entry of await victims(request)) {
      signal.throwIfAborted();
      const isGone =
        entry.kind === 'exec.cachemount' ? await mounts.remove(entry.id) : await steps.removeByKey(entry.id);
      if (isGone) removed.push(entry);
    }
    return {
      removed: removed.map(({ id }) => id),
      reclaimedBytes: removed.reduce((sum, entry) => sum + ownBytes(entry), 0),
    };
  };
  const bounds = new CacheBounds({ ...dependencies, prune, steps });
  return {
    build: async (request, { sink, signal }) => {
      try {
        return await running.run(request.buildId, signal, async (ending) => {
          // The language and all that goes with it are loaded with the first build.
          const { solve } = await import('./solve/solve.ts');
          return { id: await solve(ground, request, { sink, signal: ending }) };
        });
      } finally {
        bounds.buildEnded();
      }
    },
    cancel: (buildId) => running.cancel(buildId),
    cache: entries,
    previewPrune: victims,
    pruneCache: async (request, signal) => {
      const done = await prune(request, signal);
      if (request.all) steps.removeBare();
      return done;
    },
    collectCache: async () => bounds.collect(),
    reconfigure: (limits) => bounds.reconfigure(limits),
    recover: async () => {
      await Promise.all([contexts.sweep(), runs.sweep()]);
      await drafts.sweep();
      bounds.engineStarted();
    },
    [Symbol.asyncDispose]: async () => {
      await running.endAll();
      await bounds[Symbol.asyncDispose]();
    },
  };
}

/** Builds under way. */
class Running {
  readonly #builds = new Set<{
    readonly name: string;
    readonly stop: AbortController;
    readonly done: Promise<unknown>;
  }>();
  #isClosed = false;

  async run<T>(name: string, signal: AbortSignal, job: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const stop = new AbortController();
    if (this.#isClosed) stop.abort(ended());
    const done = job(AbortSignal.any([signal, stop.signal]));
    const build = { name, stop, done };
    this.#builds.add(build);
    try {
      return await done;
    } finally {
      this.#builds.delete(build);
    }
  }

  cancel(name: string): boolean {
    const named = [...this.#builds].filter((build) => name !== '' && build.name === name);
    for (const { stop } of named) stop.abort(new EngineError('internal', 'Build cancelled'));
    return named.length > 0;
  }

  async endAll(): Promise<void> {
    this.#isClosed = true;
    for (const { stop } of this.#builds) stop.abort(ended());
    await Promise.allSettled([...this.#builds].map(({ done }) => done));
  }
}

function ended(): EngineError {
  return new EngineError('unavailable', 'the engine is shutting down');
}
