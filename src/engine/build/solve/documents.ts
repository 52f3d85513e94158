import { InvalidArgumentError } from '../../../base/errors.ts';

/** Far above any honest build's: a hundred steps with half a megabyte each. */
const MOST_BYTES = 64 * 1024 * 1024;

/** How much the configurations of one build's steps take: each has all that those before it said, and waits in memory. */
export class Documents {
  #leftBytes = MOST_BYTES;

  /** One more; InvalidArgumentError when it is too much. */
  take({ length }: Buffer): void {
    this.#leftBytes -= length;
    if (this.#leftBytes >= 0) return;
    throw new InvalidArgumentError(
      `the configurations of the steps take more than ${String(MOST_BYTES / 1024 / 1024)} MiB: keep long texts in files, and put instructions together`,
    );
  }
}
