import { InvalidArgumentError } from '../../../base/errors.ts';
import { booleanOption } from '../options.ts';
import type { NetworkRequest } from '../types.ts';

const ENABLE_IPV4 = 'com.docker.network.enable_ipv4';
const ENABLE_IPV6 = 'com.docker.network.enable_ipv6';

/**
 * A request with the options that the daemon gives networks of its driver (`--default-network-opt`) where it does not name
 * them itself. Which families a network has may stand among options; what the request says of it comes first.
 */
export function withDefaultOptions(
  defaults: Readonly<Record<string, Readonly<Record<string, string>>>>,
  request: NetworkRequest,
): NetworkRequest {
  const driver = request.driver === '' ? 'bridge' : request.driver;
  const options = { ...defaults[driver], ...request.options };
  return {
    ...request,
    options,
    enableIpv4: request.enableIpv4 && family(options, ENABLE_IPV4, true),
    enableIpv6: request.enableIpv6 ?? family(options, ENABLE_IPV6, false),
  };
}

function family(options: NetworkRequest['options'], key: string, fallback: boolean): boolean {
  try {
    return booleanOption(options, key, fallback);
  } catch (error) {
    throw new InvalidArgumentError(`driver-opt "${key}" is not a valid bool`, { cause: error });
  }
}
