/**
 * The composition root: the only place that names implementations. Each room gets its own options here; no room ever sees
 * a configuration key.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createApiServer, type ApiServer } from '../api/server.ts';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { EngineContainers } from '../engine/containers/index.ts';
import type { Engine } from '../engine/engine.ts';
import type { Events } from '../engine/events/types.ts';
import { createEventBus } from '../engine/events/event-bus.ts';
import type { Kernel } from '../engine/kernel/kernel.ts';
import { LinuxFiles } from '../engine/kernel/linux/files.ts';
import type { Networks } from '../engine/network/types.ts';
import { detectCgroups } from '../engine/runtime/cgroups.ts';
import { ConmonMonitor } from '../engine/runtime/conmon/monitor.ts';
import type { ImageUsers } from '../engine/images/types.ts';
import { Database } from '../engine/state/database.ts';
import { LayerWorkers } from '../engine/storage/layers/workers.ts';
import { DirectoryContents } from '../engine/storage/directory-contents.ts';
import { createPrune } from '../engine/prune/index.ts';
import { createSchedules, type EngineSchedules } from '../engine/schedules/index.ts';
import { createSystemFacts, limitsOfHost } from '../engine/system/facts.ts';
import { createVolumes } from '../engine/volumes/index.ts';
import { LocalVolumeDriver } from '../engine/volumes/local/driver.ts';
import { openContainers, openLogDrivers } from './compose/containers-room.ts';
import { configuredFacts } from './compose/configured-facts.ts';
import { configuredSchedules, schedulesPart } from './compose/schedules.ts';
import { openSystemd } from './compose/systemd.ts';
import { requiredProgram } from './compose/programs.ts';
import { workerEntry } from './own-files.ts';
import { reloadPartsOf } from './compose/reload-parts.ts';
import { chooseFrom, openImages, openNetworks, openStorage, type Ground, type LiveRuntimes } from './compose/rooms.ts';
import type { LiveConfig } from './live-config.ts';
import { logLifeEvents } from './log/life-events.ts';
import type { ReloadPart } from './reload.ts';
import { networkWarnings } from './tls.ts';

/** What compose needs. */
export interface ComposeOptions {
  readonly config: LiveConfig;
  readonly logger: Logger;
  readonly version: string;
  readonly kernel: Kernel;
  readonly clock: Clock;
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
  /** Tells of something that the daemon itself did. */
  publish(event: Parameters<Events['publish']>[0]): void;
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
  const { config, logger, version, kernel, clock, onRecovery } = options;
  await using resources = new AsyncDisposableStack();
  const dataRoot = config.get('data-root');
  const execRoot = config.get('exec-root');
  await mkdir(dataRoot, { recursive: true, mode: 0o710 });
  await mkdir(execRoot, { recursive: true, mode: 0o711 });
  const events = createEventBus(clock);
  // From recovery on until all is closed: also what starts and ends with the engine is told.
  resources.use(logLifeEvents(events, logger));
  const ground: Ground = {
    config,
    logger,
    version,
    clock,
    kernel,
    events,
    database: resources.use(Database.open(join(dataRoot, 'state.db'))),
    dataRoot,
    execRoot,
  };
  const rooms = await openRooms(ground, resources);
  onRecovery(Number(ground.database.get('SELECT count(*) AS count FROM container')?.['count'] ?? 0));
  await rooms.containers.recover();
  await rooms.schedules.recover(configuredSchedules(ground.config.snapshot));
  return daemonOf(ground, rooms, resources.move());
}

interface OpenRooms {
  readonly engine: Engine;
  readonly containers: EngineContainers;
  readonly networks: Networks;
  readonly schedules: EngineSchedules;
  readonly reloadParts: readonly ReloadPart[];
  readonly isHostEnding: () => Promise<boolean>;
}

async function openRooms(ground: Ground, resources: AsyncDisposableStack): Promise<OpenRooms> {
  const { config, kernel, clock, events, database, dataRoot, execRoot } = ground;
  const cgroups = detectCgroups();
  const choice = chooseFrom(config, ground, cgroups);
  const runtimes: LiveRuntimes = { byName: new Map(choice.runtimes), defaultName: choice.defaultName };
  const logDrivers = new Map(openLogDrivers().map((driver) => [driver.name, driver]));
  const workers = resources.use(new LayerWorkers({ url: workerEntry('layer-worker'), clock }));
  const storage = await openStorage(ground, workers);
  const networks = openNetworks(ground);
  const spoolDirectory = join(dataRoot, 'volumes-receive');
  const contents = new DirectoryContents({ workers, files: () => new LinuxFiles(), spoolDirectory });
  const local = new LocalVolumeDriver(join(dataRoot, 'volumes'));
  const volumes = createVolumes({ database, clock, events, drivers: new Map([[local.name, local]]), contents });
  const conmonPath = requiredProgram('conmon');
  const { isHostEnding, ...monitors } = openSystemd(ground, cgroups, resources);
  const monitor = resources.use(
    new ConmonMonitor({
      kernel,
      clock,
      conmonPath,
      root: join(execRoot, 'monitor'),
      cgroups,
      ...monitors,
    }),
  );
  // Images ask who uses them, containers ask for images: the door is handed over before the room is there.
  let users: ImageUsers = { containersOf: () => [] };
  const { images, registry } = await openImages(ground, storage.driver, workers, resources, {
    containersOf: (imageId) => users.containersOf(imageId),
  });
  const limits = await limitsOfHost(cgroups.version);
  const below = { cgroups, runtimes, logDrivers, storage: storage.driver, networks, volumes, images, monitor, limits };
  const containers = openContainers(ground, below);
  users = containers;

  const found = [...choice.warnings, ...(storage.warning === null ? [] : [`WARNING: ${storage.warning}`])];
  for (const warning of found) ground.logger.warn(warning.replace(/^WARNING: /, ''));
  const system = createSystemFacts({
    configured: configuredFacts(ground, cgroups, runtimes, storage.driver, [...logDrivers.values()]),
    storageStatus: () => storage.driver.status(),
    versions: async () => ({
      runtime: (await runtimes.byName.get(runtimes.defaultName)?.version()) ?? '',
      monitor: await monitor.version(),
    }),
    warnings: [...found, ...networkWarnings(config)],
  });
  const prune = createPrune({ containers, images, volumes, clock, logger: ground.logger });
  const rooms = { containers, images, registry, networks, runtimes, logDrivers, cgroups };
  const schedules = createSchedules({ database, clock, logger: ground.logger, events, rooms: { ...rooms, prune } });
  const engine = { containers, images, networks, volumes, events, prune, schedules, system };
  const reloadParts = [...reloadPartsOf(ground, rooms), schedulesPart(ground, schedules)];
  return { engine, containers, networks, schedules, reloadParts, isHostEnding };
}

function daemonOf(
  ground: Ground,
  { engine, containers, networks, schedules, reloadParts, isHostEnding }: OpenRooms,
  resources: AsyncDisposableStack,
): Daemon {
  const { clock, config, logger, version } = ground;
  const api = createApiServer({ engine, logger, clock, build: { version, gitCommit: 'moored', buildTime: '' } });
  let isClosed = false;
  // Live restore is for the engine's own absence. What runs when the host goes down ends either way: better in good order.
  const stopsContainers = async (): Promise<boolean> => !config.get('live-restore') || (await isHostEnding());
  const close = async ({ stopContainers }: { readonly stopContainers: boolean }): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    await api.close();
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
    publish: (event) => ground.events.publish(event),
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
