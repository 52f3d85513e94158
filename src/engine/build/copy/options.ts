import type { Clock } from '../../../base/clock.ts';
import type { RegistryClient } from '../../registry/client.ts';
import type { TreeBuilder } from '../../storage/building.ts';
import type { CopyRequest } from './types.ts';

/** What copies are made with. */
export interface CopiesOptions {
  readonly builder: TreeBuilder;
  readonly registry: Pick<RegistryClient, 'fetchFile'>;
  /** Where downloads lie meanwhile: on the disk of the layers; emptied at the engine's start by whoever owns it. */
  readonly directory: string;
  /**
   * Fetches a repository into a directory, which is made or empty; gives the place in it that is meant. Its `.git` is left
   * in `place` when `keepsRecords`.
   */
  readonly fetchRepository: (
    wanted: { readonly address: string; readonly place: string; readonly keepsRecords: boolean },
    signal: AbortSignal,
  ) => Promise<string>;
  readonly deleteTree: (path: string) => Promise<void>;
  readonly clock: Clock;
}

/** The part of a request that sources are found by. */
export type SourceRequest = Pick<CopyRequest, 'verb' | 'words' | 'from' | 'sink' | 'signal'>;
