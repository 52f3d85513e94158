import { humanSize, parseByteSize } from '../../../base/byte-size.ts';
import { InvalidArgumentError } from '../../../base/errors.ts';

/** What `--storage-opt` sets for this driver. */
export interface BtrfsSettings {
  /** Least size that a container may be limited to. */
  readonly minSpaceBytes: number;
}

/** Reads `btrfs.min_space=SIZE`. InvalidArgumentError in Docker's words for anything else. */
export function parseBtrfsOptions(words: readonly string[]): BtrfsSettings {
  let minSpaceBytes = 0;
  for (const word of words) {
    const [key, value] = splitWord(word);
    if (key !== 'btrfs.min_space') throw new InvalidArgumentError(`Unknown option ${key}`);
    const bytes = parseByteSize(value);
    if (bytes === null) throw new InvalidArgumentError(`invalid size: '${value}'`);
    minSpaceBytes = bytes;
  }
  return { minSpaceBytes };
}

/** InvalidArgumentError, as dockerd says it, for a size that no container may have. */
export function checkSize(sizeBytes: number, { minSpaceBytes }: BtrfsSettings): void {
  if (sizeBytes === 0) throw new InvalidArgumentError(`btrfs: invalid storage size: ${humanSize(sizeBytes)}`);
  if (sizeBytes < minSpaceBytes) {
    throw new InvalidArgumentError(`btrfs: storage size cannot be less than ${humanSize(minSpaceBytes)}`);
  }
}

/** InvalidArgumentError for a size that is full before anything is written: the image counts, and takes so many bytes. */
export function checkImageFits(sizeBytes: number, imageBytes: number): void {
  if (sizeBytes >= imageBytes) return;
  const least = humanSize(imageBytes);
  throw new InvalidArgumentError(
    `btrfs: storage size cannot be less than ${least}, which the image takes of it: disk quota exceeded`,
  );
}

/** Why nothing is limited below `root`, and what an administrator can do about it. */
export function quotasAreOff(root: string): string {
  return (
    `quotas are off for the Btrfs file system of ${root}, and the engine never switches them on or off; ` +
    `an administrator does, for all of it: btrfs quota enable ${root}`
  );
}

/** graphdriver.ParseStorageOptKeyValue */
function splitWord(word: string): readonly [string, string] {
  const equals = word.indexOf('=');
  if (equals < 0) throw new InvalidArgumentError(`unable to parse storage-opt key/value: ${word}`);
  return [word.slice(0, equals).trim().toLowerCase(), word.slice(equals + 1).trim()];
}
