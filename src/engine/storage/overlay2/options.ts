import { parseByteSize } from '../../../base/byte-size.ts';
import { InvalidArgumentError } from '../../../base/errors.ts';

/** What `--storage-opt` sets for this driver. */
export interface Overlay2Settings {
  /** Limit of each container that asks for none itself; 0: unlimited. */
  readonly sizeBytes: number;
}

/** InvalidArgumentError in Docker's words for what dockerd does not take either. */
export function parseOverlay2Options(words: readonly string[]): Overlay2Settings {
  let sizeBytes = 0;
  for (const word of words) {
    const equals = word.indexOf('=');
    if (equals < 0) throw new InvalidArgumentError(`unable to parse storage-opt key/value: ${word}`);
    const key = word.slice(0, equals).trim().toLowerCase();
    const value = word.slice(equals + 1).trim();
    switch (key) {
      case 'overlay2.override_kernel_check':
        break; // Does nothing in Docker either, since 1.13.
      case 'overlay2.size': {
        const bytes = parseByteSize(value);
        if (bytes === null) throw new InvalidArgumentError(`invalid size: '${value}'`);
        sizeBytes = bytes;
        break;
      }
      default:
        throw new InvalidArgumentError(`overlay2: unknown option ${key}`);
    }
  }
  return { sizeBytes };
}
