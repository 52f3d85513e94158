/** The build room, and what it works with; see compose.ts. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createBuilds, type BuildRoom } from '../../engine/build/index.ts';
import { createCopies } from '../../engine/build/copy/copies.ts';
import { CacheMountStore } from '../../engine/build/run/cache-store.ts';
import { createRunSteps } from '../../engine/build/run/steps.ts';
import type { EngineImageGc } from '../../engine/gc/index.ts';
import { withRoomFirst } from '../../engine/gc/room-first.ts';
import { LinuxFiles } from '../../engine/kernel/linux/files.ts';
import { CacheMountTable } from '../../engine/state/cache-mounts.ts';
import { deleteHere } from '../../engine/storage/delete-tree.ts';
import { cacheLimitsOf } from './build-cache.ts';
import { openBuildContexts } from './build-contexts.ts';
import { hostPlatform } from './host-platform.ts';
import type { ContainersAndBelow } from './lower-rooms.ts';
import type { Ground } from './rooms.ts';

/** With fewer, stages would wait for one that downloads. */
const LEAST_STEPS_AT_A_TIME = 4;

/** Opens it, and reads what it keeps. */
export async function openBuilds(
  ground: Ground,
  below: ContainersAndBelow,
  { gc, resources }: { readonly gc: Pick<EngineImageGc, 'relieve'>; readonly resources: AsyncDisposableStack },
): Promise<BuildRoom> {
  const { clock, logger, database, dataRoot, kernel } = ground;
  const { builder, containers, copier, images, meter, registry, secrets, storage } = below;
  const { contexts, fetchRepository } = await openBuildContexts(ground, registry, resources);
  const directory = join(dataRoot, 'build');
  const table = new CacheMountTable(database);
  const cacheMounts = await CacheMountStore.open({
    table,
    directory: join(directory, 'cache-mounts'),
    meter,
    clock,
    logger,
  });
  const runs = createRunSteps({
    containers,
    logger,
    kernel,
    files: new LinuxFiles(),
    storage,
    copier,
    secrets,
    cacheMounts,
    scratchDirectory: join(directory, 'steps'),
  });
  const downloads = join(directory, 'downloads');
  await deleteHere(downloads);
  const copies = createCopies({
    builder,
    registry,
    directory: downloads,
    fetchRepository,
    deleteTree: deleteHere,
    clock,
  });
  const room = createBuilds({
    database,
    images: withRoomFirst(images, gc),
    store: images.store,
    content: below.content,
    layers: below.layers,
    trees: builder,
    users: containers,
    contexts,
    copies,
    runs,
    cacheMounts,
    clock,
    logger,
    platform: hostPlatform(),
    engineVersion: ground.version,
    stepsAtATime: Math.max(LEAST_STEPS_AT_A_TIME, availableParallelism()),
    dataRoot,
    limits: cacheLimitsOf(ground.config.snapshot),
  });
  return resources.use(room);
}
