import type { EndpointId, NetworkId } from '../../base/ids.ts';
import {
  ForbiddenError,
  InternalError,
  InvalidArgumentError,
  NotFoundError,
  NotImplementedError,
} from '../../base/errors.ts';

/*
 * What this room says to users. The texts are dockerd's, to the letter: clients match them.
 */

export function networkNotFound(ref: string): NotFoundError {
  return new NotFoundError(`network ${ref} not found`);
}

export function ambiguousNetwork(ref: string, count: number): InvalidArgumentError {
  return new InvalidArgumentError(`network ${ref} is ambiguous (${String(count)} matches found based on ID prefix)`);
}

export function noFreeAddress(networkName: string, networkId: NetworkId): InternalError {
  return new InternalError(
    `no available IPv4 addresses on this network's address pools: ${networkName} (${networkId})`,
  );
}

export function addressInUse(): ForbiddenError {
  return new ForbiddenError('Address already in use');
}

export function noFreePool(): InternalError {
  return new InternalError(
    'could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network',
  );
}

export function addressOnPredefinedNetwork(): InvalidArgumentError {
  return new InvalidArgumentError('user specified IP address is supported on user defined networks only');
}

export function aliasOnPredefinedNetwork(): InvalidArgumentError {
  return new InvalidArgumentError('network-scoped alias is supported only for containers in user defined networks');
}

export function invalidMacAddress(text: string): InvalidArgumentError {
  return new InvalidArgumentError(`address ${text}: invalid MAC address`);
}

/** Wraps what went wrong with a published port, as dockerd's bridge driver does. */
export function programmingFailed(endpointName: string, endpointId: EndpointId, cause: Error): InternalError {
  return new InternalError(
    `driver failed programming external connectivity on endpoint ${endpointName} (${endpointId}): ${cause.message}`,
    { cause },
  );
}

/** Another container has the port. */
export function portAllocated(hostIp: string, hostPort: number): InternalError {
  return new InternalError(`Bind for ${hostIp}:${String(hostPort)} failed: port is already allocated`);
}

/** No port of a range is left. */
export function allPortsAllocated(): InternalError {
  return new InternalError('all ports are allocated');
}

/** The kernel does not let us have the port; dockerd's words come from its proxy. */
export function listenFailed(protocol: string, hostIp: string, hostPort: number, code: string): InternalError {
  const reason = LISTEN_REASONS[code] ?? code;
  return new InternalError(
    `Error starting userland proxy: listen ${protocol}4 ${hostIp}:${String(hostPort)}: bind: ${reason}`,
  );
}

/** Ports are led to containers by the packet filter alone, and only IPv4 can be led to an IPv4 address. */
export function ipv6HostAddress(hostIp: string): NotImplementedError {
  return new NotImplementedError(
    `publishing a port on the IPv6 host address ${hostIp} is not supported: the container has no IPv6 address, and this engine runs no userland proxy`,
  );
}

const LISTEN_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'address already in use',
  EADDRNOTAVAIL: 'cannot assign requested address',
  EACCES: 'permission denied',
};
