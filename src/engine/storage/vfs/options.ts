import { parseByteSize } from '../../../base/byte-size.ts';
import { InvalidArgumentError } from '../../../base/errors.ts';

/** What `--storage-opt` sets for this driver. */
export interface VfsSettings {
  /** Limit of each container that asks for none itself; 0: unlimited. */
  readonly sizeBytes: number;
}

/** Reads `size=SIZE`. InvalidArgumentError in Docker's words for anything else. */
export function parseVfsOptions(words: readonly string[]): VfsSettings {
  let sizeBytes = 0;
  for (const word of words) {
    const equals = word.indexOf('=');
    if (equals < 0) throw new InvalidArgumentError(`unable to parse storage-opt key/value: ${word}`);
    const key = word.slice(0, equals).trim();
    const value = word.slice(equals + 1).trim();
    if (key !== 'size') throw new InvalidArgumentError(`unknown option ${key} for vfs`);
    const bytes = parseByteSize(value);
    if (bytes === null) throw new InvalidArgumentError(`invalid size: '${value}'`);
    sizeBytes = bytes;
  }
  return { sizeBytes };
}
