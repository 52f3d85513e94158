/**
 * The engine's log: to the journal with fields where systemd runs us, else to stderr. Its level can be changed while the
 * daemon runs.
 */
import type { Clock } from '../base/clock.ts';
import { InvalidArgumentError } from '../base/errors.ts';
import type { LogFields, Logger } from '../base/logger.ts';
import type { Config } from '../config/config.ts';
import type { Kernel } from '../engine/kernel/kernel.ts';
import { openConsole } from './log/console.ts';
import { isJournalStream, JournalWriter } from './log/journal.ts';
import type { LineWriter, Severity } from './log/line-writer.ts';

/** dockerd's level names; `panic` and `trace` are taken too. */
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'panic'] as const;

export type LogLevel = (typeof LEVELS)[number];

/** True for a name that `--log-level` takes. */
export function isLogLevel(text: string): text is LogLevel {
  return (LEVELS as readonly string[]).includes(text);
}

/** The level that the configuration asks for. */
export function levelOf(config: Config): LogLevel {
  const level = config.get('debug') ? 'debug' : config.get('log-level');
  return isLogLevel(level) ? level : 'info';
}

/** systemd's words for where a log can go (org.freedesktop.LogControl1). */
const TARGETS = ['journal', 'console', 'null'] as const;

export type LogTarget = (typeof TARGETS)[number];

/** The log's adjustable parts; changes last until the daemon ends or the next reload that changes `log-level`. */
export interface LogControl {
  level(): LogLevel;
  setLevel(level: LogLevel): void;
  target(): LogTarget;
  /** InvalidArgumentError for a target that is not known, or not there on this host. */
  setTarget(target: string): void;
}

/** Dispose when nothing more is to be said. */
export interface Log extends Disposable {
  readonly logger: Logger;
  readonly control: LogControl;
}

/** Opens the log. `env` tells whether stderr leads to the journal. */
export async function openLog(options: {
  readonly level: LogLevel;
  readonly format: 'text' | 'json';
  readonly env: NodeJS.ProcessEnv;
  readonly kernel: Pick<Kernel, 'sockets'>;
  readonly clock: Clock;
}): Promise<Log> {
  const console = await openConsole(options.format, options.clock);
  const writers: Partial<Record<LogTarget, LineWriter>> = {};
  const open: Readonly<Record<LogTarget, () => LineWriter>> = {
    journal: () => new JournalWriter(options.kernel, options.clock),
    console: () => console,
    null: () => ({ write: () => undefined }),
  };
  const writerOf = (target: LogTarget): LineWriter => (writers[target] ??= open[target]());
  let level = options.level;
  let target: LogTarget = isJournalStream(options.env, 2) ? 'journal' : 'console';
  let writer = writerOf(target);
  const control: LogControl = {
    level: () => level,
    setLevel: (wanted) => void (level = wanted),
    target: () => target,
    setTarget(wanted) {
      if (!isTarget(wanted)) throw new InvalidArgumentError(`invalid log target: ${wanted} (${TARGETS.join(', ')})`);
      writer = writerOf(wanted);
      target = wanted;
    },
  };
  const say = (severity: Severity, text: string, fields: LogFields): void => {
    if (LEVELS.indexOf(severity) >= LEVELS.indexOf(level)) writer.write(severity, text, fields);
  };
  return {
    logger: loggerOn(say, {}),
    control,
    [Symbol.dispose]: () => {
      for (const opened of Object.values(writers)) opened[Symbol.dispose]?.();
    },
  };
}

function loggerOn(say: (severity: Severity, text: string, fields: LogFields) => void, context: LogFields): Logger {
  const at =
    (severity: Severity) =>
    (text: string, fields?: LogFields): void =>
      say(severity, text, fields === undefined ? context : { ...context, ...fields });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => loggerOn(say, { ...context, ...fields }),
  };
}

function isTarget(text: string): text is LogTarget {
  return (TARGETS as readonly string[]).includes(text);
}
