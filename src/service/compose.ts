/**
 * The composition root: the only place that names implementations. Each room gets its own options here; no room ever sees
 * a configuration key.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { METRICS_ROUTES } from '../api/routes/metrics.ts';
import { createApiServer, type ApiServer } from '../api/server.ts';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { EngineContainers } from '../engine/containers/index.ts';
import type { Engine } from '../engine/engine.ts';
import type { Events } from '../engine/events/types.ts';
import { createEventBus } from '../engine/events/event-bus.ts';
import type { Kernel } from '../engine/kernel/kernel.ts';
import { LinuxFiles } from '../engine/kernel/linux/files.ts';
import type { KeptSockets } from '../engine/network/kept-sockets.ts';
import { Database } from '../engine/state/database.ts';
import { EventRepository } from '../engine/state/events.ts';
import type { EngineSchedules } from '../engine/schedules/index.ts';
import type { FirewallFacts } from '../engine/system/types.ts';
import { makeDataRoot } from './compose/data-root.ts';
import { openNamesOnHost } from './compose/host-names.ts';
import { openLowerRooms, type ContainersAndBelow } from './compose/lower-rooms.ts';
import type { Ground } from './compose/rooms.ts';
import { configuredSchedules } from './compose/schedules.ts';
import { openUpperRooms, type UpperRooms } from './compose/upper-rooms.ts';
import type { LiveConfig } from './live-config.ts';
import { logLifeEvents } from './log/life-events.ts';
import type { ReloadPart } from './reload.ts';

/** What compose needs. */
export interface ComposeOptions {
  readonly config: LiveConfig;
  readonly logger: Logger;
  readonly version: string;
  readonly kernel: Kernel;
  readonly clock: Clock;
  /** Sockets of the last run; absent: nobody keeps any. */
  readonly kept?: KeptSockets;
  /** Told how many containers are about to be recovered. */
  readonly onRecovery: (count: number) => void;
}

/** A composed daemon. */
export interface Daemon extends AsyncDisposable {
  readonly engine: Engine;
  readonly containers: Pick<EngineContainers, 'counts' | 'hasWorkAtBoot' | 'started'>;
  readonly schedules: Pick<EngineSchedules, 'hasWork' | 'listen'>;
  /** Serves the API wherever it is told to listen. */
  readonly api: ApiServer;
  /** Serves metrics and nothing else. */
  readonly metricsApi: Pick<ApiServer, 'listen'>;
  /** Tells of something that the daemon itself did. */
  publish(event: Parameters<Events['publish']>[0]): void;
  /** The packet filter as `docker info` has it. */
  firewall(): FirewallFacts;
  /** What a reload changes in the engine. */
  readonly reloadParts: readonly ReloadPart[];
  /** Ends all containers and takes bridge, rules, namespaces and mounts of this engine away; data stays. */
  tearDown(): Promise<void>;
  /**
   * Ends in good order: API, containers (by configuration), workers, state. Idempotent. Disposing without it is the end of
   * an engine that failed to start, which leaves what runs to the next one.
   */
  close(): Promise<void>;
}

/** Makes the engine, recovers what ran, and hands it to its fronts. */
export async function compose(options: ComposeOptions): Promise<Daemon> {
  const { config, logger, version, kernel, clock, kept = null, onRecovery } = options;
  await using resources = new AsyncDisposableStack();
  const dataRoot = config.get('data-root');
  const execRoot = config.get('exec-root');
  await makeDataRoot(dataRoot, logger);
  await mkdir(execRoot, { recursive: true, mode: 0o711 });
  const database = resources.use(openState(join(dataRoot, 'state.db')));
  const events = resources.use(createEventBus(clock, { store: new EventRepository(database), logger }));
  // From recovery on until all is closed: also what starts and ends with the engine is told.
  resources.use(logLifeEvents(events, logger));
  const ground: Ground = { config, logger, version, clock, kernel, events, database, dataRoot, execRoot, kept };
  const lower = await openLowerRooms(ground, resources);
  const upper = await openUpperRooms(ground, lower, resources);
  onRecovery(Number(database.get('SELECT count(*) AS count FROM container')?.['count'] ?? 0));
  await lower.containers.recover();
  await upper.builds.recover();
  await lower.images.settle();
  kept?.forgetRest();
  await openNamesOnHost(ground, lower.networks, resources);
  await upper.schedules.recover(configuredSchedules(config.snapshot));
  return daemonOf(ground, { lower, upper }, resources.move());
}

function openState(path: string): Database {
  const files = new LinuxFiles();
  return Database.open(path, (fd, offset, length) => files.allocate(fd, offset, length));
}

function daemonOf(
  ground: Ground,
  { lower, upper }: { readonly lower: ContainersAndBelow; readonly upper: UpperRooms },
  resources: AsyncDisposableStack,
): Daemon {
  const { containers, firewall, networks, isHostEnding } = lower;
  const { engine, schedules, reloadParts } = upper;
  const { clock, config, logger, version } = ground;
  const build = { version, gitCommit: 'moored', buildTime: '' };
  const serving = { engine, logger, clock, build, experimental: config.get('experimental') };
  const api = createApiServer(serving);
  const metricsApi = createApiServer(serving, METRICS_ROUTES);
  let isClosed = false;
  // Live restore is for the engine's own absence. What runs when the host goes down ends either way: better in good order.
  const stopsContainers = async (): Promise<boolean> => !config.get('live-restore') || (await isHostEnding());
  const close = async ({ stopContainers }: { readonly stopContainers: boolean }): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    await Promise.all([api.close(), metricsApi.close()]);
    // Before the containers: what a schedule has started goes on, or is stopped like any other.
    await schedules[Symbol.asyncDispose]();
    await containers.close({ stopContainers });
    await resources.disposeAsync();
  };
  return {
    engine,
    containers,
    schedules,
    api,
    metricsApi,
    publish: (event) => ground.events.publish(event),
    firewall,
    reloadParts,
    async tearDown() {
      for (const { id } of containers.list()) await containers.stop(id, { signal: 'KILL', timeoutSeconds: 0 });
      await containers.close({ stopContainers: true });
      await networks.shutDown();
      for (const path of ground.kernel.mounts.listBelow(ground.dataRoot)) {
        if (path !== ground.dataRoot) ground.kernel.mounts.unmount(path, { lazy: true });
      }
    },
    close: async () => close({ stopContainers: await stopsContainers() }),
    [Symbol.asyncDispose]: () => close({ stopContainers: false }),
  };
}
