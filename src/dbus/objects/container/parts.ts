import type { ContainerId } from '../../../base/ids.ts';
import type { Logger } from '../../../base/logger.ts';
import type { ContainerView, Engine } from '../../../engine/index.ts';
import type { Descriptors } from '../../bus/descriptors.ts';
import type { ObjectTree } from '../../bus/exported.ts';
import type { Jobs } from '../../jobs/jobs.ts';
import type { OpenStreams } from '../../bus/open-streams.ts';
import type { RestWords } from '../../words/rest-words.ts';

/** What the objects of containers and execs are made from. */
export interface ContainerParts {
  readonly engine: Pick<Engine, 'containers' | 'images' | 'events'>;
  readonly tree: ObjectTree;
  readonly jobs: Jobs;
  readonly descriptors: Descriptors;
  readonly streams: OpenStreams;
  readonly words: Pick<RestWords, 'inspectContainer' | 'statsText'>;
  readonly logger: Logger;
}

/** One container with its parts: what each verb works on. */
export interface Subject {
  readonly parts: ContainerParts;
  readonly id: ContainerId;
  /** The object's path. */
  readonly path: string;
  /** NotFoundError when it has just gone. */
  view(): ContainerView;
}
