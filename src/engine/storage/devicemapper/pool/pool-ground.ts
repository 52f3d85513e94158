import type { Logger } from '../../../../base/logger.ts';
import type { BlockCalls } from '../../../kernel/block.ts';
import type { DeviceMapperCalls } from '../../../kernel/device-mapper.ts';
import type { ProcessCalls } from '../../../kernel/kernel.ts';
import type { DeviceMapperOptions } from './options.ts';
import type { Programs } from './programs.ts';

/** What a pool is opened with. */
export interface PoolGround {
  /** The driver's directory. */
  readonly root: string;
  readonly options: DeviceMapperOptions;
  readonly mapper: DeviceMapperCalls;
  readonly block: BlockCalls;
  readonly processes: Pick<ProcessCalls, 'capture'>;
  /** For tests: what is run in place of this machine's. */
  readonly programs?: Programs;
  readonly logger: Logger;
}
