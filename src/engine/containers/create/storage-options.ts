import { parseByteSize } from '../../../base/byte-size.ts';
import { InternalError, InvalidArgumentError } from '../../../base/errors.ts';
import type { SnapshotOptions } from '../../storage/driver.ts';

/**
 * Reads the storage options of one container, each driver's as dockerd does: `size` is all that there is. InternalError in
 * its words for anything else, InvalidArgumentError where the driver is vfs. Whether a size can be had says the driver.
 */
export function snapshotOptionsOf(driverName: string, options: Readonly<Record<string, string>>): SnapshotOptions {
  let sizeBytes: number | null = null;
  for (const [name, text] of Object.entries(options)) {
    if (driverName === 'vfs' && name !== 'size') throw new InvalidArgumentError(`Storage opt ${name} not supported`);
    if (name.toLowerCase() !== 'size') throw new InternalError(`Unknown option ${name.toLowerCase()}`);
    sizeBytes = parseByteSize(text);
    if (sizeBytes === null) throw invalidSize(driverName, `invalid size: '${text}'`);
  }
  return { sizeBytes };
}

function invalidSize(driverName: string, message: string): Error {
  return driverName === 'vfs' ? new InvalidArgumentError(message) : new InternalError(message);
}
