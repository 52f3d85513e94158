import { stat } from 'node:fs/promises';
import { errnoCodeOf, InternalError, messageOf } from '../../../base/errors.ts';
import { majorOf, minorOf } from '../../oci/device-number.ts';
import type { LinuxResources } from '../../oci/runtime-spec.ts';
import type { BlockDeviceLimit, Resources } from '../spec-types.ts';

type BlockIo = NonNullable<LinuxResources['blockIO']>;
type Throttles = NonNullable<BlockIo['throttleReadBpsDevice']>;

/** Limits of block devices by their numbers. */
export type BlockDeviceLimits = Pick<
  BlockIo,
  | 'weightDevice'
  | 'throttleReadBpsDevice'
  | 'throttleWriteBpsDevice'
  | 'throttleReadIOPSDevice'
  | 'throttleWriteIOPSDevice'
>;

/** Looks the devices of a request up; InternalError in Docker's words for one that is not there. */
export async function resolveBlockDevices(resources: Resources): Promise<BlockDeviceLimits> {
  const weights = await throttlesOf(resources.blkioWeightDevices);
  const [readBps, writeBps, readIops, writeIops] = [
    await throttlesOf(resources.blkioReadBps),
    await throttlesOf(resources.blkioWriteBps),
    await throttlesOf(resources.blkioReadIops),
    await throttlesOf(resources.blkioWriteIops),
  ];
  return {
    ...(weights.length === 0
      ? {}
      : { weightDevice: weights.map(({ major, minor, rate }) => ({ major, minor, weight: rate })) }),
    ...(readBps.length === 0 ? {} : { throttleReadBpsDevice: readBps }),
    ...(writeBps.length === 0 ? {} : { throttleWriteBpsDevice: writeBps }),
    ...(readIops.length === 0 ? {} : { throttleReadIOPSDevice: readIops }),
    ...(writeIops.length === 0 ? {} : { throttleWriteIOPSDevice: writeIops }),
  };
}

async function throttlesOf(limits: readonly BlockDeviceLimit[] = []): Promise<Throttles> {
  return Promise.all(
    limits.map(async ({ path, value }) => {
      const { rdev } = await stat(path).catch((error: unknown) => {
        throw new InternalError(
          errnoCodeOf(error) === 'ENOENT' ? `stat ${path}: no such file or directory` : messageOf(error),
          { cause: error },
        );
      });
      return { major: majorOf(rdev), minor: minorOf(rdev), rate: value };
    }),
  );
}
