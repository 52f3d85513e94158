/** What a migration would do, asked of an engine that runs: the migration itself is for one that does not (index.ts). */
import { messageOf } from '../../base/errors.ts';
import { decodeRow } from '../containers/record.ts';
import type { ContainerRow, ContainerRows } from '../state/containers.ts';
import type { LayerRow } from '../state/layers.ts';
import type { StorageRoom, StorageSide } from '../storage/moving.ts';
import { roomNeeded, tooLittleRoom } from './room.ts';
import type { MigrationPlan, MigrationPlans, MigrationSource } from './types.ts';

/** What is known of a target that nothing was made for yet. */
export interface PlannedTarget {
  /** Why it does not work here; null when it does. */
  readonly obstacle: string | null;
  /** `freeBytes` is null where only an open driver could tell. */
  readonly room: Pick<StorageRoom, 'copiesParents'> & { readonly freeBytes: number | null };
  readonly layers: readonly LayerRow[];
}

/** What plans are made of. */
export interface PlanDependencies {
  /** Names of all drivers that have layers or containers. */
  readonly drivers: () => Promise<readonly string[]>;
  /** ConflictError that says why a driver does not open. */
  readonly open: (name: string) => Promise<StorageSide>;
  /** Leaves nothing behind. InvalidArgumentError for what is no driver. */
  readonly look: (target: string) => Promise<PlannedTarget>;
  readonly containers: Pick<ContainerRows, 'all'>;
}

export function createMigrationPlans(dependencies: PlanDependencies): MigrationPlans {
  return { plan: async (target) => planned(dependencies, target) };
}

async function planned({ drivers, open, look, containers }: PlanDependencies, target: string): Promise<MigrationPlan> {
  const { obstacle, room, layers } = await look(target);
  const obstacles = obstacle === null ? [] : [obstacle];
  const users = containers.all().flatMap((row) => userIn(row));
  const sources: StorageSide[] = [];
  const told: MigrationSource[] = [];
  for (const driver of (await drivers()).filter((name) => name !== target)) {
    const count = users.filter((user) => user.driver === driver).length;
    const side = await open(driver).catch((error: unknown) => messageOf(error));
    if (typeof side === 'string') obstacles.push(side);
    else sources.push(side);
    told.push({ driver, containers: count, layers: typeof side === 'string' ? 0 : side.layers().length });
  }
  const running = users.filter(({ isRunning }) => isRunning).map(({ name }) => name);
  if (running.length > 0) obstacles.push(`containers run: ${running.join(', ')}`);
  const neededBytes = await roomNeeded({ sources, targetLayers: layers, containers: users }, room);
  const { freeBytes } = room;
  if (freeBytes !== null && neededBytes > freeBytes) obstacles.push(tooLittleRoom(target, neededBytes, freeBytes));
  return { sources: told, neededBytes, freeBytes, obstacles };
}

interface User extends Pick<ContainerRow, 'id' | 'name'> {
  readonly driver: string;
  readonly isRunning: boolean;
}

/** Nothing of a row that cannot be read: the check tells of it. */
function userIn(row: ContainerRow): readonly User[] {
  try {
    const { document, live } = decodeRow(row);
    const isRunning = ['running', 'paused', 'restarting'].includes(live.state.status);
    return [{ id: row.id, name: row.name, driver: document.storageDriver, isRunning }];
  } catch {
    return [];
  }
}
