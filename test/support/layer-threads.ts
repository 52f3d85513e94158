/** Layer workers for tests: the same ones for all of a file, since a thread takes longer to start than most of them. */
import { SystemClock } from '../../src/base/clock.ts';
import { LayerWorkers } from '../../src/engine/storage/layers/workers.ts';
import { comesAlive } from './left-alive.ts';

const LAYER_WORKER_URL = new URL('../../src/service/layer-worker.ts', import.meta.url);
const AN_HOUR_MS = 3_600_000;
const shared = new Map<string, LayerWorkers>();

/** Each `use` has threads of its own. They end with the file. */
export function layerThreads(use: 'work' | 'streams'): LayerWorkers {
  const known = shared.get(use);
  if (known !== undefined) return known;
  const made = new LayerWorkers({ url: LAYER_WORKER_URL, clock: new SystemClock(), idleMs: AN_HOUR_MS });
  shared.set(use, made);
  // In an emulated machine another file of the same process may come after this one.
  comesAlive({
    async [Symbol.asyncDispose]() {
      shared.delete(use);
      await made[Symbol.asyncDispose]();
    },
  });
  return made;
}
