/**
 * Containers of builds: what a RUN runs in. To everybody they are containers like others; only that they are a step's is
 * in their row, where no label can put it, so that what a killed engine left of a build is found and taken away.
 *
 * Story: `createStep` makes one of a complete spec (nothing of the image's configuration is filled in); it is attached to,
 * started and waited for as any other; `captureStep` makes a layer of what it changed; then `remove`, or `keepStep`.
 */
import type { ContainerId } from '../../base/ids.ts';
import type { CapturedLayer, CaptureRequest } from '../storage/packing.ts';
import type { PlacedSecret } from './secrets/tree.ts';
import type { ContainerSpec } from './spec-types.ts';

/** What a step's process gets and nobody else ever sees: it is kept in memory alone. */
export interface StepParts {
  /** `NAME=value`, over those of the spec. */
  readonly env: readonly string[];
  /** Files on a file system in memory. */
  readonly secrets: readonly PlacedSecret[];
}

export interface StepContainers {
  /** As `create` of the other containers, with its errors. What is mounted in the step's root leaves no trace in it. */
  createStep(request: {
    readonly spec: ContainerSpec;
    readonly parts: StepParts;
  }): Promise<{ readonly id: ContainerId; readonly warnings: readonly string[] }>;
  /**
   * Makes a layer of what an ended step has changed; null when that is nothing. The blob goes into an existing empty file.
   * `isSpent`: the container is good for nothing but its removal afterwards. As `capture` of storage/packing.ts throws.
   */
  captureStep(
    id: ContainerId,
    options: Pick<CaptureRequest, 'blobPath' | 'latestTime'> & {
      readonly isSpent: boolean;
      readonly signal: AbortSignal;
    },
  ): Promise<CapturedLayer | null>;
  /** From now on it is a container like others. */
  keepStep(id: ContainerId): void;
  /** Steps of builds; after the engine's start all of them are left over. */
  steps(): readonly ContainerId[];
}
