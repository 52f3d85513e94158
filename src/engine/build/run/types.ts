/**
 * RUN: a container of the stage's image, whose changes become a layer. With everything a container has: limits, networks,
 * the host's SUSE credentials, recovery when the engine is killed.
 */
import type { ContainerId } from '../../../base/ids.ts';
import type { RunScript } from '../../dockerfile/run-command.ts';
import type { RunMount } from '../../dockerfile/types.ts';
import type { ImageId } from '../../oci/digest.ts';
import type { ImageRunConfig, Platform } from '../../oci/image-spec.ts';
import type { OutputSink } from '../../oci/streams.ts';
import type { CapturedLayer } from '../../storage/packing.ts';
import type { SourceTree } from '../copy/types.ts';
import type { StepLimits } from '../types.ts';

/** A mount with what its `from` has been found to be. */
export interface ResolvedMount {
  readonly mount: RunMount;
  /** Bind: what is mounted; cache: what a new one begins with. Null: nothing (other kinds). */
  readonly from: SourceTree | null;
}

export interface RunRequest {
  /** In the catalog: the state that it stands on. */
  readonly image: ImageId;
  /** Of that state: environment, user, working directory. */
  readonly config: ImageRunConfig;
  /** Program and arguments; the shell's words are in it. */
  readonly command: readonly string[];
  /** Values of ARG and others that are seen by the command and kept nowhere. */
  readonly extraEnv: readonly string[];
  readonly mounts: readonly ResolvedMount[];
  /** Present: a program that the command starts, in no layer. */
  readonly script?: RunScript | null;
  readonly network: 'default' | 'none' | 'host';
  readonly security: 'sandbox' | 'insecure';
  readonly platform: Platform | null;
  readonly limits: StepLimits;
  /** Null: the engine's own of this name is meant. */
  readonly secrets: ReadonlyMap<string, Buffer | null>;
  readonly sshAgents: ReadonlyMap<string, string>;
  readonly sourceDateEpoch: number | null;
  readonly draftPath: string;
  /** Present and true: its container stays when it has succeeded (`--rm=false`), so its root cannot become the layer. */
  readonly isKept?: boolean;
  readonly output: OutputSink;
  /** Called with the container's id before it starts (` ---> Running in …`). */
  readonly onCreated: (id: ContainerId) => void;
  readonly signal: AbortSignal;
}

/**
 * How a RUN ended; dispose to remove its container (`keep` first to let it stay). That goes on behind the next step:
 * {@link RunSteps.settled} waits for it.
 */
export interface RunOutcome extends AsyncDisposable {
  readonly containerId: ContainerId;
  readonly exitCode: number;
  /** Null: nothing has changed, or it failed. */
  readonly layer: CapturedLayer | null;
  /** Its container stays (`--rm=false`): where it failed, or where that was asked for (`isKept`). */
  keep(): void;
}

export interface RunSteps {
  /**
   * Where the source of a bind leads in a directory, links followed inside it; absolute, as if that were the root.
   * InvalidArgumentError in BuildKit's words when it leads to nothing.
   */
  bindSource(directory: string, source: string): string;
  /** Rejects when it could not be started, or was cancelled: nothing is left of it then. */
  run(request: RunRequest): Promise<RunOutcome>;
  /** Resolves when the containers that are on their way out by now have gone. */
  settled(): Promise<void>;
  /** At start-up: removes containers and mounts of builds that a killed engine had under way. */
  sweep(): Promise<void>;
}
