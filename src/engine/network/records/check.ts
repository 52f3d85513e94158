import { ForbiddenError, InvalidArgumentError } from '../../../base/errors.ts';
import { nameTaken, operationOnPredefined, pluginNotFound } from '../messages.ts';
import { isReservedName } from '../predefined.ts';
import type { NetworkRoom } from '../room.ts';
import type { NetworkRequest } from '../types.ts';

/** IPAM drivers this engine has. */
const IPAM_DRIVERS: ReadonlySet<string> = new Set(['', 'default', 'null']);

/** Whether there can be one more network of this name. */
export function checkNewName(room: NetworkRoom, { name, driver }: NetworkRequest): void {
  if (isReservedName(name)) throw operationOnPredefined(name);
  if (driver === 'overlay') throw noSwarm();
  if (name.trim() === '') throw new InvalidArgumentError('invalid name: name is empty');
  if (room.registry.byName(name) !== null) throw nameTaken(name);
}

/** Whether a network of this kind and address management can be; its pools are judged apart. */
export function checkNewNetwork(room: NetworkRoom, request: NetworkRequest): void {
  const { driver } = request;
  if (driver !== '' && !room.drivers.has(driver)) throw pluginNotFound(driver);
  if (driver === 'host' || driver === 'null') {
    throw new ForbiddenError(`only one instance of "${driver}" network is allowed`);
  }
  if (!IPAM_DRIVERS.has(request.ipamDriver)) throw pluginNotFound(request.ipamDriver);
  if (request.ipamDriver === 'null') refusePools(request);
  if (!request.enableIpv4 && request.enableIpv6 !== true) {
    throw new InvalidArgumentError('IPv4 or IPv6 must be enabled');
  }
}

function refusePools({ pools }: NetworkRequest): void {
  for (const { subnet, ipRange } of pools) {
    if (subnet !== '') throw nullIpamRefuses('pool');
    if (ipRange !== '') throw nullIpamRefuses('subpool');
  }
}

function nullIpamRefuses(what: string): InvalidArgumentError {
  return new InvalidArgumentError(`null ipam driver does not handle specific address ${what} requests`);
}

function noSwarm(): ForbiddenError {
  return new ForbiddenError(
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
  );
}
