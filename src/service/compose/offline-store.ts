/** The store of a daemon that does not run, held for as long as somebody works on it; see compose.ts. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { NotFoundError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { createEventBus } from '../../engine/events/event-bus.ts';
import type { Kernel } from '../../engine/kernel/kernel.ts';
import { Database } from '../../engine/state/database.ts';
import { LayerWorkers } from '../../engine/storage/layers/workers.ts';
import type { LiveConfig } from '../live-config.ts';
import { workerEntry } from '../own-files.ts';
import type { Ground } from './rooms.ts';

/** What work on a store without its daemon begins with. */
export interface OfflineParts {
  readonly config: LiveConfig;
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly version: string;
}

/**
 * The state file's lock keeps a daemon from starting until `resources` are disposed of. NotFoundError when there is no store;
 * UnavailableError when a daemon has it; DataLossError when the state file cannot be read.
 */
export function holdStore(
  { config, kernel, clock, logger, version }: OfflineParts,
  resources: AsyncDisposableStack,
): { readonly ground: Ground; readonly workers: LayerWorkers } {
  const dataRoot = config.get('data-root');
  const execRoot = config.get('exec-root');
  const stateFile = join(dataRoot, 'state.db');
  // To open is to make: no store shall come of a wrong path.
  if (!existsSync(stateFile)) throw new NotFoundError(`there is no store at ${dataRoot}`);
  const database = resources.use(Database.open(stateFile));
  const workers = resources.use(new LayerWorkers({ url: workerEntry('layer-worker'), clock }));
  const events = createEventBus(clock);
  return { ground: { config, logger, version, clock, kernel, events, database, dataRoot, execRoot }, workers };
}
