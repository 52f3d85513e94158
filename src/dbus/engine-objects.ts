/** Everything of the engine that is on the bus: manager, jobs, and one object each for what it has. */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Engine } from '../engine/index.ts';
import { ContainerUsers } from './container-users.ts';
import type { Descriptors } from './bus/descriptors.ts';
import type { ObjectTree } from './bus/exported.ts';
import { JobRegistry } from './jobs/job-registry.ts';
import { mirrorContainers } from './objects/container.ts';
import { mirrorImages } from './objects/image.ts';
import { exportManager } from './objects/engine.ts';
import { mirrorNetworks } from './objects/network.ts';
import { mirrorSchedules } from './objects/schedule.ts';
import { mirrorVolumes } from './objects/volume.ts';
import { OpenStreams } from './bus/open-streams.ts';
import type { RestWords } from './words/rest-words.ts';
import type { ServiceFacts } from './service-port.ts';

export interface ExportEngineOptions {
  readonly engine: Engine;
  readonly tree: ObjectTree;
  readonly descriptors: Descriptors;
  readonly words: RestWords;
  readonly facts: ServiceFacts;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface EngineObjects extends Disposable {
  readonly jobs: JobRegistry;
}

/** Puts it all into the tree; disposing stops following the engine. The jobs are the caller's to close, before. */
export async function exportEngine(options: ExportEngineOptions): Promise<EngineObjects> {
  const { engine, tree, clock, logger } = options;
  using following = new DisposableStack();
  const jobs = new JobRegistry({ tree, clock, logger });
  const streams = following.use(new OpenStreams(options));
  // Before the containers' mirror: a new container is in its image's list when its own object appears.
  const users = following.use(new ContainerUsers(engine));
  const images = following.use(await mirrorImages({ ...options, users, jobs, streams }));
  following.use(mirrorNetworks({ ...options, users }));
  following.use(mirrorVolumes({ ...options, users, jobs, streams }));
  following.use(mirrorSchedules({ engine, tree, jobs }));
  following.use(mirrorContainers({ ...options, jobs, streams }));
  following.use(await exportManager({ ...options, jobs, streams, imageCount: () => images.count }));
  const kept = following.move();
  return { jobs, [Symbol.dispose]: () => kept.dispose() };
}
