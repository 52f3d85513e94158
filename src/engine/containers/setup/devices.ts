/** Requests for devices by what they are (`--gpus`) or by their CDI names (`--device vendor.com/class=name`). */
import { InternalError, InvalidArgumentError } from '../../../base/errors.ts';
import type { RuntimeSpec } from '../../oci/runtime-spec.ts';
import type { CdiDevices } from '../../runtime/cdi.ts';
import type { DriverDeviceRequest } from '../spec-types.ts';

const CDI = 'cdi';

/** The configuration with the requested devices. Errors in Docker's words. */
export async function withRequestedDevices(
  spec: RuntimeSpec,
  requests: readonly DriverDeviceRequest[],
  cdi: CdiDevices,
): Promise<RuntimeSpec> {
  let made = spec;
  for (const { driver, count, ids, capabilities, options } of requests) {
    if (driver !== CDI) {
      throw new InternalError(
        `could not select device driver ${JSON.stringify(driver)} with capabilities: ${textOf(capabilities)}`,
      );
    }
    if (count !== 0) throw new InvalidArgumentError('unexpected count in CDI device request');
    if (Object.keys(options).length > 0) {
      throw new InvalidArgumentError('unexpected options in CDI device request');
    }
    if (ids.length > 0) made = await cdi.inject(made, ids);
  }
  return made;
}

/** As Go prints lists of lists. */
function textOf(capabilities: DriverDeviceRequest['capabilities']): string {
  return `[${capabilities.map((words) => `[${words.join(' ')}]`).join(' ')}]`;
}
