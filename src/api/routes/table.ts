import type { Route } from '../router.ts';
import { BUILD_ROUTES } from './build.ts';
import { CONTAINER_ARCHIVE_ROUTES } from './container-archive.ts';
import { CONTAINER_CHECKPOINT_ROUTES } from './container-checkpoints.ts';
import { CONTAINER_STREAM_ROUTES } from './container-streams.ts';
import { CONTAINER_TREE_ROUTES } from './container-tree.ts';
import { CONTAINER_USAGE_ROUTES } from './container-usage.ts';
import { CONTAINER_ROUTES } from './containers.ts';
import { DISTRIBUTION_ROUTES } from './distribution.ts';
import { EXEC_ROUTES } from './exec.ts';
import { IMAGE_TRANSFER_ROUTES } from './image-transfer.ts';
import { IMAGE_ROUTES } from './images.ts';
import { METRICS_ROUTES } from './metrics.ts';
import { NETWORK_ROUTES } from './networks.ts';
import { PRUNE_ROUTES } from './prune.ts';
import { SECRET_ROUTES } from './secrets.ts';
import { SWARM_ROUTES } from './swarm.ts';
import { SYSTEM_ROUTES } from './system.ts';
import { UNSUPPORTED_ROUTES } from './unsupported.ts';
import { UPKEEP_ROUTES } from './upkeep.ts';
import { VOLUME_ROUTES } from './volumes.ts';

/** Every endpoint we answer. docs/api-coverage.md must name each (a test compares). */
export const ROUTES: readonly Route[] = [
  ...SYSTEM_ROUTES,
  ...METRICS_ROUTES,
  // Before the removal of a container, whose name may be a link's with slashes.
  ...CONTAINER_CHECKPOINT_ROUTES,
  ...CONTAINER_ROUTES,
  ...CONTAINER_STREAM_ROUTES,
  ...CONTAINER_TREE_ROUTES,
  ...CONTAINER_ARCHIVE_ROUTES,
  ...CONTAINER_USAGE_ROUTES,
  ...EXEC_ROUTES,
  ...IMAGE_ROUTES,
  ...IMAGE_TRANSFER_ROUTES,
  ...BUILD_ROUTES,
  ...DISTRIBUTION_ROUTES,
  ...NETWORK_ROUTES,
  ...VOLUME_ROUTES,
  ...SECRET_ROUTES,
  ...PRUNE_ROUTES,
  ...UPKEEP_ROUTES,
  ...SWARM_ROUTES,
  ...UNSUPPORTED_ROUTES,
];
