/**
 * A daemon's life: pid file → plan of listening → recovery → listening → READY → work → STOPPING → end. Whatever asks
 * for the end (a signal, idleness) meanwhile is heard at the next step; what was begun is always ended in good order.
 */
import { messageOf } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Config } from '../config/config.ts';
import { formatProblem } from '../config/origin.ts';
import type { Kernel } from '../engine/kernel/kernel.ts';
import type { InheritedSocket } from './activation.ts';
import { keepAutostartFlag } from './autostart.ts';
import { compose, type Daemon } from './compose.ts';
import { openBus } from './compose/bus.ts';
import { parseHosts, planListening, type ListenPlan } from './hosts.ts';
import { watchIdleness } from './idle.ts';
import { listenOnAll } from './listening.ts';
import type { LogControl } from './log.ts';
import { logLifeEvents } from './log/life-events.ts';
import type { Notifier } from './notify.ts';
import { takePidFile } from './pidfile.ts';
import { takeSignals, type Signals } from './signals.ts';
import { followStatus } from './status.ts';
import { loadTlsIdentity, verifiesClients } from './tls.ts';
import { extendTimeouts } from './watchdog.ts';

/** What a daemon lives in. */
export interface Surroundings {
  readonly config: Config;
  readonly version: string;
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly logControl: LogControl;
  readonly inherited: readonly InheritedSocket[];
  readonly notifier: Notifier;
}

/** Lives until told to end; returns the exit code. */
export async function live(surroundings: Surroundings): Promise<number> {
  const { config, logger, clock, notifier } = surroundings;
  logger.info('Starting up', { message: 'start' });
  for (const problem of config.problems) logger.warn(formatProblem(problem));
  const signals = takeSignals(logger, { onReload: () => undefined, force: (exitCode) => process.exit(exitCode) });
  try {
    using _pidFile = takePidFile(config.get('pidfile'));
    const plan = planFor(surroundings);
    await using daemon = await start(surroundings);
    if (config.tearDown) {
      await daemon.tearDown();
      return 0;
    }
    if (signals.reason === null) await work(surroundings, daemon, plan, signals);
    logger.info('Daemon is ending', { message: 'stop', reason: signals.reason });
    notifier.stopping('Stopping');
    using _patience = extendTimeouts(clock, notifier);
    await daemon.close();
    return 0;
  } catch (error) {
    logger.error(`failed to start daemon: ${messageOf(error)}`);
    return 1;
  }
}

function planFor({ config, inherited }: Surroundings): {
  readonly listen: ListenPlan;
  readonly tls: ReturnType<typeof loadTlsIdentity>;
} {
  const tls = loadTlsIdentity(config);
  return { listen: planListening(parseHosts(config.get('host'), { tls: tls !== null }), inherited), tls };
}

/** Makes the engine and recovers what ran. */
async function start({ config, logger, version, kernel, clock, notifier }: Surroundings): Promise<Daemon> {
  using _patience = extendTimeouts(clock, notifier);
  const onRecovery = (count: number): void => notifier.status(`Recovering ${String(count)} containers`);
  return await compose({ config, logger, version, kernel, clock, onRecovery });
}

/** Listens and serves until the end is asked for. */
async function work(
  { config, version, logger, logControl, kernel, clock, notifier, inherited }: Surroundings,
  daemon: Daemon,
  { listen, tls }: ReturnType<typeof planFor>,
  signals: Signals,
): Promise<void> {
  const { events } = daemon.engine;
  using _life = logLifeEvents(events, logger);
  using _flag = autostartFlag(config, daemon, clock, logger, notifier.active);
  if (tls !== null) daemon.api.useTls(tls);
  const protection = tls === null ? 'none' : verifiesClients(config) ? 'client-verified' : 'encrypted';
  await listenOnAll(daemon.api, { plan: listen, group: config.get('group'), tls: protection, logger, kernel });
  using _status = followStatus({ events, clock, notifier, counts: () => daemon.containers.counts() });
  using _idle = idleExit(config, daemon, clock, logger, inherited.length > 0, signals);
  await using _bus = await openBus({
    engine: daemon.engine,
    clock,
    logger,
    logControl,
    version,
    address: process.env['DBUS_SYSTEM_BUS_ADDRESS'] ?? null,
  });
  logger.info('Daemon has completed initialization', { message: 'ready' });
  await signals.ended;
}

/** Only for the engine that boots with the host: one that was started by hand has no part in the next boot. */
function autostartFlag(config: Config, daemon: Daemon, clock: Clock, logger: Logger, isService: boolean): Disposable {
  const path = config.get('autostart-file');
  if (!isService && config.originOf('autostart-file').layer === 'default') return NOTHING;
  const { events } = daemon.engine;
  return keepAutostartFlag({ path, events, clock, logger, hasWork: () => daemon.containers.hasWorkAtBoot() });
}

function idleExit(
  config: Config,
  { api, containers, engine }: Daemon,
  clock: Clock,
  logger: Logger,
  isActivated: boolean,
  signals: Signals,
): Disposable {
  if (!isActivated) {
    if (config.get('idle-exit') > 0) {
      logger.warn(
        'idle-exit has no effect: the daemon was not started by socket activation, so nothing would start it again',
      );
    }
    return NOTHING;
  }
  let acceptedBefore = api.acceptedCount;
  return watchIdleness({
    clock,
    afterSeconds: () => config.get('idle-exit'),
    isBusy: () => {
      const { live: running, restarting } = containers.counts();
      const wasAsked = api.acceptedCount !== acceptedBefore;
      acceptedBefore = api.acceptedCount;
      if (wasAsked) return true;
      return running + restarting > 0 || api.connectionCount > 0 || engine.events.followerCount > 0;
    },
    onIdle: () => {
      logger.info('nobody needs the engine: ending until the next connection', { message: 'idle-exit' });
      // In this very turn: a connection from now on stays in the socket's queue, and systemd starts us for it.
      void api.close();
      signals.end('idle');
    },
  });
}

const NOTHING: Disposable = { [Symbol.dispose]: () => undefined };
