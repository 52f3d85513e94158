/** A change of the configuration that waits for Confirm, as the start and the end of the daemon meet it. */
import { existsSync } from 'node:fs';
import { configure, type Outcome } from '../config/command.ts';
import type { Config, ConfigSources } from '../config/config.ts';
import type { RollBackOptions } from './config-editor/restore.ts';

/** Where the files are kept as they were before each change over D-Bus. */
export const BACKUP_DIRECTORY = '/var/lib/moored/config-backups';

/** Takes it back when its time has come; see rollBackUnconfirmed. A host without a backup has no such change. */
export async function undoUnconfirmed(options: RollBackOptions): Promise<string | null> {
  if (!existsSync(options.directory)) return null;
  const { rollBackUnconfirmed } = await import('./config-editor/restore.ts');
  return rollBackUnconfirmed(options);
}

/** What to serve with, or what to say instead, and what the log should know of how it came to be. */
export interface Configured {
  readonly configured: Config | Outcome;
  readonly notes: readonly string[];
}

/**
 * Reads the configuration for a start. A change over D-Bus that waits for Confirm goes back first when its time is over,
 * and in any case when the service cannot be configured with it. Who only asks what the files mean changes nothing.
 */
export async function configureStart(
  sources: ConfigSources,
  nowMs: number,
  directory = BACKUP_DIRECTORY,
): Promise<Configured> {
  if (isQuestion(sources.argv)) return { configured: configure(sources), notes: [] };
  const overdue = await undoUnconfirmed({ nowMs, directory });
  const configured = configure(sources);
  // A daemon started by hand with wrong flags says nothing about the service.
  const isService = sources.environment['NOTIFY_SOCKET'] !== undefined;
  const isRefused = isService && 'exitCode' in configured && configured.exitCode !== 0;
  const undone = isRefused ? await undoUnconfirmed({ nowMs, evenIfEarly: true, directory }) : null;
  return {
    configured: undone === null ? configured : configure(sources),
    notes: [overdue, undone].filter((note) => note !== null),
  };
}

function isQuestion(argv: readonly string[]): boolean {
  return argv[0] === 'config' || argv.some((word) => QUESTIONS.has(word));
}

const QUESTIONS: ReadonlySet<string> = new Set(['--validate', '--help', '-h', '--version', '-v']);
