/** Where a pool of ours lies; each null when that is not ours to know. */
export interface PoolPlaces {
  /** Path of the block device with the data. */
  readonly data: string | null;
  /** The file behind it, when it is a loop device. */
  readonly dataFile: string | null;
  readonly metadata: string | null;
  readonly metadataFile: string | null;
}
