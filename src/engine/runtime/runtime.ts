/**
 * An OCI runtime program (crun, runc): thin, one process call or less for each method, no state logic.
 *
 * Vocabulary: a *bundle* is a directory with `config.json`; `create` leaves the container's first process waiting;
 * `start` lets it go. `create` and `exec` are run by the monitor, which owns the container's stdio, so they are not here:
 * the monitor takes `program` from this seam.
 *
 * Errors: InternalError with the runtime's own last message (`OCI runtime create failed: …`, see errors.ts);
 * NotFoundError when the runtime no longer knows the container.
 */
import type { ContainerId } from '../../base/ids.ts';
import type { LinuxResources } from '../oci/runtime-spec.ts';
import type { CheckpointPlace } from './checkpoints.ts';

export interface OciRuntime {
  /** Name users give: `crun`, `runc`, or an added one. */
  readonly name: string;
  /** Absolute path and global arguments (`--root …`). */
  readonly program: {
    readonly path: string;
    readonly globalArguments: readonly string[];
    /** Those that were configured with an added runtime. */
    readonly extraArguments?: readonly string[];
  };
  /** True when it takes a compiled seccomp program by annotation `run.oci.seccomp_bpf_data`. */
  readonly acceptsCompiledSeccomp: boolean;
  /** True when `create` may look at the links of the network that it joins (Kata's does): they have to be there. */
  readonly readsNetwork: boolean;
  start(id: ContainerId): Promise<void>;
  /** Signals the first process, or all processes. NotFoundError when nothing runs. */
  kill(id: ContainerId, signal: number, options?: { readonly all?: boolean }): Promise<void>;
  /** Removes state and cgroup; `force` kills first. Idempotent. */
  delete(id: ContainerId, options?: { readonly force?: boolean }): Promise<void>;
  pause(id: ContainerId): Promise<void>;
  resume(id: ContainerId): Promise<void>;
  update(id: ContainerId, resources: LinuxResources): Promise<void>;
  /** Why no container of this runtime can be checkpointed or restored on this host, or null. */
  obstacleToCheckpoints(): Promise<string | null>;
  /** Writes the processes' state to an empty directory; they end by it unless they are to go on. */
  checkpoint(id: ContainerId, place: CheckpointPlace, options: { readonly leaveRunning: boolean }): Promise<void>;
  /** Null when the runtime does not know it. */
  state(id: ContainerId): Promise<{ readonly ociStatus: string; readonly pid: number } | null>;
}
