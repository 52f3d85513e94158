import { join } from 'node:path';
import { errnoCodeOf, messageOf } from '../../../base/errors.ts';
import type { DeviceMapperCalls } from '../../../engine/kernel/device-mapper.ts';
import type { DriverPlace, OpenableDriver } from './opener.ts';

export async function openDevicemapper(place: DriverPlace): Promise<OpenableDriver> {
  const { ground, kernel, root, storageOptions } = place;
  const { clock, logger, execRoot } = ground;
  const { createDeviceMapperCalls } = await import('../../../engine/kernel/linux/device-mapper.ts');
  let mapper: DeviceMapperCalls;
  try {
    mapper = createDeviceMapperCalls();
  } catch (error) {
    const isMissing = ['ENOENT', 'ENODEV', 'ENXIO'].includes(errnoCodeOf(error) ?? '');
    const reason = isMissing
      ? 'this kernel has no device mapper, or its module dm_mod cannot be loaded'
      : messageOf(error);
    return { obstacle: `devicemapper: ${reason}`, open: null };
  }
  return {
    obstacle: null,
    open: async () => {
      const { createBlockCalls } = await import('../../../engine/kernel/linux/block.ts');
      const { openDevicemapperDriver } = await import('../../../engine/storage/devicemapper/open-driver.ts');
      const mountRoot = join(execRoot, 'layers');
      const block = createBlockCalls();
      return openDevicemapperDriver({ root, storageOptions, mapper, block, kernel, mountRoot, clock, logger });
    },
  };
}
