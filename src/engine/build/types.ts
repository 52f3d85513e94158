/**
 * Building images from Dockerfiles.
 *
 * Vocabulary: a *build* is one request; its *context* is the tree of files that COPY takes from; a *stage* becomes a chain
 * of *steps*, each of which makes of one image state the next; the *cache* remembers by content what each step made.
 *
 * Story: `docker build -t app .`: the context is unpacked once (context/); the Dockerfile is parsed and its stages planned
 * (dockerfile/, solve/); stages that do not need one another go at the same time, and what they say is put in the order
 * of the file (solve/transcript.ts); a RUN is a container (run/), a COPY a layer written by a worker (copy/), all else a
 * change of the configuration; images/ writes what came of it.
 */
import type { Readable } from 'node:stream';
import type { Timestamp } from '../../base/clock.ts';
import type { ContainerSpec } from '../containers/spec-types.ts';
import type { Progress } from '../images/types.ts';
import type { ImageId } from '../oci/digest.ts';
import type { Platform } from '../oci/image-spec.ts';
import type { RegistryAuth } from '../registry/client.ts';

/** Where the context comes from. */
export type ContextSource =
  /** A tar: plain or compressed (gzip, bzip2, xz, zstd). */
  | { readonly kind: 'tar'; readonly tar: Readable }
  /** `https://…` of a tar or a Dockerfile, or a git repository (`https://….git#ref:directory`, `git://`, `git@`). */
  | { readonly kind: 'remote'; readonly address: string }
  /**
   * A directory of the host, no symlink in its path; it is read, never written to. `ownerUid`: who asks, and must own it;
   * null when the superuser does.
   */
  | { readonly kind: 'directory'; readonly path: string; readonly ownerUid: number | null };

/** Limits of what RUN starts, and how it stands to its host: as a container's. */
export interface StepLimits {
  readonly resources: ContainerSpec['host']['resources'];
  readonly ulimits: ContainerSpec['host']['ulimits'];
  readonly shmSizeBytes: number | null;
  readonly cgroupParent: string;
  readonly extraHosts: readonly string[];
  /** As `--network` of run; null: the default. */
  readonly network: ContainerSpec['host']['network'] | null;
  /** The entitlements that a RUN may make use of: `security.insecure`, `network.host`. */
  readonly securityOptions: readonly string[];
}

export interface BuildRequest {
  readonly context: ContextSource;
  /** Path of the Dockerfile in the context. */
  readonly dockerfile: string;
  /** References the image gets. */
  readonly tags: readonly string[];
  /** Stage to end with, by name or number; '': the last one. */
  readonly target: string;
  /** `--build-arg`; null: to be taken away. */
  readonly args: ReadonlyMap<string, string | null>;
  readonly labels: ReadonlyMap<string, string>;
  readonly noCache: boolean;
  readonly cacheFrom: readonly string[];
  /** Ask registries for newer base images. */
  readonly pull: boolean;
  readonly platform: Platform | null;
  readonly limits: StepLimits;
  /** Remove containers of RUN: after success, after failure too. */
  readonly remove: boolean;
  readonly forceRemove: boolean;
  /** Make one layer of all that the build has added. */
  readonly squash: boolean;
  /** What `RUN --mount=type=secret` may ask for, by id; null: the engine's own secret of this name may be mounted. */
  readonly secrets: ReadonlyMap<string, Buffer | null>;
  /** Agent sockets on this host for `RUN --mount=type=ssh`, by id. */
  readonly sshAgents: ReadonlyMap<string, string>;
  /** Name by which `cancel` finds it; '': none. */
  readonly buildId: string;
  /** Credentials for each registry that a FROM may name. */
  readonly authFor: (reference: string) => RegistryAuth | null;
}

/** What a build says while it goes on, in Docker's words and order. */
export type BuildMessage =
  | { readonly kind: 'stream'; readonly text: string }
  /** A step begins (its line follows as `stream`); D-Bus shows it as progress. */
  | { readonly kind: 'step'; readonly number: number; readonly total: number; readonly text: string }
  /** The image, at its end. */
  | { readonly kind: 'image'; readonly id: ImageId }
  /** Of a pull or a download. */
  | { readonly kind: 'progress'; readonly progress: Progress };

/** Takes messages in order; a promise asks the build to wait. */
export type BuildSink = (message: BuildMessage) => void | Promise<void>;

/** One thing that the cache keeps; `docker system df -v` shows it. */
export interface BuildCacheEntry {
  readonly id: string;
  readonly parents: readonly string[];
  readonly kind: 'regular' | 'exec.cachemount' | 'source.local';
  readonly description: string;
  readonly sizeBytes: number;
  readonly createdAt: Timestamp;
  readonly lastUsedAt: Timestamp | null;
  readonly uses: number;
  readonly inUse: boolean;
  /** True: its bytes belong to an image too. */
  readonly shared: boolean;
}

/** What of the cache is to go. All conditions must hold. */
export interface CachePruneRequest {
  /** Also what images share or later builds are likely to want; false: what nothing stands on alone. */
  readonly all: boolean;
  /** Go on until no more than so many bytes are left; null: take all that the other conditions let go. */
  readonly keepBytes: number | null;
  /** Most bytes that may be left, and least free bytes of the disk; null: no such rule. */
  readonly maxUsedBytes: number | null;
  readonly minFreeBytes: number | null;
  /** Not used since: as `until` of other prunes; null: any. */
  readonly until: string | null;
  /** Of BuildKit's filters: id, parent, type, description, inuse, mutable, immutable, shared, private. */
  readonly filters: ReadonlyMap<string, readonly string[]>;
}

/** What keeps the cache bounded by itself; rules are applied one after the other. */
export type CacheLimits =
  | { readonly kind: 'none' }
  /** BuildKit's own rules; null: parts of the disk. */
  | {
      readonly kind: 'usual';
      readonly reservedBytes: number | null;
      readonly maxUsedBytes: number | null;
      readonly minFreeBytes: number | null;
    }
  | { readonly kind: 'policy'; readonly rules: readonly CachePruneRequest[] };

/** The facade's verbs. */
export interface Builds {
  /**
   * Builds, and gives the image its names at the end. A step that fails is a {@link BuildFailure}; what is wrong with the
   * request or the Dockerfile is an InvalidArgumentError; nothing but the cache's good entries is left of it then.
   */
  build(
    request: BuildRequest,
    options: { readonly sink: BuildSink; readonly signal: AbortSignal },
  ): Promise<{ readonly id: ImageId }>;
  /** Ends a build by its name; false: there is none. */
  cancel(buildId: string): boolean;
  cache(): Promise<readonly BuildCacheEntry[]>;
  /** What `pruneCache` would take now, in its order; changes nothing. */
  previewPrune(request: CachePruneRequest): Promise<readonly BuildCacheEntry[]>;
  pruneCache(
    request: CachePruneRequest,
    signal: AbortSignal,
  ): Promise<{ readonly removed: readonly string[]; readonly reclaimedBytes: number }>;
}
