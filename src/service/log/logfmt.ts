import { formatTimestamp, type Clock } from '../../base/clock.ts';
import type { LogFields } from '../../base/logger.ts';
import type { Severity } from './line-writer.ts';
import { redacted } from './redact.ts';

/** dockerd's names. */
const LEVEL_NAMES: Readonly<Record<Severity, string>> = {
  debug: 'debug',
  info: 'info',
  warn: 'warning',
  error: 'error',
};

/** `time="…" level=info msg="…" key=value`, as dockerd writes it; ends with a line break. */
export function logfmtLine(clock: Clock, severity: Severity, text: string, fields: LogFields): string {
  const { message: _name, ...rest } = redacted(fields) as Record<string, unknown>;
  const pairs = [
    ['time', formatTimestamp(clock.now())],
    ['level', LEVEL_NAMES[severity]],
    ['msg', text],
    ...Object.entries(rest).filter(([, value]) => value !== undefined),
  ] as const;
  return `${pairs.map(([key, value]) => `${key}=${quoted(value)}`).join(' ')}\n`;
}

function quoted(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[\w.:/@+-]+$/.test(text) && !/^\d{4}-/.test(text) ? text : JSON.stringify(text);
}
