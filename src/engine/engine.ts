import type { Builds } from './build/types.ts';
import type { StoreCheck } from './check/types.ts';
import type { Containers } from './containers/types.ts';
import type { Events } from './events/types.ts';
import type { ImageGc } from './gc/types.ts';
import type { Images } from './images/types.ts';
import type { Metrics } from './metrics/types.ts';
import type { MigrationPlans } from './migration/types.ts';
import type { Networks } from './network/types.ts';
import type { Prune } from './prune/types.ts';
import type { Secrets } from './secrets/types.ts';
import type { Schedules } from './schedules/types.ts';
import type { SystemFacts } from './system/types.ts';
import type { Volumes } from './volumes/driver.ts';

/**
 * The engine as its fronts see it: one verb a call, no HTTP, no D-Bus, no JSON of Docker's. REST and D-Bus translate to
 * this and hold no logic, so they cannot drift apart.
 */
export interface Engine {
  readonly containers: Containers;
  readonly images: Images;
  readonly build: Builds;
  readonly networks: Pick<Networks, 'list' | 'get' | 'create' | 'remove'>;
  readonly volumes: Pick<Volumes, 'list' | 'get' | 'create' | 'remove' | 'usersOf' | 'usage' | 'export' | 'import'>;
  readonly secrets: Secrets;
  readonly metrics: Metrics;
  readonly events: Pick<Events, 'subscribe' | 'listen' | 'followerCount'>;
  readonly prune: Prune;
  readonly gc: ImageGc;
  readonly check: StoreCheck;
  readonly migration: MigrationPlans;
  readonly schedules: Schedules;
  readonly system: SystemFacts;
}
