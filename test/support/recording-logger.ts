import type { LogFields, Logger } from '../../src/base/logger.ts';

type Level = 'debug' | 'info' | 'warn' | 'error';

/** Remembers what is said. */
export class RecordingLogger implements Logger {
  readonly lines: { readonly level: Level; readonly message: string; readonly fields: LogFields }[] = [];

  debug(message: string, fields: LogFields = {}): void {
    this.lines.push({ level: 'debug', message, fields });
  }

  info(message: string, fields: LogFields = {}): void {
    this.lines.push({ level: 'info', message, fields });
  }

  warn(message: string, fields: LogFields = {}): void {
    this.lines.push({ level: 'warn', message, fields });
  }

  error(message: string, fields: LogFields = {}): void {
    this.lines.push({ level: 'error', message, fields });
  }

  child(): Logger {
    return this;
  }

  /** What was said at a level, in order. */
  messages(level: Level): readonly string[] {
    return this.lines.filter((line) => line.level === level).map(({ message }) => message);
  }
}
