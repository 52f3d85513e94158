/** Structured values that go with a log line; never credentials. */
export type LogFields = Readonly<Record<string, unknown>>;

/** What rooms know of logging. The daemon hands in pino; tests hand in {@link silentLogger}. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds `fields` to each line. */
  child(fields: LogFields): Logger;
}

const ignore = (): void => undefined;

/** Says nothing. */
export const silentLogger: Logger = {
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  child: () => silentLogger,
};
