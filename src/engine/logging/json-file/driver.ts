import { join } from 'node:path';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { ContainerId } from '../../../base/ids.ts';
import type { LoggedContainer, ShippingLogDriver } from '../driver.ts';
import { DEFAULT_BOUNDS, openMonitorLog, readMonitorLog, rotateMonitorLog, type LogBounds } from '../monitor-log.ts';
import { ATTRIBUTE_OPTIONS, attributesOf, checkPatterns } from '../options/attributes.ts';
import { refuseUnknown, validateOptions, type LogOptions } from '../options/every-driver.ts';
import { atoi, humanSize, parseBool } from '../options/go-values.ts';
import { checkTag, renderTag } from '../options/tag.ts';
import { goJsonMap } from '../sink.ts';
import type { JsonFileSpec } from './sink.ts';

const OWN = new Set(['max-size', 'max-file', 'compress', 'tag', ...ATTRIBUTE_OPTIONS]);

/**
 * Docker's default driver: lines as JSON in a file beside the container, bounded, for whoever reads logs from files. The
 * monitor's own log, bounded alike, is what `docker logs` reads.
 */
export const jsonFileLogDriver: ShippingLogDriver = {
  name: 'json-file',
  validate: (options) => {
    validateOptions(options, (own) => {
      refuseUnknown(own, OWN, (name) => `unknown log opt '${name}' for json-file log driver`);
      limitsOf(own);
      checkTag(own['tag'] ?? '');
      checkPatterns(own);
    });
  },
  open: openMonitorLog,
  canRead: () => true,
  warnings: () => [],
  read: readMonitorLog,
  rotate: (log, options, reopen) => {
    const { maxSizeBytes, maxFiles } = limitsOf(options);
    // Two at least: what one file holds must not go before it was shipped.
    return rotateMonitorLog(log, { maxSizeBytes, maxFiles: Math.max(2, maxFiles) }, reopen);
  },
  shippedPath: (containerId: ContainerId, directory: string) => join(directory, `${containerId}-json.log`),
  sink(container, options, shippedPath): JsonFileSpec | null {
    if (shippedPath === null) return null;
    return { kind: 'json-file', path: shippedPath, attrs: attrsOf(container, options), ...limitsOf(options) };
  },
  reach: () => Promise.resolve(),
};

/** `attrs` of each line, as JSON; null for none. */
function attrsOf(container: LoggedContainer, options: LogOptions): string | null {
  const tag = renderTag(options['tag'] ?? '', container);
  const attributes = { ...attributesOf(container, options), ...(tag === '' ? {} : { tag }) };
  return Object.keys(attributes).length === 0 ? null : goJsonMap(attributes);
}

/** `max-size` (`-1`: unbounded), `max-file`, `compress`. InvalidArgumentError in Docker's words. */
function limitsOf(options: LogOptions): LogBounds & { readonly compress: boolean } {
  const { 'max-size': size, 'max-file': files, compress: compressed } = options;
  const maxSizeBytes = sizeOf(size);
  const maxFiles = files === undefined ? DEFAULT_BOUNDS.maxFiles : atoi(files);
  if (maxFiles < 1) throw new InvalidArgumentError('max-file cannot be less than 1');
  if (maxSizeBytes === null && files !== undefined && maxFiles > 1) {
    throw new InvalidArgumentError('max-file cannot be set without max-size');
  }
  const compress = compressed !== undefined && parseBool(compressed);
  if (compress && (maxFiles === 1 || maxSizeBytes === null)) {
    throw new InvalidArgumentError('compress cannot be true when max-file is less than 2 or max-size is not set');
  }
  return { maxSizeBytes, maxFiles, compress };
}

function sizeOf(text: string | undefined): number | null {
  if (text === undefined) return DEFAULT_BOUNDS.maxSizeBytes;
  if (text === '-1') return null;
  const size = humanSize(text);
  if (size <= 0) throw new InvalidArgumentError('max-size must be a positive number');
  return size;
}
