/** Containers, and the rooms that they stand on; see compose.ts. */
import { join } from 'node:path';
import type { EngineContainers } from '../../engine/containers/index.ts';
import type { ContentStore } from '../../engine/content/store.ts';
import type { ImageRoom } from '../../engine/images/index.ts';
import type { ImageUsers } from '../../engine/images/types.ts';
import { LogShipping } from '../../engine/logging/shipping.ts';
import type { Histogram } from '../../engine/metrics/histogram.ts';
import { createAppArmor } from '../../engine/runtime/apparmor/index.ts';
import { createCdiDevices } from '../../engine/runtime/cdi/index.ts';
import { detectCgroups, type CgroupHost } from '../../engine/runtime/cgroups.ts';
import { ConmonMonitor } from '../../engine/runtime/conmon/monitor.ts';
import type { RegistryClient } from '../../engine/registry/client.ts';
import type { BuildSecretSource, Secrets, SecretUsers } from '../../engine/secrets/types.ts';
import type { TreeBuilder } from '../../engine/storage/building.ts';
import { closing } from '../../engine/storage/driver.ts';
import type { DriverLayerStore } from '../../engine/storage/layers/driver-layer-store.ts';
import { WorkerTreeMeter } from '../../engine/storage/layers/measure/worker-tree-meter.ts';
import { LayerWorkers } from '../../engine/storage/layers/workers.ts';
import { limitsOfHost } from '../../engine/system/limits.ts';
import type { FirewallFacts } from '../../engine/system/types.ts';
import { workerEntry } from '../own-files.ts';
import { openContainers, openLogDrivers, type LowerRooms } from './containers-room.ts';
import { firewallFacts } from './firewall.ts';
import { openHostFirewall, reassertAfterReloads } from './host-firewall.ts';
import { timedNetworks } from './metrics.ts';
import { programNamed, requiredProgram } from './programs.ts';
import type { Renewable } from './renewable-registry.ts';
import { chooseFrom, openImages, openNetworks, type Ground, type LiveRuntimes } from './rooms.ts';
import { openSecrets } from './secrets.ts';
import { openStorage } from './storage.ts';
import { openSystemd, type Systemd } from './systemd.ts';
import { openUserns } from './userns.ts';
import { openVolumes } from './volumes.ts';

/** Containers with all below them. */
export interface ContainersAndBelow extends LowerRooms {
  readonly containers: EngineContainers;
  readonly monitor: ConmonMonitor;
  readonly workers: LayerWorkers;
  readonly layers: DriverLayerStore;
  readonly content: ContentStore;
  readonly images: ImageRoom;
  readonly registry: Renewable & RegistryClient;
  readonly meter: WorkerTreeMeter;
  readonly builder: TreeBuilder;
  readonly secrets: Secrets & BuildSecretSource;
  readonly networkTimes: Histogram;
  readonly isHostEnding: Systemd['isHostEnding'];
  readonly firewall: () => FirewallFacts;
  /** What was found while opening, as `docker info` says it. */
  readonly warnings: readonly string[];
}

/** Opens them from the ground up; what must end with the engine goes into `resources`. */
export async function openLowerRooms(ground: Ground, resources: AsyncDisposableStack): Promise<ContainersAndBelow> {
  const cgroups = detectCgroups();
  const choice = chooseFrom(ground.config, ground, cgroups);
  const runtimes: LiveRuntimes = { byName: new Map(choice.runtimes), defaultName: choice.defaultName };
  const logs = openLogs(ground, resources);
  const stores = await openStores(ground, resources);
  const monitoring = openMonitor(ground, cgroups, resources);
  const hostFirewall = openHostFirewall(ground, resources);
  const networking = timedNetworks(openNetworks(ground, resources, hostFirewall), ground.clock);
  // A thread that still served when the process ends would abort it.
  resources.defer(() => networking.networks.close());
  if (hostFirewall !== null) {
    resources.use(reassertAfterReloads(hostFirewall, networking.networks, ground.logger));
  }
  const users = new LateUsers();
  const imageRooms = await openImages(ground, stores, resources, users);
  const below = {
    cgroups,
    runtimes,
    ...logs,
    ...stores,
    ...monitoring,
    ...imageRooms,
    networks: networking.networks,
    firewall: firewallFacts(ground.config, hostFirewall),
    secrets: openSecrets(ground, users),
    ...(await openHost(ground, cgroups, stores.storage.name)),
  };
  const containers = openContainers(ground, below);
  users.are(containers);
  const warnings = [...choice.warnings, ...stores.storageWarnings.map((warning) => `WARNING: ${warning}`)];
  return { ...below, containers, warnings, networkTimes: networking.times };
}

/** Images and secrets ask who uses them, containers ask for both: the door is handed over before the room is there. */
class LateUsers implements ImageUsers, SecretUsers {
  #users: (ImageUsers & SecretUsers) | null = null;

  are(users: ImageUsers & SecretUsers): void {
    this.#users = users;
  }

  containersOf(...asked: Parameters<ImageUsers['containersOf']>): ReturnType<ImageUsers['containersOf']> {
    return this.#users?.containersOf(...asked) ?? [];
  }

  secretUsersOf(...asked: Parameters<SecretUsers['secretUsersOf']>): ReturnType<SecretUsers['secretUsersOf']> {
    return this.#users?.secretUsersOf(...asked) ?? [];
  }
}

function openLogs({ clock, logger }: Ground, resources: AsyncDisposableStack) {
  const logDrivers = new Map(openLogDrivers().map((driver) => [driver.name, driver]));
  const pump = { url: workerEntry('log-pump-worker'), clock, logger };
  return { logDrivers, logShipping: resources.use(new LogShipping(pump)) };
}

/** Where trees are kept, and who walks them. */
async function openStores(ground: Ground, resources: AsyncDisposableStack) {
  const url = workerEntry('layer-worker');
  const workers = resources.use(new LayerWorkers({ url, clock: ground.clock }));
  const meter = new WorkerTreeMeter(resources.use(new LayerWorkers({ url, clock: ground.clock, size: 1 })));
  const { driver, others, warnings } = await openStorage(ground, workers);
  resources.use(closing(driver));
  resources.use(others);
  return {
    workers,
    meter,
    storage: driver,
    otherStorage: others,
    storageWarnings: warnings,
    volumes: await openVolumes(ground, { workers, meter }),
  };
}

/** Who looks after containers' processes, in the scope that systemd gives it. */
function openMonitor(ground: Ground, cgroups: CgroupHost, resources: AsyncDisposableStack) {
  const { kernel, clock, execRoot } = ground;
  const conmonPath = requiredProgram('conmon');
  const { isHostEnding, units, ...scope } = openSystemd(ground, cgroups, resources);
  const root = join(execRoot, 'monitor');
  const monitor = resources.use(new ConmonMonitor({ kernel, clock, conmonPath, root, cgroups, ...scope }));
  return { monitor, isHostEnding, ...(units === undefined ? {} : { units }) };
}

/** What this host lets containers have. */
async function openHost(ground: Ground, cgroups: CgroupHost, storageDriver: string) {
  const { config, kernel } = ground;
  return {
    limits: await limitsOfHost(cgroups),
    cdi: createCdiDevices(config.get('cdi-spec-dir')),
    apparmor: createAppArmor({ kernel, parserPath: programNamed(['apparmor_parser']) }),
    userns: await openUserns(ground, storageDriver),
  };
}
