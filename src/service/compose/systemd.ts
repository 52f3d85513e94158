/** systemd as the runtime room sees it: a client of the bus that is loaded when something is asked of it; see compose.ts. */
import type { Clock } from '../../base/clock.ts';
import type { ContainerId } from '../../base/ids.ts';
import { scopeDescription, scopeOf } from '../../engine/containers/scope.ts';
import type { Events } from '../../engine/events/types.ts';
import type { CgroupHost } from '../../engine/runtime/cgroups.ts';
import { SystemdMonitorScope } from '../../engine/runtime/monitor-scope.ts';
import type { MonitorScope, Units } from '../../engine/runtime/units.ts';
import { cgroupDriverOf, isBootedWithSystemd } from './engine-options.ts';
import type { Ground } from './rooms.ts';

type Client = Units & Disposable & { isHostEnding(): Promise<boolean> };

/** At a shutdown systemd has other things to do; longer than this nobody waits for its answer. */
const ENDING_LIMIT_MS = 2_000;

/** What systemd as PID 1 gives to the engine. */
export interface Systemd {
  readonly scope?: MonitorScope;
  /** For limits of containers' scopes. */
  readonly units?: Units;
  /** Whether the host goes down. False also where nobody knows. */
  readonly isHostEnding: () => Promise<boolean>;
}

/**
 * What the engine makes of systemd as PID 1: a scope for its monitors, and names for its containers' scopes. Nothing
 * where another is PID 1.
 */
export function openSystemd(
  { kernel, clock, logger, events, config }: Ground,
  cgroups: CgroupHost,
  resources: AsyncDisposableStack,
): Systemd {
  if (!isBootedWithSystemd()) return { isHostEnding: () => Promise.resolve(false) };
  const units = resources.use(lazyUnits(clock));
  if (cgroupDriverOf(config, cgroups.version) === 'systemd') resources.use(nameScopes(events, units));
  return {
    units,
    scope: resources.use(new SystemdMonitorScope({ kernel, clock, logger, cgroups, units })),
    isHostEnding: () => withinLimit(units.isHostEnding(), clock),
  };
}

async function withinLimit(answer: Promise<boolean>, clock: Clock): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  using _timer = clock.after(ENDING_LIMIT_MS, () => late.resolve(false));
  return await Promise.race([answer.catch(() => false), late.promise]);
}

/** Nothing is loaded or connected before the first call. */
export function lazyUnits(clock: Clock): Client {
  let loading: Promise<Client> | null = null;
  const client = (): Promise<Client> => (loading ??= openClient(clock));
  return {
    controlGroupOf: async (unit) => (await client()).controlGroupOf(unit),
    startScope: async (request) => (await client()).startScope(request),
    isHostEnding: async () => (await client()).isHostEnding(),
    describe: async (unit, description) => (await client()).describe(unit, description),
    limit: async (unit, limits) => (await client()).limit(unit, limits),
    [Symbol.dispose]: () => {
      void loading?.then(
        (opened) => opened[Symbol.dispose](),
        () => undefined,
      );
    },
  };
}

/**
 * Writes each container's name into its scope's description, also after a rename. The runtime could do it when it makes
 * the scope, but crun says `libcrun container` over whatever it is told.
 */
export function nameScopes(events: Pick<Events, 'listen'>, units: Units): Disposable {
  return events.listen(({ type, action, actorId, attributes }) => {
    if (type !== 'container' || (action !== 'start' && action !== 'rename')) return;
    const description = scopeDescription(attributes['name']?.replace(/^\//, '') ?? actorId);
    // A container that does not run has no scope, and one that has ended needs no name.
    units.describe(scopeOf(actorId as ContainerId), description).catch(() => undefined);
  });
}

async function openClient(clock: Clock): Promise<Client> {
  const [{ SystemdClient }, { connectBus }, { socketAddresses, SYSTEM_BUS_ADDRESS }, { plainStream }] =
    await Promise.all([
      import('../../dbus/systemd-client.ts'),
      import('../../dbus/bus/connection.ts'),
      import('../../dbus/bus/address.ts'),
      import('../../dbus/bus/plain-stream.ts'),
    ]);
  const ignore = (): void => undefined;
  const events = { call: ignore, unreadable: ignore, bounce: ignore, closed: ignore };
  const connect = async (): ReturnType<typeof connectBus> => {
    const [address = ''] = socketAddresses(process.env['DBUS_SYSTEM_BUS_ADDRESS'] ?? SYSTEM_BUS_ADDRESS);
    return connectBus({ stream: plainStream(address), clock, closeFd: ignore, events });
  };
  return new SystemdClient({ connect, clock });
}
