import type { Clock } from '../../base/clock.ts';
import type { Containers, ContainerView } from '../containers/types.ts';
import type { Events } from '../events/types.ts';
import type { BuildCounts } from './build-counts.ts';
import { containerFamilies, type ContainerSample } from './container-families.ts';
import { Counts } from './counts.ts';
import { engineFamilies, processFamilies } from './engine-families.ts';
import { textOf, type Family } from './exposition.ts';
import type { Histogram } from './histogram.ts';
import type { EngineFacts, Metrics } from './types.ts';

/** How long the thread is kept before others have their turn: a look at one container takes a third of this. */
const TURN_MS = 1;

/** What the room is given to work with. */
export interface MetricsDependencies {
  readonly clock: Clock;
  readonly events: Pick<Events, 'listen' | 'followerCount'>;
  readonly containers: Pick<Containers, 'list' | 'get' | 'watch' | 'usage'>;
  readonly facts: () => Promise<EngineFacts>;
  /** What was timed elsewhere. */
  readonly histograms: readonly Histogram[];
  /** What was counted elsewhere. */
  readonly builds?: Pick<BuildCounts, 'families'>;
}

/** Makes the room; dispose to stop counting. */
export function createMetrics(dependencies: MetricsDependencies): Metrics & Disposable {
  const { clock, events, containers, facts, histograms, builds } = dependencies;
  const counts = new Counts(events, containers);
  let looking: Promise<Look> | null = null;

  const look = async (): Promise<Look> => {
    const views = containers.list();
    const samples = await sampleAll(views, dependencies, counts);
    const known = await facts();
    const engine = [
      ...engineFamilies(known, { containers: views, counts, followers: events.followerCount }),
      ...histograms.map((histogram) => histogram.family()),
      ...(builds?.families() ?? []),
      ...processFamilies(),
    ];
    return { engine, samples };
  };

  return {
    async *scrape(signal) {
      looking ??= look().finally(() => {
        looking = null;
      });
      for (const family of familiesOf(await looking)) {
        for (const text of textOf(family)) {
          if (signal.aborted) return;
          yield text;
        }
        await clock.sleep(0, signal);
      }
    },
    [Symbol.dispose]: () => counts[Symbol.dispose](),
  };
}

/** What was seen at one moment. */
interface Look {
  readonly engine: readonly Family[];
  readonly samples: readonly ContainerSample[];
}

function* familiesOf({ engine, samples }: Look): Generator<Family> {
  yield* engine;
  yield* containerFamilies(samples);
}

async function sampleAll(
  views: readonly ContainerView[],
  { clock, containers }: Pick<MetricsDependencies, 'clock' | 'containers'>,
  counts: Counts,
): Promise<readonly ContainerSample[]> {
  const samples: ContainerSample[] = [];
  let turnMs = clock.monotonicMs();
  for (const view of views) {
    // It may be removed while we look at others.
    const usage = await containers.usage(view.id).catch(() => null);
    samples.push({ view, usage, outOfMemory: counts.outOfMemory(view.id) });
    if (clock.monotonicMs() - turnMs < TURN_MS) continue;
    await clock.sleep(0);
    turnMs = clock.monotonicMs();
  }
  return samples;
}
