/** What a reload changes in the rooms; see reload.ts and compose.ts. */
import type { Config } from '../../config/config.ts';
import type { ConfigChange } from '../../config/diff.ts';
import type { OptionFlag } from '../../config/options.ts';
import type { EngineContainers } from '../../engine/containers/index.ts';
import type { ImageRoom } from '../../engine/images/index.ts';
import type { LogDriver } from '../../engine/logging/driver.ts';
import type { Networks } from '../../engine/network/types.ts';
import type { CgroupHost } from '../../engine/runtime/cgroups.ts';
import type { RuntimeChoice } from '../../engine/runtime/choice.ts';
import type { ReloadPart } from '../reload.ts';
import { changeableOptions } from './containers-room.ts';
import type { Renewable } from './renewable-registry.ts';
import { chooseFrom, imageLimitsOf, type Ground, type LiveRuntimes } from './rooms.ts';

/** The rooms that have something to change. */
export interface ChangeableRooms {
  readonly containers: EngineContainers;
  readonly images: ImageRoom;
  readonly registry: Renewable;
  readonly networks: Networks;
  readonly runtimes: LiveRuntimes;
  readonly logDrivers: ReadonlyMap<string, LogDriver>;
  readonly cgroups: CgroupHost;
}

/** In the order of application. The packet filter comes last: it can fail for reasons outside. */
export function reloadPartsOf(ground: Ground, rooms: ChangeableRooms): readonly ReloadPart[] {
  return [containersPart(ground, rooms), imagesPart(ground, rooms), networksPart(rooms)];
}

/** Runtimes, and defaults of new containers. */
function containersPart(ground: Ground, { containers, runtimes, logDrivers, cgroups }: ChangeableRooms): ReloadPart {
  const change = (
    { runtimes: wanted, defaultName }: Pick<RuntimeChoice, 'runtimes' | 'defaultName'>,
    config: Config,
  ): (() => void) => {
    const options = changeableOptions(config, { cgroups, logDrivers }, defaultName);
    return () => {
      // A name that containers were made with stays until a restart: without it they could not be started.
      const inUse = new Set(containers.list().map(({ runtime }) => runtime));
      for (const name of runtimes.byName.keys()) {
        if (!wanted.has(name) && !inUse.has(name)) runtimes.byName.delete(name);
      }
      for (const [name, runtime] of wanted) runtimes.byName.set(name, runtime);
      runtimes.defaultName = defaultName;
      containers.reconfigure(options);
    };
  };
  return {
    prepare: (next) => ({
      apply: change(chooseFrom(next, ground, cgroups), next),
      // As it is, not as it would be chosen now: the reload may be what mends a runtime that has gone.
      undo: change({ runtimes: new Map(runtimes.byName), defaultName: runtimes.defaultName }, ground.config.snapshot),
    }),
  };
}

const REGISTRY_FLAGS: ReadonlySet<OptionFlag> = new Set<OptionFlag>([
  'add-registry',
  'block-registry',
  'insecure-registry',
  'registry',
  'registry-auth-file',
  'registry-certs-dir',
  'registry-mirror',
  'http-proxy',
  'https-proxy',
  'no-proxy',
]);

/** Limits of downloads, and how registries are reached. */
function imagesPart({ config }: Ground, { images, registry }: ChangeableRooms): ReloadPart {
  return {
    prepare(next: Config, changes: readonly ConfigChange[]) {
      const before = imageLimitsOf(config);
      const after = imageLimitsOf(next);
      const renew = changes.some(({ flag }) => REGISTRY_FLAGS.has(flag)) ? () => registry.renew() : () => undefined;
      const change = (limits: typeof after) => () => {
        images.reconfigure(limits);
        renew();
      };
      return { apply: change(after), undo: change(before) };
    },
  };
}

/** Nothing of the configuration: rules that another program took away come back. */
function networksPart({ networks }: ChangeableRooms): ReloadPart {
  return { prepare: () => ({ apply: () => networks.reassert(), undo: () => undefined }) };
}
