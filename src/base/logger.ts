/**
 * Structured values that go with a log line; never credentials. Two names mean more to the journal (docs/journal.md):
 * `containerId` (or `container`) becomes CONTAINER_ID, and `message` names a row of the table of stable messages, by which
 * programs find the line whatever its words.
 */
export type LogFields = Readonly<Record<string, unknown>>;

/** What rooms know of logging. The daemon hands in its own; tests hand in {@link silentLogger}. */
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
