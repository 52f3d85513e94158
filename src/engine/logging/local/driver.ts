import { InvalidArgumentError } from '../../../base/errors.ts';
import type { ReadableLogDriver } from '../driver.ts';
import { openMonitorLog, readMonitorLog, rotateMonitorLog, type LogBounds } from '../monitor-log.ts';
import { prefixed, refuseUnknown, uncompressed, validateOptions, type LogOptions } from '../options/every-driver.ts';
import { atoi, parseBool, ramInBytes } from '../options/go-values.ts';

const OWN = new Set(['max-size', 'max-file', 'compress']);
const DEFAULT_MAX_BYTES = 20 * 1024 * 1024;
const DEFAULT_MAX_FILES = 5;

/** The leanest of all: the monitor's own log, which only the engine reads. */
export const localLogDriver: ReadableLogDriver = {
  name: 'local',
  validate: (options) => {
    validateOptions(options, (own) => {
      refuseUnknown(own, OWN, (name) => `unknown log opt '${name}' for log driver local`);
      boundsOf(own);
    });
  },
  open: openMonitorLog,
  canRead: () => true,
  warnings: ({ compress }) => uncompressed('compress', compress),
  read: readMonitorLog,
  rotate: (log, options, reopen) => rotateMonitorLog(log, boundsOf(options), reopen),
};

/** InvalidArgumentError in Docker's words. */
function boundsOf({ 'max-size': size, 'max-file': files, compress }: LogOptions): LogBounds {
  const maxSizeBytes =
    size === undefined ? DEFAULT_MAX_BYTES : prefixed(`invalid value for max-size: ${size}: `, () => ramInBytes(size));
  const maxFiles =
    files === undefined ? DEFAULT_MAX_FILES : prefixed(`invalid value for max-file: ${files}: `, () => atoi(files));
  const compresses =
    compress === undefined || prefixed('error reading compress log option: ', () => parseBool(compress));
  if (maxFiles < 0) throw new InvalidArgumentError('max file count cannot be less than 0');
  if (compresses && maxFiles <= 1) {
    throw new InvalidArgumentError('compression cannot be enabled when max file count is 1');
  }
  // Nothing to keep would be nothing to read either.
  return { maxSizeBytes: Math.max(1, maxSizeBytes), maxFiles: Math.max(1, maxFiles) };
}
