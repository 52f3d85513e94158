import { configure, type Outcome } from '../config/command.ts';
import type { Config, ConfigSources } from '../config/config.ts';
import { rollBackUnconfirmed } from './config-editor/restore.ts';

/** What to serve with, or what to say instead, and what the log should know of how it came to be. */
export interface Configured {
  readonly configured: Config | Outcome;
  readonly notes: readonly string[];
}

/**
 * Reads the configuration for a start. A change over D-Bus that waits for Confirm goes back first when its time is over,
 * and in any case when the service cannot be configured with it. Who only asks what the files mean changes nothing.
 */
export function configureStart(sources: ConfigSources, nowMs: number, directory?: string): Configured {
  if (isQuestion(sources.argv)) return { configured: configure(sources), notes: [] };
  const place = directory === undefined ? {} : { directory };
  const overdue = rollBackUnconfirmed({ nowMs, ...place });
  const configured = configure(sources);
  // A daemon started by hand with wrong flags says nothing about the service.
  const isService = sources.environment['NOTIFY_SOCKET'] !== undefined;
  const isRefused = isService && 'exitCode' in configured && configured.exitCode !== 0;
  const undone = isRefused ? rollBackUnconfirmed({ nowMs, evenIfEarly: true, ...place }) : null;
  return {
    configured: undone === null ? configured : configure(sources),
    notes: [overdue, undone].filter((note) => note !== null),
  };
}

function isQuestion(argv: readonly string[]): boolean {
  return argv[0] === 'config' || argv.some((word) => QUESTIONS.has(word));
}

const QUESTIONS: ReadonlySet<string> = new Set(['--validate', '--help', '-h', '--version', '-v']);
