import { messageOf, UnavailableError } from '../../../../base/errors.ts';
import type { Logger } from '../../../../base/logger.ts';
import type { Programs } from './programs.ts';

/**
 * The kernel refuses to write metadata that it once could not write, until somebody has looked at it. UnavailableError
 * when that cannot be done here, or when it is damaged.
 */
export async function checkMetadata(device: string, programs: Programs, logger: Logger): Promise<void> {
  logger.warn(`devmapper: metadata of the thin pool needs to be checked: running thin_check on ${device}`);
  try {
    await programs.run('thin_check', ['--clear-needs-check-flag', device]);
  } catch (error) {
    throw new UnavailableError(
      `devmapper: metadata of the thin pool on ${device} is damaged or cannot be checked, repair it by thin_repair: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
