/**
 * A daemon's life: pid file → plan of listening → recovery → listening → READY → work → STOPPING → end. Whatever asks
 * for the end (a signal, idleness) meanwhile is heard at the next step; what was begun is always ended in good order.
 */
import type { TlsIdentity } from '../api/http/tls-front.ts';
import { InvalidArgumentError, messageOf } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { loadConfig, type Config } from '../config/config.ts';
import { formatProblem } from '../config/origin.ts';
import type { Kernel } from '../engine/kernel/kernel.ts';
import type { KeptSockets } from '../engine/network/kept-sockets.ts';
import type { InheritedSocket } from './activation.ts';
import { keepAutostartFlag } from './autostart.ts';
import { keepBus } from './bus.ts';
import { compose, type Daemon } from './compose.ts';
import type { BusParts, openBus } from './compose/bus.ts';
import { parseHosts, planListening, type ListenPlan } from './hosts.ts';
import { exitWhenIdle } from './idle.ts';
import { checkSocketGroup, listenForMetrics, listenOnAll } from './listening.ts';
import { LiveConfig } from './live-config.ts';
import type { LogControl } from './log.ts';
import type { Notifier } from './notify.ts';
import { levelPart, tlsPart } from './own-reload-parts.ts';
import { takePidFile } from './pidfile.ts';
import { tellWaiting } from './refusal.ts';
import { reloadAttributes } from './reload-event.ts';
import { createReload, type Reload } from './reload.ts';
import { keepServiceFacts, type KeptFacts } from './service-facts.ts';
import { takeSignals, type Signals } from './signals.ts';
import { followStatus, statusText } from './status.ts';
import { loadTlsIdentity, verifiesClients } from './tls.ts';
import { extendTimeouts } from './watchdog.ts';

/** What a daemon lives in. */
export interface Surroundings<C extends Config = Config> {
  readonly config: C;
  readonly version: string;
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly logControl: LogControl;
  readonly inherited: readonly InheritedSocket[];
  /** What the last run left with the service manager. */
  readonly kept: KeptSockets;
  readonly notifier: Notifier;
}

/** Lives until told to end; returns the exit code. */
export async function live(given: Surroundings): Promise<number> {
  const surroundings = { ...given, config: new LiveConfig(given.config) };
  const { config, logger, clock, notifier } = surroundings;
  let facts: KeptFacts | null = null;
  const signals = takeSignals(logger, {
    // What went wrong is in the log. Before there is an engine, there is nothing to reload: the files are read anyhow.
    onReload: () => void facts?.reloadAll().catch(() => undefined),
    force: (exitCode) => process.exit(exitCode),
  });
  // Who reads this line may rely on the signals being heard.
  logger.info('Starting up', { message: 'start' });
  try {
    using _pidFile = takePidFile(config.get('pidfile'));
    if (config.tearDown) {
      await using torn = await start(surroundings);
      await torn.tearDown();
      return 0;
    }
    const plan = await planFor(surroundings);
    await using daemon = await start(surroundings);
    const { version } = surroundings;
    const reload = reloadOf(surroundings, daemon, plan);
    facts = keepServiceFacts({ version, clock, config, reload, firewall: () => daemon.firewall() });
    if (signals.reason === null) await work(surroundings, daemon, plan, signals, facts);
    facts = null;
    logger.info('Daemon is ending', { message: 'stop', reason: signals.reason });
    notifier.stopping('Stopping');
    using _patience = extendTimeouts(clock, notifier);
    await daemon.close();
    return 0;
  } catch (error) {
    // It may well be for one of these that it failed.
    tellProblems(config, logger);
    const reason = `failed to start daemon: ${messageOf(error)}`;
    logger.error(reason);
    await tellWaiting(given.inherited, reason, clock);
    return 1;
  }
}

/** What is odd about the configuration. Looking for it takes some milliseconds, for which nobody who connects should wait. */
function tellProblems(config: Config, logger: Logger): void {
  for (const problem of config.problems) logger.warn(formatProblem(problem));
}

interface Plan {
  readonly listen: ListenPlan;
  readonly tls: TlsIdentity | null;
}

/** What is wrong with the wish to listen is found before anything is recovered. */
async function planFor({ config, inherited, kernel }: Surroundings): Promise<Plan> {
  const tls = await loadTlsIdentity(config);
  try {
    const listen = planListening(parseHosts(config.get('host'), { tls: tls !== null }), inherited);
    await checkSocketGroup(listen, { group: config.get('group'), kernel });
    return { listen, tls };
  } catch (error) {
    throw new InvalidArgumentError(`failed to load listeners: ${messageOf(error)}`, { cause: error });
  }
}

/** Makes the engine and recovers what ran. */
async function start(surroundings: Surroundings<LiveConfig>): Promise<Daemon> {
  const { config, logger, version, kernel, clock, kept, notifier } = surroundings;
  using _patience = extendTimeouts(clock, notifier);
  const onRecovery = (count: number): void => notifier.status(`Recovering ${String(count)} containers`);
  return await compose({ config, logger, version, kernel, clock, kept, onRecovery });
}

/** How long whoever asks first waits for containers that come with the engine. */
const STARTS_LIMIT_MS = 10_000;

/** As dockerd: who is answered finds running what is to run, so that `systemctl restart docker && docker exec …` works. */
async function startsWithEngine(
  { clock, notifier }: Surroundings,
  { containers }: Daemon,
  { ended }: Signals,
): Promise<void> {
  using _patience = extendTimeouts(clock, notifier);
  await Promise.race([containers.started(STARTS_LIMIT_MS), ended]);
}

/** Listens and serves until the end is asked for. */
async function work(
  surroundings: Surroundings<LiveConfig>,
  daemon: Daemon,
  { listen, tls }: Plan,
  signals: Signals,
  facts: KeptFacts,
): Promise<void> {
  const { config, version, logger, logControl, kernel, clock, notifier, inherited } = surroundings;
  const { events } = daemon.engine;
  using _flag = autostartFlag(surroundings, daemon);
  await startsWithEngine(surroundings, daemon, signals);
  if (tls !== null) await daemon.api.useTls(tls);
  const protection = tls === null ? 'none' : verifiesClients(config) ? 'client-verified' : 'encrypted';
  const listening = { plan: listen, group: config.get('group'), tls: protection, logger, kernel } as const;
  facts.listensOn(await listenOnAll(daemon.api, listening));
  const metricsAddress = config.get('metrics-addr');
  if (metricsAddress !== '') await listenForMetrics(daemon.metricsApi, metricsAddress, logger);
  using _status = followStatus({ events, clock, notifier, counts: () => daemon.containers.counts() });
  // Below the bus: its end, which waits for jobs to let go, is a part of the stop as well.
  using patience = new DisposableStack();
  const address = process.env['DBUS_SYSTEM_BUS_ADDRESS'] ?? null;
  const parts = { engine: daemon.engine, clock, logger, logControl, version, address, facts, config };
  await using bus = config.get('dbus') ? await keepBus({ open: () => openBusLater(parts), clock, logger }) : null;
  using _idle = exitWhenIdle({
    clock,
    logger,
    isActivated: inherited.length > 0,
    afterSeconds: () => config.get('idle-exit'),
    daemon,
    // An engine that sleeps misses what is to be done by the clock.
    // One whose numbers are looked at shall be there.
    otherWork: () => (bus?.busyCount ?? 0) + (daemon.schedules.hasWork() || metricsAddress !== '' ? 1 : 0),
    end: () => signals.end('idle'),
  });
  logger.info('Daemon has completed initialization', { message: 'ready' });
  tellProblems(config, logger);
  facts.enter('running');
  await signals.ended;
  facts.enter('stopping');
  notifier.stopping('Stopping');
  patience.use(extendTimeouts(clock, notifier));
}

/** Loading the front takes 60 ms of the main thread: who has waited at the socket for this start is answered first. */
const BUS_PAUSE_MS = 30;

async function openBusLater(parts: BusParts): Promise<Awaited<ReturnType<typeof openBus>>> {
  await parts.clock.sleep(BUS_PAUSE_MS);
  return (await import('./compose/bus.ts')).openBus(parts);
}

/** Only for the engine that boots with the host: one that was started by hand has no part in the next boot. */
function autostartFlag(surroundings: Surroundings, { engine, containers, schedules }: Daemon): Disposable {
  const { config, clock, logger, notifier } = surroundings;
  if (!notifier.active && config.originOf('autostart-file').layer === 'default') return new DisposableStack();
  const path = config.get('autostart-file');
  const hasWork = (): boolean => containers.hasWorkAtBoot() || schedules.hasWork();
  const flag = new DisposableStack();
  const { refresh } = flag.use(keepAutostartFlag({ path, events: engine.events, clock, logger, hasWork }));
  flag.use(schedules.listen(({ kind }) => (kind === 'changed' ? undefined : refresh())));
  return flag;
}

/** The one door to a reload, of SIGHUP and of D-Bus alike. */
function reloadOf(
  { config, logger, logControl, notifier }: Surroundings<LiveConfig>,
  daemon: Daemon,
  { tls }: Plan,
): Reload {
  const own = [...(tls === null ? [] : [tlsPart(daemon.api, tls, logger)]), levelPart(config, logControl)];
  return createReload({
    config,
    load: () => loadConfig(config.sources),
    parts: [...own, ...daemon.reloadParts],
    notifier,
    logger,
    statusText: () => statusText(daemon.containers.counts()),
    publish: async () => {
      const info = await daemon.engine.system.info();
      const attributes = reloadAttributes(config, info);
      daemon.publish({ type: 'daemon', action: 'reload', actorId: info.engineId, attributes });
    },
  });
}
