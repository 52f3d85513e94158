/** Metrics with what they are taken from; see compose.ts. */
import type { Clock } from '../../base/clock.ts';
import type { EngineContainers } from '../../engine/containers/index.ts';
import type { Events } from '../../engine/events/types.ts';
import type { BuildCounts } from '../../engine/metrics/build-counts.ts';
import { Histogram } from '../../engine/metrics/histogram.ts';
import { createMetrics } from '../../engine/metrics/index.ts';
import type { Metrics } from '../../engine/metrics/types.ts';
import type { Networks } from '../../engine/network/types.ts';
import type { SystemFacts } from '../../engine/system/types.ts';

/** The network room with the time taken of what dockerd takes it of. */
export function timedNetworks(
  networks: Networks,
  clock: Clock,
): { readonly networks: Networks; readonly times: Histogram } {
  const times = new Histogram('engine_daemon_network_actions_seconds', {
    help: 'The number of seconds it takes to process each network action',
    label: 'action',
  });
  return { networks: times.timing(networks, { complete: 'allocate', tearDown: 'release' }, clock), times };
}

/** The containers room with the time taken, and the metrics room above it. */
export function openMetrics(rooms: {
  readonly clock: Clock;
  readonly events: Events;
  readonly containers: EngineContainers;
  readonly system: SystemFacts;
  readonly networkTimes: Histogram;
  readonly builds: BuildCounts;
}): { readonly containers: EngineContainers; readonly metrics: Metrics & Disposable } {
  const { clock, events, containers, system, networkTimes, builds } = rooms;
  const times = new Histogram('engine_daemon_container_actions_seconds', {
    help: 'The number of seconds it takes to process each container action',
    label: 'action',
  });
  const actions = { changes: 'changes', commit: 'commit', create: 'create', remove: 'delete', start: 'start' };
  const facts = (): ReturnType<SystemFacts['info']> => system.info();
  const histograms = [times, networkTimes];
  return {
    containers: times.timing(containers, actions, clock),
    metrics: createMetrics({ clock, events, containers, facts, histograms, builds }),
  };
}
