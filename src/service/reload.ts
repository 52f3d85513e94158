/**
 * Reload: the sources are read again and compared with what is in force; what can change while the daemon runs is changed,
 * all of it or nothing, and what cannot is told.
 *
 *     load → diff → prepare every part → apply every part → event `daemon reload`
 *            │        │ (nothing changed yet: a refusal ends here)   └ a failure undoes the parts applied, last first
 *
 * Never ends the daemon, whatever the files hold. Reloads run one after another.
 */
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Config } from '../config/config.ts';
import { diffConfig, type ConfigChange } from '../config/diff.ts';
import { formatProblem } from '../config/origin.ts';
import { applicable, type LiveConfig } from './live-config.ts';
import type { Notifier } from './notify.ts';

/** What a reload did: keys of daemon.json (flags, for what has none). */
export interface ReloadOutcome {
  readonly changed: readonly string[];
  /** Changed in the sources, but in force only after a restart. */
  readonly needsRestart: readonly string[];
}

/** Something that a reload changes. */
export interface ReloadPart {
  /** Checks and makes ready for `next`; changes nothing. Throws what speaks against the reload. */
  prepare(next: Config, changes: readonly ConfigChange[]): PreparedPart | Promise<PreparedPart>;
}

/** A part that is ready. */
export interface PreparedPart {
  apply(): void | Promise<void>;
  /** Takes `apply` back, also a half-done one. */
  undo(): void | Promise<void>;
}

export interface ReloaderOptions {
  readonly config: LiveConfig;
  /** Reads the sources again. Throws what is wrong with them. */
  readonly load: () => Config;
  /** In the order of application. */
  readonly parts: readonly ReloadPart[];
  readonly notifier: Notifier;
  readonly logger: Logger;
  /** What `systemctl status` shows when it is over. */
  readonly statusText: () => string;
  /** Tells of a reload that was applied. */
  readonly publish: () => Promise<void>;
}

/** Rejects with what is wrong with the new configuration; the old one stays in force then. */
export type Reload = () => Promise<ReloadOutcome>;

export function createReload(options: ReloaderOptions): Reload {
  let last: Promise<unknown> = Promise.resolve();
  return () => {
    const turn = last.then(() => reload(options));
    last = turn.catch(() => undefined);
    return turn;
  };
}

async function reload(options: ReloaderOptions): Promise<ReloadOutcome> {
  const { config, notifier, logger, statusText } = options;
  logger.info(`Got signal to reload configuration, reloading from: ${config.configFile}`);
  notifier.reloading();
  try {
    const next = options.load();
    const changes = diffConfig(config.snapshot, next);
    await applyAll(options, applicable(config.snapshot, next, changes), changes);
    await options.publish().catch((error: unknown) => {
      logger.warn('the reload could not be made known as an event', { reason: messageOf(error) });
    });
    const keysOf = (reloadable: boolean): readonly string[] =>
      changes.filter((change) => change.reloadable === reloadable).map(({ key }) => key);
    const outcome = { changed: keysOf(true), needsRestart: keysOf(false) };
    tell(logger, next, outcome);
    return outcome;
  } catch (error) {
    logger.error(`configuration not reloaded: ${messageOf(error)}`, { message: 'reload-failed' });
    throw error;
  } finally {
    notifier.ready(statusText());
  }
}

async function applyAll(
  { config, parts, logger }: ReloaderOptions,
  next: Config,
  changes: readonly ConfigChange[],
): Promise<void> {
  const before = config.snapshot;
  const swap: PreparedPart = { apply: () => config.replace(next), undo: () => config.replace(before) };
  const prepared: PreparedPart[] = [swap];
  for (const part of parts) prepared.push(await part.prepare(next, changes));
  const begun: PreparedPart[] = [];
  try {
    for (const part of prepared) {
      begun.unshift(part);
      await part.apply();
    }
  } catch (error) {
    for (const part of begun) {
      try {
        await part.undo();
      } catch (failure) {
        logger.error('a part of the reload could not be taken back', { reason: messageOf(failure) });
      }
    }
    throw error;
  }
}

function tell(logger: Logger, next: Config, { changed, needsRestart }: ReloadOutcome): void {
  for (const problem of next.problems) logger.warn(formatProblem(problem));
  const what = changed.length === 0 ? 'nothing changed' : changed.join(', ');
  logger.info(`Reloaded configuration: ${what}`, { message: 'reload', changed, needsRestart });
  if (needsRestart.length > 0) {
    logger.warn(`changed as well, but only a restart of the daemon applies it: ${needsRestart.join(', ')}`);
  }
}
