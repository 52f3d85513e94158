/** Where what is built comes from; see compose.ts. */
import { join } from 'node:path';
import { PatientGatherer } from '../../engine/build/context/arrivals.ts';
import { createContexts } from '../../engine/build/context/contexts.ts';
import { fetchRepository } from '../../engine/build/context/git.ts';
import type { ContextOptions } from '../../engine/build/context/options.ts';
import type { Contexts } from '../../engine/build/context/types.ts';
import type { CopiesOptions } from '../../engine/build/copy/options.ts';
import { LinuxFiles } from '../../engine/kernel/linux/files.ts';
import type { RegistryClient } from '../../engine/registry/client.ts';
import { LayerWorkers } from '../../engine/storage/layers/workers.ts';
import { WorkerTreeGatherer } from '../../engine/storage/layers/worker-tree-gatherer.ts';
import { workerEntry } from '../own-files.ts';
import { proxiesOf } from './engine-options.ts';
import { programNamed } from './programs.ts';
import type { Ground } from './rooms.ts';

/** Each waits for as long as its client takes to send; one more worker is there for what ends at once. */
const MAX_ARRIVING = 8;
/** As long as git waits for a server that has fallen silent. */
const SILENCE_MS = 60_000;

/** What comes from outside for builds. */
export interface BuildSources {
  /** On the disk of the layers, with those gone that a killed engine has left there. */
  readonly contexts: Contexts;
  readonly fetchRepository: CopiesOptions['fetchRepository'];
}

/** Opens them; what must end with the engine goes into `resources`. */
export async function openBuildContexts(
  { clock, config, dataRoot, kernel, logger }: Ground,
  registry: Pick<RegistryClient, 'fetchFile'>,
  resources: AsyncDisposableStack,
): Promise<BuildSources> {
  const workers = resources.use(new LayerWorkers({ url: workerEntry('layer-worker'), clock, size: MAX_ARRIVING + 1 }));
  const options: ContextOptions = {
    directory: join(dataRoot, 'build-contexts'),
    gatherer: new PatientGatherer(new WorkerTreeGatherer(workers), {
      clock,
      atATime: MAX_ARRIVING,
      silenceMs: SILENCE_MS,
    }),
    registry,
    files: new LinuxFiles(),
    git: {
      processes: kernel.processes,
      program: () => programNamed(['git']),
      environment: () => {
        const { http, https, none } = proxiesOf(config);
        return { http_proxy: http, https_proxy: https, no_proxy: none };
      },
    },
    clock,
    logger,
  };
  const contexts = createContexts(options);
  await contexts.sweep();
  return { contexts, fetchRepository: async (wanted, signal) => fetchRepository(options, wanted, { signal }) };
}
