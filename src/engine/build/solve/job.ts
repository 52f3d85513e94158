import type { Clock } from '../../../base/clock.ts';
import type { Gate } from '../../../base/gate.ts';
import type { Logger } from '../../../base/logger.ts';
import type { ContentStore } from '../../content/store.ts';
import type { StoredImage } from '../../images/catalog.ts';
import type { ImageStore } from '../../images/index.ts';
import type { Images } from '../../images/types.ts';
import type { Platform } from '../../oci/image-spec.ts';
import type { TreeBuilder } from '../../storage/building.ts';
import type { LayerStore } from '../../storage/layers.ts';
import type { StepCache } from '../cache/step-cache.ts';
import type { BuildContext, Contexts } from '../context/types.ts';
import type { Copies } from '../copy/types.ts';
import type { RunSteps } from '../run/types.ts';
import type { BuildRequest } from '../types.ts';
import type { Documents } from './documents.ts';
import type { DraftImages } from './draft-images.ts';
import type { Holds } from './holds.ts';
import type { StageState } from './state.ts';
import type { StageVoice } from './transcript.ts';

/** What every build works with. */
export interface SolveGround {
  readonly images: Pick<Images, 'get' | 'find' | 'pull' | 'provide'>;
  readonly store: ImageStore;
  readonly content: ContentStore;
  readonly layers: Pick<LayerStore, 'stat' | 'unpack'>;
  readonly trees: Pick<TreeBuilder, 'merge'>;
  readonly contexts: Contexts;
  readonly copies: Copies;
  readonly runs: RunSteps;
  readonly cache: StepCache;
  readonly drafts: DraftImages;
  readonly clock: Clock;
  readonly logger: Logger;
  /** This machine's. */
  readonly platform: Platform;
  readonly engineVersion: string;
  /** Lets so many steps of one build work at a time. */
  readonly stepsAtATime: number;
}

/** One build under way. */
export interface BuildJob {
  readonly ground: SolveGround;
  readonly request: BuildRequest;
  readonly context: BuildContext;
  /** `SOURCE_DATE_EPOCH`, in seconds; null: not asked for. */
  readonly epoch: number | null;
  readonly signal: AbortSignal;
  readonly holds: Holds;
  readonly gate: Gate;
  readonly documents: Documents;
  /** `--cache-from` images that are here. */
  readonly cacheSources: readonly StoredImage[];
  /** Keys of steps that came from the cache. */
  readonly taken: Set<string>;
  /** Ends what the build has said it uses of the cache. */
  readonly uses: DisposableStack;
  /** What a stage is in the end. Begins to build it where nobody needed it until now. */
  stage(index: number): Promise<StageState>;
  /** Puts an image into the catalog until the build has ended. */
  needImage(image: StoredImage): Promise<void>;
}

/** Where a stage is, and where it speaks. */
export interface StagePlace {
  readonly job: BuildJob;
  readonly voice: StageVoice;
}
