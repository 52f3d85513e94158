import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseByteSize } from '../../../base/byte-size.ts';
import { InvalidArgumentError, NotImplementedError } from '../../../base/errors.ts';
import type { ContainerLog, ReadableLogDriver } from '../driver.ts';
import { parseCursor } from './line.ts';
import { shift } from './log-files.ts';
import { readLog } from './reader.ts';

/** Bounded by default: a container that talks for years takes 50 MiB and no more. */
const DEFAULT_MAX_SIZE_BYTES = 10 * 1024 * 1024;
const DEFAULT_MAX_FILES = 5;

const FILE_NAME = 'container.log';
const LATER = new Set(['labels', 'labels-regex', 'env', 'env-regex', 'tag', 'max-buffer-size']);

/** Docker's default driver: files beside the container, bounded, readable. The monitor writes them; see line.ts. */
export const jsonFileLogDriver: ReadableLogDriver = {
  name: 'json-file',
  validate: (options) => {
    limitsOf(options);
    for (const [name, value] of Object.entries(options)) refuseUnoffered(name, value);
  },
  open: (containerId, directory): ContainerLog => ({ containerId, path: join(directory, FILE_NAME) }),
  read: (log, options) => {
    // Told before a stream is promised: a generator would only begin with its first record.
    const place = typeof options.after === 'string' ? parseCursor(options.after) : null;
    return readLog(log, options, place);
  },
  async rotate(log, options, reopen) {
    const { maxSizeBytes, maxFiles } = limitsOf(options);
    if (maxSizeBytes === null) return;
    const size = await stat(log.path).then(
      (info) => info.size,
      () => 0,
    );
    if (size > maxSizeBytes) await shift(log.path, maxFiles, reopen);
  },
};

/** `max-size` (`-1`: unbounded) and `max-file`. InvalidArgumentError in Docker's words. */
function limitsOf(options: Readonly<Record<string, string>>): {
  readonly maxSizeBytes: number | null;
  readonly maxFiles: number;
} {
  const size = options['max-size'];
  const files = options['max-file'];
  const maxFiles = files === undefined ? DEFAULT_MAX_FILES : Number(files);
  if (!Number.isInteger(maxFiles) || files === '') {
    throw new InvalidArgumentError(`strconv.Atoi: parsing "${files ?? ''}": invalid syntax`);
  }
  if (maxFiles < 1) throw new InvalidArgumentError('max-file cannot be less than 1');
  if (size === '-1') {
    if (files !== undefined && maxFiles > 1) throw new InvalidArgumentError('max-file cannot be set without max-size');
    return { maxSizeBytes: null, maxFiles };
  }
  const maxSizeBytes = size === undefined ? DEFAULT_MAX_SIZE_BYTES : parseByteSize(size);
  if (maxSizeBytes === null) throw new InvalidArgumentError(`invalid size: '${size ?? ''}'`);
  if (maxSizeBytes <= 0) throw new InvalidArgumentError('max-size must be a positive number');
  return { maxSizeBytes, maxFiles };
}

function refuseUnoffered(name: string, value: string): void {
  switch (name) {
    case 'max-size':
    case 'max-file':
      return;
    case 'compress':
      if (value === 'false') return;
      break;
    case 'mode':
      if (value === 'blocking') return;
      if (value !== 'non-blocking') throw new InvalidArgumentError(`logger: logging mode not supported: ${value}`);
      break;
    default:
      if (!LATER.has(name)) throw new InvalidArgumentError(`unknown log opt '${name}' for json-file log driver`);
  }
  throw new NotImplementedError(`log opt '${name}=${value}' is not supported by this version of moored`);
}
