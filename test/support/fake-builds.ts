import type { Timestamp } from '../../src/base/clock.ts';
import { InvalidArgumentError } from '../../src/base/errors.ts';
import {
  BuildFailure,
  type BuildCacheEntry,
  type BuildRequest,
  type Builds,
  type CachePruneRequest,
} from '../../src/engine/index.ts';

type Build = Builds['build'];

/** Builds in memory: what the Dockerfile's name says happens, and every request is kept. */
export class FakeBuilds implements Builds {
  readonly requests: BuildRequest[] = [];
  readonly prunes: CachePruneRequest[] = [];
  /** Size of each context that came. */
  readonly contexts: number[] = [];
  entries: readonly BuildCacheEntry[] = [];
  readonly #underWay = new Map<string, AbortController>();

  readonly build: Build = async (request, { sink, signal }) => {
    this.requests.push(request);
    if (request.context.kind === 'tar') {
      let size = 0;
      for await (const chunk of request.context.tar as AsyncIterable<Buffer>) size += chunk.length;
      this.contexts.push(size);
    }
    const { dockerfile } = request;
    if (dockerfile === 'unknown') {
      throw new InvalidArgumentError('dockerfile parse error on line 1: unknown instruction: FRO');
    }
    await sink({ kind: 'step', number: 1, total: 2, text: 'FROM busybox' });
    await sink({ kind: 'stream', text: 'Step 1/2 : FROM busybox\n' });
    if (dockerfile === 'pulls') {
      await sink({ kind: 'progress', progress: { status: 'Pulling from library/busybox', id: 'latest' } });
    }
    if (dockerfile === 'fails') {
      throw new BuildFailure("The command '/bin/sh -c exit 3' returned a non-zero code: 3", 3);
    }
    if (dockerfile === 'hangs') await this.#hang(request.buildId, signal);
    await sink({ kind: 'image', id: BUILT_ID });
    await sink({ kind: 'stream', text: `Successfully built ${'b'.repeat(12)}\n` });
    return { id: BUILT_ID };
  };

  cancel(buildId: string): boolean {
    const controller = this.#underWay.get(buildId);
    controller?.abort(new Error('Build cancelled'));
    return controller !== undefined;
  }

  async cache(): Promise<readonly BuildCacheEntry[]> {
    return this.entries;
  }

  async previewPrune({ all }: CachePruneRequest): Promise<readonly BuildCacheEntry[]> {
    return this.entries.filter(({ inUse, shared }) => !inUse && (all || !shared));
  }

  async pruneCache(request: CachePruneRequest): ReturnType<Builds['pruneCache']> {
    this.prunes.push(request);
    const going = await this.previewPrune(request);
    this.entries = this.entries.filter((entry) => !going.includes(entry));
    const reclaimedBytes = going.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return { removed: going.map(({ id }) => id), reclaimedBytes };
  }

  /** Builds that are under way. */
  get names(): readonly string[] {
    return [...this.#underWay.keys()];
  }

  async #hang(buildId: string, signal: AbortSignal): Promise<void> {
    const own = new AbortController();
    this.#underWay.set(buildId, own);
    const either = AbortSignal.any([signal, own.signal]);
    await new Promise((resolve) => either.addEventListener('abort', resolve, { once: true }));
    this.#underWay.delete(buildId);
    throw either.reason;
  }
}

export const BUILT_ID = `sha256:${'b'.repeat(64)}` as Awaited<ReturnType<Build>>['id'];

/** One thing that the cache keeps. */
export function cacheEntry(id: string, more: Partial<BuildCacheEntry> = {}): BuildCacheEntry {
  return {
    id,
    parents: [],
    kind: 'regular',
    description: 'RUN true',
    sizeBytes: 1000,
    createdAt: 1_700_000_000_000_000_000n as Timestamp,
    lastUsedAt: null,
    uses: 1,
    inUse: false,
    shared: false,
    ...more,
  };
}
