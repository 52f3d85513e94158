import { formatTimestamp, type Clock } from '../../base/clock.ts';
import type { LogFields } from '../../base/logger.ts';
import type { LineWriter, Severity } from './line-writer.ts';
import { logfmtLine } from './logfmt.ts';
import { redacted } from './redact.ts';

/**
 * stderr: `text` is logfmt as dockerd writes it, `json` one object a line. Writing is synchronous, so that the last words
 * of a dying daemon are there.
 */
export async function openConsole(format: 'text' | 'json', clock: Clock): Promise<LineWriter> {
  if (format === 'json') return jsonWriter(clock);
  // Node writes to files, pipes and terminals at once, whole. Whoever listened may be gone: the daemon is not to end for it.
  process.stderr.on('error', () => undefined);
  return { write: (severity, text, fields) => void process.stderr.write(logfmtLine(clock, severity, text, fields)) };
}

/** pino is loaded for this alone: 20 ms of a start. */
async function jsonWriter(clock: Clock): Promise<LineWriter> {
  const { pino } = await import('pino');
  const target = pino(
    { level: 'debug', base: null, timestamp: () => `,"time":"${formatTimestamp(clock.now())}"` },
    pino.destination({ fd: 2, sync: true }),
  );
  return {
    write(severity: Severity, text: string, fields: LogFields) {
      const { message: _name, ...rest } = redacted(fields) as Record<string, unknown>;
      target[severity](rest, text);
    },
  };
}
