/** How each room is opened with options out of the configuration; see compose.ts. */
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { InvalidArgumentError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Config } from '../../config/config.ts';
import { parsePrefixMirrors } from '../../config/prefix-mirrors.ts';
import { FileContentStore } from '../../engine/content/file-store.ts';
import type { ContentStore } from '../../engine/content/store.ts';
import type { Events } from '../../engine/events/types.ts';
import { createImages, type ImageRoom } from '../../engine/images/index.ts';
import type { ImageUsers } from '../../engine/images/types.ts';
import type { Kernel } from '../../engine/kernel/kernel.ts';
import { createInternetCalls } from '../../engine/kernel/linux/internet-sockets.ts';
import { ThreadedNameService } from '../../engine/network/dns/service.ts';
import { createNetworks, DEFAULT_ADDRESS_POOLS } from '../../engine/network/index.ts';
import type { HostFirewall } from '../../engine/network/host-firewall.ts';
import type { KeptSockets } from '../../engine/network/kept-sockets.ts';
import type { NameService } from '../../engine/network/name-service.ts';
import type { Networks } from '../../engine/network/types.ts';
import type { CgroupHost } from '../../engine/runtime/cgroups.ts';
import { chooseRuntimes, type RuntimeChoice } from '../../engine/runtime/choice.ts';
import type { OciProgram } from '../../engine/runtime/oci-program.ts';
import type { Database } from '../../engine/state/database.ts';
import { LayerTable } from '../../engine/state/layers.ts';
import type { StorageDriver } from '../../engine/storage/driver.ts';
import type { TreeMeter } from '../../engine/storage/measuring.ts';
import { claimLayers } from '../../engine/storage/layers/claim.ts';
import { DriverLayerStore } from '../../engine/storage/layers/driver-layer-store.ts';
import { DriverLayerPacker } from '../../engine/storage/layers/driver-layer-packer.ts';
import { DriverTreeBuilder } from '../../engine/storage/layers/driver-tree-builder.ts';
import { WorkerTreeCopier } from '../../engine/storage/layers/worker-tree-copier.ts';
import { LayerWorkers } from '../../engine/storage/layers/workers.ts';
import type { TreeBuilder } from '../../engine/storage/building.ts';
import type { TreeCopier } from '../../engine/storage/copying.ts';
import type { LayerPacker } from '../../engine/storage/packing.ts';
import { firewallOptionsOf, userlandProxyOf } from './firewall.ts';
import { engineId } from './engine-id.ts';
import { addedRuntimesOf, addressPoolsOf, cgroupDriverOf, networkOptionsOf, proxiesOf } from './engine-options.ts';
import { bestPlatform, hostPlatform } from './host-platform.ts';
import type { LiveConfig } from '../live-config.ts';
import { workerEntry } from '../own-files.ts';
import type { RegistryClient } from '../../engine/registry/client.ts';
import { renewableRegistryClient, type Renewable } from './renewable-registry.ts';

/** Each reads files in a thread of its own for as long as its client takes; more wait for their turn. */
const MAX_EXPORTS = 4;
/** Each reads or writes for as long as its client takes. */
const MAX_COPIES = 8;
/** Over in a millisecond. */
const MAX_LOOKS = 1;

/** What every room stands on. */
export interface Ground {
  readonly config: LiveConfig;
  readonly logger: Logger;
  readonly version: string;
  readonly clock: Clock;
  readonly kernel: Kernel;
  readonly events: Events;
  readonly database: Database;
  readonly dataRoot: string;
  readonly execRoot: string;
  /** Sockets of the engine's last run; null or absent: nobody keeps any. */
  readonly kept?: KeptSockets | null;
}

/** The runtimes that can be named now; a reload changes them in place. */
export interface LiveRuntimes {
  readonly byName: Map<string, OciProgram>;
  defaultName: string;
}

/** crun or runc, and what was added, by `config`; see runtime/choice.ts. */
export function chooseFrom(config: Config, { kernel, execRoot }: Ground, cgroups: CgroupHost): RuntimeChoice {
  const preferred = config.get('default-runtime');
  return chooseRuntimes({
    kernel,
    stateRoot: join(execRoot, 'runtimes'),
    cgroups,
    cgroupDriver: cgroupDriverOf(config, cgroups.version),
    preferred: preferred === '' ? null : preferred,
    added: addedRuntimesOf(config),
  });
}

/** Where trees are kept, and who walks them. */
interface Stores {
  readonly storage: StorageDriver;
  readonly workers: LayerWorkers;
  readonly meter: TreeMeter;
}

/** Content, layers, registry, and the room of names above them. */
export async function openImages(
  ground: Ground,
  { storage: driver, workers, meter }: Stores,
  resources: AsyncDisposableStack,
  users: ImageUsers,
): Promise<{
  readonly images: ImageRoom;
  readonly registry: Renewable & RegistryClient;
  readonly layers: DriverLayerStore;
  readonly packer: LayerPacker;
  readonly copier: TreeCopier;
  readonly builder: TreeBuilder;
  readonly content: ContentStore;
}> {
  const { config, clock, logger, database, dataRoot, kernel, events } = ground;
  const layerTable = new LayerTable(database, driver.name);
  await claimLayers(driver, layerTable);
  const mountRoot = join(ground.execRoot, 'layers');
  const layers = new DriverLayerStore({ driver, layers: layerTable, workers, kernel, mountRoot, logger });
  await layers.sweep();
  const openWorkers = (size: number): LayerWorkers =>
    resources.use(new LayerWorkers({ url: workerEntry('layer-worker'), clock, size }));
  const copier = new WorkerTreeCopier({ lookers: openWorkers(MAX_LOOKS), copiers: openWorkers(MAX_COPIES) });
  const packer = new DriverLayerPacker({ driver, layers, workers, streamers: openWorkers(MAX_EXPORTS), meter });
  const builder = new DriverTreeBuilder({ driver, layers, packer, workers });
  const registry = resources.use(
    renewableRegistryClient(async () => {
      const [{ createRegistryClient }, { CredentialsFile }] = await Promise.all([
        import('../../engine/registry/distribution-client.ts'),
        import('../../engine/registry/credentials.ts'),
      ]);
      return createRegistryClient({
        clock,
        logger,
        userAgent: `docker/${ground.version} moored/${ground.version} os/linux`,
        proxies: proxiesOf(config),
        certificatesDirectory: config.get('registry-certs-dir'),
        credentials: new CredentialsFile(config.get('registry-auth-file'), logger),
        insecureRegistries: config.get('insecure-registry'),
        mirrors: config.get('registry-mirror'),
        mirrorsByPrefix: config.get('registry').map(parsePrefixMirrors),
        addedRegistries: config.get('add-registry'),
        blockedRegistries: config.get('block-registry'),
      });
    }),
  );
  const content = await FileContentStore.open(join(dataRoot, 'content'));
  const images = createImages({
    database,
    content,
    layers,
    layerTable,
    packer,
    registry,
    events,
    users,
    clock,
    logger,
    platform: hostPlatform(),
    bestPlatform: bestPlatform(),
    engineVersion: ground.version,
    limits: imageLimitsOf(config),
    addedRegistries: () => config.get('add-registry'),
  });
  await images.recover();
  return { images, registry, layers, packer, copier, builder, content };
}

/** Limits of downloads and uploads. */
export function imageLimitsOf(config: Config): Parameters<ImageRoom['reconfigure']>[0] {
  return {
    maxConcurrentDownloads: config.get('max-concurrent-downloads'),
    maxDownloadAttempts: config.get('max-download-attempts'),
    maxConcurrentUploads: config.get('max-concurrent-uploads'),
  };
}

/** The network room with the default bridge as the flags want it. */
export function openNetworks(
  ground: Ground,
  resources: AsyncDisposableStack,
  hostFirewall: HostFirewall | null,
): Networks {
  const { config, kernel, database, events, clock, logger, execRoot } = ground;
  const named = config.get('bridge');
  if (named !== '' && config.get('bip') !== '' && config.get('bridge') === 'none') {
    throw new InvalidArgumentError('You specified --bip with --bridge none: there is no bridge to give the address to');
  }
  const bridgeName = named === '' ? 'docker0' : named;
  const optional = (text: string): string | null => (text === '' ? null : text);
  const pools = addressPoolsOf(config);
  return createNetworks(
    {
      kernel,
      database,
      events,
      clock,
      logger,
      names: openNameService(ground, resources),
      hostFirewall,
      portProxyUrl: workerEntry('port-proxy-worker'),
    },
    {
      defaultBridge:
        named === 'none'
          ? null
          : {
              bridgeName,
              bip: optional(config.get('bip')),
              fixedCidr: optional(config.get('fixed-cidr')),
              defaultGateway: optional(config.get('default-gateway')),
              mtu: config.get('mtu'),
              interContainer: config.get('icc'),
              masquerade: config.get('ip-masq'),
              defaultBindIp: config.get('ip'),
              addressPools: pools.length === 0 ? DEFAULT_ADDRESS_POOLS : pools,
              ipv6: config.get('ipv6')
                ? {
                    bip: optional(config.get('bip6')),
                    fixedCidr: optional(config.get('fixed-cidr-v6')),
                    defaultGateway: optional(config.get('default-gateway-v6')),
                  }
                : null,
            },
      defaultNetworkOptions: networkOptionsOf(config),
      firewall: firewallOptionsOf(config, bridgeName, execRoot),
      addressPools: pools.length === 0 ? DEFAULT_ADDRESS_POOLS : pools,
      engineId: engineId(database),
      ipForward: config.get('ip-forward'),
      ipForwardNoDrop: config.get('ip-forward-no-drop'),
      publishPolicy: config.get('publish-policy') === 'respect' ? 'respect' : 'open',
      userlandProxy: userlandProxyOf(config),
      netnsDirectory: join(execRoot, 'netns'),
    },
  );
}

/** Name servers of containers on users' networks. */
function openNameService(
  { config, kernel, clock, logger, kept = null }: Ground,
  resources: AsyncDisposableStack,
): NameService {
  const names = new ThreadedNameService({
    kernel,
    internet: createInternetCalls(),
    clock,
    logger,
    workerUrl: workerEntry('dns-worker'),
    resolvConfPath: '/etc/resolv.conf',
    ...(config.get('host-names') === '' ? {} : { hostDomain: config.get('host-names') }),
    kept,
  });
  resources.defer(() => names.close());
  return names;
}
