import type { LogFields } from '../../base/logger.ts';

/** The levels at which the engine says something. */
export type Severity = 'debug' | 'info' | 'warn' | 'error';

/** Where lines go. Never throws; what it holds back is given out when it is disposed of. */
export interface LineWriter extends Partial<Disposable> {
  write(severity: Severity, text: string, fields: LogFields): void;
}
