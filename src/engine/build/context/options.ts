import type { Clock } from '../../../base/clock.ts';
import type { Logger } from '../../../base/logger.ts';
import type { FileCalls } from '../../kernel/files.ts';
import type { ProcessCalls } from '../../kernel/kernel.ts';
import type { RegistryClient } from '../../registry/client.ts';
import type { TreeGatherer } from '../../storage/gathering.ts';

/** What contexts are made with. */
export interface ContextOptions {
  /** Holds contexts and nothing else; on the disk of the layers, so that what COPY takes may share its bytes. */
  readonly directory: string;
  readonly gatherer: TreeGatherer;
  readonly registry: Pick<RegistryClient, 'fetchFile'>;
  readonly files: Pick<FileCalls, 'openBeneath' | 'openWithoutLinks'>;
  readonly git: GitOptions;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How repositories are fetched. */
export interface GitOptions {
  readonly processes: Pick<ProcessCalls, 'capture'>;
  /** Path of the program; null: it is not installed. */
  readonly program: () => string | null;
  /** For its proxies; nothing else of the daemon's own is handed on. */
  readonly environment: () => Readonly<Record<string, string>>;
}
