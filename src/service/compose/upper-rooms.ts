/** What looks at containers and images as wholes, and the door to all; see compose.ts. */
import type { BuildRoom } from '../../engine/build/index.ts';
import type { Builds } from '../../engine/build/types.ts';
import type { Engine } from '../../engine/engine.ts';
import type { EngineImageGc } from '../../engine/gc/index.ts';
import { withRoomFirst } from '../../engine/gc/room-first.ts';
import { BuildCounts } from '../../engine/metrics/build-counts.ts';
import { createPrune } from '../../engine/prune/index.ts';
import { createSchedules, type EngineSchedules } from '../../engine/schedules/index.ts';
import { createSystemFacts } from '../../engine/system/facts.ts';
import { limitsOfHost } from '../../engine/system/limits.ts';
import type { ReloadPart } from '../reload.ts';
import { networkWarnings } from '../tls.ts';
import { buildCachePart } from './build-cache.ts';
import { openBuilds } from './builds.ts';
import { configuredFacts } from './configured-facts.ts';
import { imageGcPart, openImageGc } from './image-gc.ts';
import type { ContainersAndBelow } from './lower-rooms.ts';
import { openMetrics } from './metrics.ts';
import { reloadPartsOf } from './reload-parts.ts';
import type { Ground } from './rooms.ts';
import { schedulesPart } from './schedules.ts';
import { suseSecretsPart } from './secrets.ts';
import { hostWarnings } from './closed-forward.ts';
import { openStoreCheck } from './store-check.ts';
import { openMigrationPlans } from './store-migration.ts';

/** The engine, and what the daemon itself asks of it. */
export interface UpperRooms {
  readonly engine: Engine;
  readonly schedules: EngineSchedules;
  readonly builds: Pick<BuildRoom, 'recover'>;
  readonly reloadParts: readonly ReloadPart[];
}

/** Opens them; what must end with the engine goes into `resources`. */
export async function openUpperRooms(
  ground: Ground,
  below: ContainersAndBelow,
  resources: AsyncDisposableStack,
): Promise<UpperRooms> {
  const { clock, database, events, logger } = ground;
  const { containers, images, networks, networkTimes, secrets, volumes } = below;
  const system = openSystemFacts(ground, below);
  const buildCounts = new BuildCounts();
  const measured = openMetrics({ clock, events, containers, system, networkTimes, builds: buildCounts });
  resources.use(measured.metrics);
  const late = new LateRelief();
  const builds = await openBuilds(ground, below, { gc: late, resources });
  const prune = createPrune({ containers, images, networks, volumes, builds, clock, events, logger });
  const gc = resources.use(openImageGc(ground, { prune, containers, images, builds }));
  late.is(gc);
  const check = openStoreCheck(ground, { ...below, driver: below.storage, images: images.store });
  const bounded = withRoomFirst(images, gc);
  const rooms = { containers, images: bounded, prune, gc };
  const schedules = createSchedules({ database, clock, logger, events, rooms });
  const { metrics } = measured;
  return {
    engine: {
      ...rooms,
      build: buildCounts.counting<Builds>(builds, clock),
      containers: measured.containers,
      metrics,
      networks,
      volumes,
      secrets,
      events,
      check,
      migration: openMigrationPlans(ground, { workers: below.workers, storage: below.otherStorage }),
      schedules,
      system,
    },
    schedules,
    builds,
    reloadParts: [
      ...reloadPartsOf(ground, below),
      suseSecretsPart(ground),
      imageGcPart(ground, gc),
      buildCachePart(ground, builds),
      schedulesPart(ground, schedules),
    ],
  };
}

/** Builds make room by collecting images, which prunes what builds keep: the collector is handed over when it is there. */
class LateRelief implements Pick<EngineImageGc, 'relieve'> {
  #gc: Pick<EngineImageGc, 'relieve'> | null = null;

  is(gc: Pick<EngineImageGc, 'relieve'>): void {
    this.#gc = gc;
  }

  async relieve(): Promise<void> {
    await this.#gc?.relieve();
  }
}

/** What `docker info` and `docker version` say. */
function openSystemFacts(ground: Ground, below: ContainersAndBelow) {
  const { apparmor, cdi, cgroups, firewall, logDrivers, monitor, runtimes, storage, userns, warnings } = below;
  for (const warning of warnings) ground.logger.warn(warning.replace(/^WARNING: /, ''));
  const asked = { cgroups, runtimes, storage, apparmor, isRemapped: userns.remap !== null };
  return createSystemFacts({
    configured: configuredFacts(ground, asked, [...logDrivers.values()]),
    storageStatus: () => storage.status(),
    firewall,
    limits: () => limitsOfHost(cgroups),
    cdi,
    versions: async () => ({
      runtime: (await runtimes.byName.get(runtimes.defaultName)?.version()) ?? '',
      monitor: await monitor.version(),
    }),
    warnings: [...warnings, ...networkWarnings(ground.config)],
    hostWarnings: hostWarnings(ground),
  });
}
