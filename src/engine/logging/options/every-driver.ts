/** Log options that every driver knows: how lines are handed on, and what is kept of them for reading. */
import { InvalidArgumentError, messageOf } from '../../../base/errors.ts';
import { DEFAULT_BOUNDS, type LogBounds } from '../monitor-log.ts';
import { atoi, parseBool, ramInBytes } from './go-values.ts';

/** A container's log options, by their names. */
export type LogOptions = Readonly<Record<string, string>>;

const NON_BLOCKING = 'non-blocking';
const COMMON = new Set([
  'mode',
  'max-buffer-size',
  'cache-disabled',
  'cache-max-size',
  'cache-max-file',
  'cache-compress',
]);
/** Docker's own bounds of what it keeps for reading beside a remote driver. */
const DEFAULT_CACHE_BYTES = 20 * 1024 * 1024;

/** Checks the common options and hands the others to `checkOwn`. InvalidArgumentError in Docker's words. */
export function validateOptions(options: LogOptions, checkOwn: (own: LogOptions) => void): void {
  const { mode = '', 'max-buffer-size': buffer, 'cache-disabled': disabled = '' } = options;
  if (mode !== '' && mode !== 'blocking' && mode !== NON_BLOCKING) {
    throw new InvalidArgumentError(`logger: logging mode not supported: ${mode}`);
  }
  if (buffer !== undefined) {
    if (mode !== NON_BLOCKING) {
      throw new InvalidArgumentError(`logger: max-buffer-size option is only supported with 'mode=${NON_BLOCKING}'`);
    }
    prefixed('error parsing option max-buffer-size: ', () => ramInBytes(buffer));
  }
  try {
    if (disabled !== '') parseBool(disabled);
  } catch {
    throw new InvalidArgumentError(`invalid value for option cache-disabled: ${disabled}`);
  }
  cacheBoundsOf(options);
  checkOwn(Object.fromEntries(Object.entries(options).filter(([name]) => !COMMON.has(name))));
}

/** True when a start does not wait for the receiver. */
export function isNonBlocking(options: LogOptions): boolean {
  return options['mode'] === NON_BLOCKING;
}

/** False where the user wants nothing kept for `docker logs`. */
export function isCached(options: LogOptions): boolean {
  const disabled = options['cache-disabled'] ?? '';
  return disabled === '' || !parseBool(disabled);
}

/** How much of a remote driver's log is kept here: what is read, and what waits for a receiver that is away. */
export function cacheBoundsOf(options: LogOptions): LogBounds {
  const { 'cache-max-size': size, 'cache-max-file': files, 'cache-compress': compress } = options;
  const maxSizeBytes =
    size === undefined ? DEFAULT_CACHE_BYTES : prefixed('invalid value for max-size: ', () => ramInBytes(size));
  const maxFiles =
    files === undefined ? DEFAULT_BOUNDS.maxFiles : prefixed('invalid value for max-file: ', () => atoi(files));
  if (compress !== undefined) prefixed('error reading compress log option: ', () => parseBool(compress));
  if (maxSizeBytes <= 0) throw new InvalidArgumentError('max size should be a positive number');
  if (maxFiles < 0) throw new InvalidArgumentError('max file count cannot be less than 0');
  return { maxSizeBytes, maxFiles: Math.max(1, maxFiles) };
}

/** What of the cache's options has no effect. */
export function cacheWarnings(options: LogOptions): readonly string[] {
  return uncompressed('cache-compress', options['cache-compress']);
}

/** Said where compression was asked for: the monitor's log is kept as it is written, within the same bounds. */
export function uncompressed(name: string, value: string | undefined): readonly string[] {
  if (value === undefined || !parseBool(value)) return [];
  return [`log opt '${name}' has no effect: the log is kept uncompressed, within max-size and max-file`];
}

/** Throws what `read` throws, with words before it. */
export function prefixed<T>(words: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new InvalidArgumentError(`${words}${messageOf(error)}`, { cause: error });
  }
}

/** Refuses option names outside `known`; `text` makes the driver's own sentence. */
export function refuseUnknown(options: LogOptions, known: ReadonlySet<string>, text: (name: string) => string): void {
  const unknown = Object.keys(options).find((name) => !known.has(name));
  if (unknown !== undefined) throw new InvalidArgumentError(text(unknown));
}
