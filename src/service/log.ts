import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino';
import type { LogFields, Logger } from '../base/logger.ts';

/** dockerd's level names; `panic` and `trace` are taken too. */
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'panic'] as const;

export type LogLevel = (typeof LEVELS)[number];

/** True for a name that `--log-level` takes. */
export function isLogLevel(text: string): text is LogLevel {
  return (LEVELS as readonly string[]).includes(text);
}

/** Keys under which secrets might travel; pino takes them out wherever they stand. */
const SECRET_KEYS = ['auth', 'password', 'identityToken', 'registryToken', 'authorization'];

const PINO_LEVEL_NAMES: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warning',
  50: 'error',
  60: 'fatal',
};

/**
 * The engine's log on stderr: `text` is logfmt as dockerd writes it, `json` one object a line. Writing is synchronous,
 * so that the last words of a dying daemon are there.
 */
export function createLogger(options: { readonly level: LogLevel; readonly format: 'text' | 'json' }): Logger {
  const destination = pino.destination({ fd: 2, sync: true });
  const stream: DestinationStream =
    options.format === 'json' ? destination : { write: (line) => void destination.write(logfmt(line)) };
  const level = options.level === 'panic' ? 'fatal' : options.level;
  const redact = { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`]), censor: '[redacted]' };
  return adapt(pino({ level, base: null, redact, timestamp: pino.stdTimeFunctions.isoTime }, stream));
}

function adapt(target: PinoLogger): Logger {
  return {
    debug: (message, fields) => target.debug(plain(fields), message),
    info: (message, fields) => target.info(plain(fields), message),
    warn: (message, fields) => target.warn(plain(fields), message),
    error: (message, fields) => target.error(plain(fields), message),
    child: (fields) => adapt(target.child(fields)),
  };
}

/** Errors become their message: the stack is for `debug` builds, not for an administrator's journal. */
function plain(fields: LogFields | undefined): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields ?? {}).map(([key, value]) => [key, value instanceof Error ? value.message : value]),
  );
}

/** `time="…" level=info msg="…" key=value` */
function logfmt(line: string): string {
  const { level, time, msg, ...rest } = JSON.parse(line) as { level: number; time: string; msg?: string };
  const pairs = [
    ['time', time],
    ['level', PINO_LEVEL_NAMES[level] ?? 'info'],
    ['msg', msg ?? ''],
    ...Object.entries(rest),
  ] as const;
  return `${pairs.map(([key, value]) => `${key}=${quoted(value)}`).join(' ')}\n`;
}

function quoted(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[\w.:/@+-]+$/.test(text) && !/^\d{4}-/.test(text) ? text : JSON.stringify(text);
}
