import type { Clock } from '../../../base/clock.ts';
import type { Logger } from '../../../base/logger.ts';
import type { Engine } from '../../../engine/index.ts';
import type { Descriptors } from '../../bus/descriptors.ts';
import type { MethodHandler, ObjectTree } from '../../bus/exported.ts';
import type { JobRegistry } from '../../jobs/job-registry.ts';
import type { OpenStreams } from '../../bus/open-streams.ts';
import type { RestWords } from '../../words/rest-words.ts';
import type { ServiceFacts } from '../../service-port.ts';

/** What the manager works with. */
export interface ManagerParts {
  readonly engine: Engine;
  readonly tree: ObjectTree;
  readonly jobs: JobRegistry;
  readonly descriptors: Descriptors;
  readonly streams: OpenStreams;
  readonly words: RestWords;
  readonly facts: ServiceFacts;
  readonly clock: Clock;
  readonly logger: Logger;
}

export type Methods = Readonly<Record<string, MethodHandler>>;
