import { readFileSync } from 'node:fs';
import { MessageChannel } from 'node:worker_threads';
import type { Outcome } from '../config/command.ts';
import type { Config } from '../config/config.ts';
import { takeInheritedSockets } from './activation.ts';
import { createLinuxKernel, SystemClock } from './compose/ground.ts';
import { live } from './life.ts';
import { levelOf, openLog } from './log.ts';
import { isKept, ManagerKeptSockets } from './keeping.ts';
import { createNotifier } from './notify.ts';
import { tellWaiting } from './refusal.ts';
import { BACKUP_DIRECTORY, configureStart, undoUnconfirmed } from './unconfirmed.ts';
import { feedWatchdog } from './watchdog.ts';

/** Runs the daemon until it is told to end; returns the exit code. */
export async function runDaemon(argv: readonly string[]): Promise<number> {
  const version = engineVersion();
  const clock = new SystemClock();
  const { configured, notes } = await configureStart({ argv, environment: process.env, version }, wallMs(clock));
  if ('exitCode' in configured) {
    process.stdout.write(configured.stdout);
    process.stderr.write(configured.stderr);
    return configured.exitCode === 0 ? 0 : refuse(configured, clock);
  }
  return serve(configured, { version, clock, notes });
}

/** sysexits' EX_CONFIG, for the service manager: another try with the same files fails alike. By hand it is dockerd's 1. */
const EXIT_CONFIG = 78;

async function refuse({ exitCode, stderr }: Outcome, clock: SystemClock): Promise<number> {
  const all = takeInheritedSockets(process.env, process.pid, createLinuxKernel());
  const sockets = all.filter((socket) => !isKept(socket));
  await tellWaiting(sockets, stderr.trim(), clock);
  return process.env['NOTIFY_SOCKET'] === undefined ? exitCode : EXIT_CONFIG;
}

/** What is known before the log is open. */
interface Beginning {
  readonly version: string;
  readonly clock: SystemClock;
  readonly notes: readonly string[];
}

/** Takes over what the service manager passed on, and lives. */
async function serve(config: Config, { version, clock, notes }: Beginning): Promise<number> {
  const kernel = createLinuxKernel();
  const format = config.get('log-format') === 'json' ? 'json' : 'text';
  using log = await openLog({ level: levelOf(config), format, env: process.env, kernel, clock });
  const { logger, control: logControl } = log;
  // Whatever escapes is a fault of ours: say it, keep the containers' keeper alive.
  process.on('unhandledRejection', (reason) => {
    logger.error('unhandled rejection', { reason: reason instanceof Error ? reason.stack : reason });
  });
  const passedOn = takeInheritedSockets(process.env, process.pid, kernel);
  const inherited = passedOn.filter((socket) => !isKept(socket));
  const notifier = createNotifier(process.env, kernel, logger);
  const kept = new ManagerKeptSockets(passedOn, notifier);
  using _watchdog = feedWatchdog(process.env, process.pid, clock, notifier);
  using _awake = keepAwake();
  for (const note of notes) logger.warn(note);
  const exitCode = await live({ config, version, kernel, clock, logger, logControl, inherited, kept, notifier });
  if (exitCode !== 0 && notifier.active) {
    // A change that the service does not live with shall not meet it again.
    const undone = await undoUnconfirmed({ nowMs: wallMs(clock), evenIfEarly: true, directory: BACKUP_DIRECTORY });
    if (undone !== null) logger.warn(undone);
  }
  return exitCode;
}

function wallMs(clock: SystemClock): number {
  return Number(clock.now() / 1_000_000n);
}

/**
 * Keeps the process alive until disposed. Without a listening socket (recovery at start, tear-down) nothing else does:
 * the clock's timers and the waits on file descriptors do not, and node would end in the midst of the work.
 */
function keepAwake(): Disposable {
  const { port1 } = new MessageChannel();
  port1.on('message', () => undefined);
  return { [Symbol.dispose]: () => port1.close() };
}

function engineVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}
