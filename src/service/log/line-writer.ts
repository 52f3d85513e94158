import type { LogFields } from '../../base/logger.ts';

/** The levels at which the engine says something. */
export type Severity = 'debug' | 'info' | 'warn' | 'error';

/** Where lines go. Never throws. */
export interface LineWriter {
  write(severity: Severity, text: string, fields: LogFields): void;
}
