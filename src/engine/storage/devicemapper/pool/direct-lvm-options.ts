import { InvalidArgumentError } from '../../../../base/errors.ts';

/** A block device that is made a pool of LVM's. 0: the default. */
export interface DirectLvmOptions {
  readonly device: string;
  /** Also when a file system is on it. */
  readonly force: boolean;
  readonly dataPercent: number;
  readonly metadataPercent: number;
  readonly autoextendPercent: number;
  readonly autoextendThreshold: number;
}

/** InvalidArgumentError in dockerd's words. */
export function checkDirectLvm({ device, dataPercent, metadataPercent }: DirectLvmOptions): void {
  if (device === '') {
    throw new InvalidArgumentError(
      'must provide device path in `dm.directlvm_device` in order to configure direct-lvm',
    );
  }
  if (dataPercent > 0 !== metadataPercent > 0) {
    throw new InvalidArgumentError(
      'must set both `dm.thinp_percent` and `dm.thinp_metapercent` if either is specified',
    );
  }
  if (dataPercent + metadataPercent > 100) {
    throw new InvalidArgumentError(
      'combined `dm.thinp_percent` and `dm.thinp_metapercent` must not be greater than 100',
    );
  }
}
