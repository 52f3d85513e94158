import type { Route } from '../router.ts';
import { CONTAINER_STREAM_ROUTES } from './container-streams.ts';
import { CONTAINER_ROUTES } from './containers.ts';
import { EXEC_ROUTES } from './exec.ts';
import { IMAGE_TRANSFER_ROUTES } from './image-transfer.ts';
import { IMAGE_ROUTES } from './images.ts';
import { NETWORK_ROUTES } from './networks.ts';
import { PRUNE_ROUTES } from './prune.ts';
import { SWARM_ROUTES } from './swarm.ts';
import { SYSTEM_ROUTES } from './system.ts';
import { UNSUPPORTED_ROUTES } from './unsupported.ts';
import { VOLUME_ROUTES } from './volumes.ts';

/** Every endpoint we answer. docs/api-coverage.md must name each (a test compares). */
export const ROUTES: readonly Route[] = [
  ...SYSTEM_ROUTES,
  ...CONTAINER_ROUTES,
  ...CONTAINER_STREAM_ROUTES,
  ...EXEC_ROUTES,
  ...IMAGE_ROUTES,
  ...IMAGE_TRANSFER_ROUTES,
  ...NETWORK_ROUTES,
  ...VOLUME_ROUTES,
  ...PRUNE_ROUTES,
  ...SWARM_ROUTES,
  ...UNSUPPORTED_ROUTES,
];
