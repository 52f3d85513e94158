/** How each room is opened with options out of the configuration; see compose.ts. */
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { InvalidArgumentError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Config } from '../../config/config.ts';
import { FileContentStore } from '../../engine/content/file-store.ts';
import type { Events } from '../../engine/events/types.ts';
import { createImages, type ImageRoom } from '../../engine/images/index.ts';
import type { ImageUsers } from '../../engine/images/types.ts';
import type { Kernel } from '../../engine/kernel/kernel.ts';
import { createNetworks, DEFAULT_ADDRESS_POOLS } from '../../engine/network/index.ts';
import type { Networks } from '../../engine/network/types.ts';
import type { CgroupHost } from '../../engine/runtime/cgroups.ts';
import { chooseRuntimes, type RuntimeChoice } from '../../engine/runtime/choice.ts';
import type { OciProgram } from '../../engine/runtime/oci-program.ts';
import type { Database } from '../../engine/state/database.ts';
import { LayerTable } from '../../engine/state/layers.ts';
import { chooseStorageDriver } from '../../engine/storage/choice.ts';
import type { StorageDriver } from '../../engine/storage/driver.ts';
import { driversHoldingData } from '../../engine/storage/holding-data.ts';
import { DriverLayerStore } from '../../engine/storage/layers/driver-layer-store.ts';
import type { LayerWorkers } from '../../engine/storage/layers/workers.ts';
import { Overlay2Driver } from '../../engine/storage/overlay2/driver.ts';
import { probeOverlay2 } from '../../engine/storage/overlay2/probe.ts';
import { VfsDriver } from '../../engine/storage/vfs/driver.ts';
import { addedRuntimesOf, addressPoolsOf, cgroupDriverOf, hostPlatform, proxiesOf } from './engine-options.ts';
import type { LiveConfig } from '../live-config.ts';
import { renewableRegistryClient, type Renewable } from './renewable-registry.ts';

const CERTIFICATES_DIRECTORY = '/etc/docker/certs.d';

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

/** The driver that was asked for, that holds data, or that works here; see storage/choice.ts. */
export async function openStorage(
  ground: Ground,
  workers: LayerWorkers,
): Promise<{ readonly driver: StorageDriver; readonly warning: string | null }> {
  const { config, kernel, dataRoot } = ground;
  const overlayRoot = join(dataRoot, 'overlay2');
  const vfsRoot = join(dataRoot, 'vfs');
  const asked = config.get('storage-driver');
  const probe = asked === 'vfs' ? null : await probeOverlay2(kernel, dataRoot);
  const choice = chooseStorageDriver({
    asked: asked === '' ? null : asked,
    holdingData: await driversHoldingData(dataRoot),
    overlay2Problem: probe === null ? null : probe.works ? null : probe.reason,
  });
  const storageOptions = config.get('storage-opt');
  if (choice.driver === 'overlay2' && probe?.works === true) {
    const driver = await Overlay2Driver.open({ root: overlayRoot, support: probe.support, storageOptions });
    return { driver, warning: choice.warning };
  }
  const copyTree = async (from: string, to: string): Promise<void> => workers.copyTree(from, to);
  return { driver: await VfsDriver.open({ root: vfsRoot, copyTree, storageOptions }), warning: choice.warning };
}

/** Content, layers, registry, and the room of names above them. */
export async function openImages(
  ground: Ground,
  driver: StorageDriver,
  workers: LayerWorkers,
  resources: AsyncDisposableStack,
  users: ImageUsers,
): Promise<{ readonly images: ImageRoom; readonly registry: Renewable }> {
  const { config, clock, logger, database, dataRoot, kernel, events } = ground;
  const layers = new DriverLayerStore({
    driver,
    layers: new LayerTable(database),
    workers,
    kernel,
    mountRoot: join(ground.execRoot, 'layers'),
    logger,
  });
  await layers.sweep();
  const registry = resources.use(
    renewableRegistryClient(async () => {
      const { createRegistryClient } = await import('../../engine/registry/distribution-client.ts');
      return createRegistryClient({
        clock,
        logger,
        userAgent: `docker/${ground.version} moored/${ground.version} os/linux`,
        proxies: proxiesOf(config),
        certificatesDirectory: CERTIFICATES_DIRECTORY,
        insecureRegistries: config.get('insecure-registry'),
        mirrors: config.get('registry-mirror'),
      });
    }),
  );
  const images = createImages({
    database,
    content: await FileContentStore.open(join(dataRoot, 'content')),
    layers,
    registry,
    events,
    users,
    clock,
    logger,
    platform: hostPlatform(),
    engineVersion: ground.version,
    limits: imageLimitsOf(config),
  });
  await images.recover();
  return { images, registry };
}

/** Limits of downloads. */
export function imageLimitsOf(config: Config): Parameters<ImageRoom['reconfigure']>[0] {
  return {
    maxConcurrentDownloads: config.get('max-concurrent-downloads'),
    maxDownloadAttempts: config.get('max-download-attempts'),
  };
}

/** The network room with the default bridge as the flags want it. */
export function openNetworks({ config, kernel, database, events, clock, logger, execRoot }: Ground): Networks {
  const named = config.get('bridge');
  if (named !== '' && config.get('bip') !== '' && config.get('bridge') === 'none') {
    throw new InvalidArgumentError('You specified --bip with --bridge none: there is no bridge to give the address to');
  }
  const bridgeName = named === '' ? 'docker0' : named;
  const optional = (text: string): string | null => (text === '' ? null : text);
  const pools = addressPoolsOf(config);
  return createNetworks(
    { kernel, database, events, clock, logger },
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
            },
      firewall: config.get('iptables') ? { kind: 'nftables', tableName: `moored-${bridgeName}` } : { kind: 'none' },
      ipForward: config.get('ip-forward'),
      netnsDirectory: join(execRoot, 'netns'),
    },
  );
}
