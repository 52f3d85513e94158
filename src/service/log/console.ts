import { pino } from 'pino';
import { formatTimestamp, type Clock } from '../../base/clock.ts';
import type { LogFields } from '../../base/logger.ts';
import type { LineWriter, Severity } from './line-writer.ts';
import { logfmtLine } from './logfmt.ts';
import { redacted } from './redact.ts';

/**
 * stderr: `text` is logfmt as dockerd writes it, `json` one object a line. Writing is synchronous, so that the last words
 * of a dying daemon are there.
 */
export function consoleWriter(format: 'text' | 'json', clock: Clock): LineWriter {
  const destination = pino.destination({ fd: 2, sync: true });
  if (format === 'text') {
    return { write: (severity, text, fields) => void destination.write(logfmtLine(clock, severity, text, fields)) };
  }
  const target = pino(
    { level: 'debug', base: null, timestamp: () => `,"time":"${formatTimestamp(clock.now())}"` },
    destination,
  );
  return {
    write(severity: Severity, text: string, fields: LogFields) {
      const { message: _name, ...rest } = redacted(fields) as Record<string, unknown>;
      target[severity](rest, text);
    },
  };
}
