import { readFileSync } from 'node:fs';
import { MessageChannel } from 'node:worker_threads';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { loadConfig, type Config } from '../config/config.ts';
import { PrintAndExit } from '../config/help.ts';
import { compose } from './compose.ts';
import { parseHosts } from './hosts.ts';
import { createLogger, isLogLevel } from './log.ts';
import { takePidFile } from './pidfile.ts';

/** Signals that end the daemon in good order. */
const END_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const;

/** Runs the daemon until it is told to end; returns the exit code. */
export async function runDaemon(argv: readonly string[]): Promise<number> {
  const version = engineVersion();
  let config: Config;
  try {
    config = loadConfig({ argv, environment: process.env, version });
  } catch (error) {
    if (error instanceof PrintAndExit) {
      process.stdout.write(error.message);
      return 0;
    }
    process.stderr.write(`${messageOf(error)}\n`);
    return 1;
  }
  if (config.validateOnly) {
    process.stderr.write('configuration OK\n');
    return 0;
  }
  return serve(config, version);
}

async function serve(config: Config, version: string): Promise<number> {
  const logger = loggerFor(config);
  if (logger === null) {
    process.stderr.write(`unable to configure the Docker daemon: invalid log level: ${config.get('log-level')}\n`);
    return 1;
  }
  // Whatever escapes is a fault of ours: say it, keep the containers' keeper alive.
  process.on('unhandledRejection', (reason) => {
    logger.error('unhandled rejection', { reason: reason instanceof Error ? reason.stack : reason });
  });
  const ended = endSignal(logger);
  using _awake = keepAwake();
  try {
    using _pidFile = takePidFile(config.get('pidfile'));
    const addresses = parseHosts(config.get('host'));
    const daemon = await compose({ config, logger, version });
    try {
      if (config.tearDown) {
        await daemon.tearDown();
        return 0;
      }
      await daemon.listen(addresses);
      logger.info('Daemon has completed initialization');
      const signal = await ended;
      logger.info(`Processing signal '${signal}'`);
    } finally {
      await daemon.close();
    }
    return 0;
  } catch (error) {
    logger.error(`failed to start daemon: ${messageOf(error)}`);
    return 1;
  }
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

function loggerFor(config: Config): Logger | null {
  const level = config.get('debug') ? 'debug' : config.get('log-level');
  if (!isLogLevel(level)) return null;
  return createLogger({ level, format: config.get('log-format') === 'json' ? 'json' : 'text' });
}

/** Settles with the first signal that asks for the end. A second one does not cut the orderly end short. */
function endSignal(logger: Logger): Promise<string> {
  process.on('SIGHUP', () => {
    logger.warn('SIGHUP: reloading the configuration is not supported by this version of moored');
  });
  return new Promise((resolve) => {
    for (const signal of END_SIGNALS) process.on(signal, () => resolve(signal));
  });
}

function engineVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}
