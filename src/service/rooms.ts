/** How each room is opened with options out of the configuration; see compose.ts. */
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { InvalidArgumentError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Config } from '../config/config.ts';
import { FileContentStore } from '../engine/content/file-store.ts';
import type { Events } from '../engine/events/types.ts';
import { createImages } from '../engine/images/index.ts';
import type { Images, ImageUsers } from '../engine/images/types.ts';
import type { Kernel } from '../engine/kernel/kernel.ts';
import { createNetworks, DEFAULT_ADDRESS_POOLS } from '../engine/network/index.ts';
import type { Networks } from '../engine/network/types.ts';
import { createRegistryClient } from '../engine/registry/distribution-client.ts';
import type { Database } from '../engine/state/database.ts';
import { LayerTable } from '../engine/state/layers.ts';
import { chooseStorageDriver } from '../engine/storage/choice.ts';
import type { StorageDriver } from '../engine/storage/driver.ts';
import { driversHoldingData } from '../engine/storage/holding-data.ts';
import { DriverLayerStore } from '../engine/storage/layers/driver-layer-store.ts';
import type { LayerWorkers } from '../engine/storage/layers/workers.ts';
import { Overlay2Driver } from '../engine/storage/overlay2/driver.ts';
import { probeOverlay2 } from '../engine/storage/overlay2/probe.ts';
import { VfsDriver } from '../engine/storage/vfs/driver.ts';
import { addressPoolsOf, hostPlatform, proxiesOf } from './engine-options.ts';

const CERTIFICATES_DIRECTORY = '/etc/docker/certs.d';

/** What every room stands on. */
export interface Ground {
  readonly config: Config;
  readonly logger: Logger;
  readonly version: string;
  readonly clock: Clock;
  readonly kernel: Kernel;
  readonly events: Events;
  readonly database: Database;
  readonly dataRoot: string;
  readonly execRoot: string;
}

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

export async function openImages(
  ground: Ground,
  driver: StorageDriver,
  workers: LayerWorkers,
  resources: AsyncDisposableStack,
  users: ImageUsers,
): Promise<Images> {
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
    createRegistryClient({
      clock,
      logger,
      userAgent: `docker/${ground.version} moored/${ground.version} os/linux`,
      proxies: proxiesOf(config),
      certificatesDirectory: CERTIFICATES_DIRECTORY,
      insecureRegistries: config.get('insecure-registry'),
      mirrors: config.get('registry-mirror'),
    }),
  );
  return createImages({
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
    limits: {
      maxConcurrentDownloads: config.get('max-concurrent-downloads'),
      maxDownloadAttempts: config.get('max-download-attempts'),
    },
  });
}

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
