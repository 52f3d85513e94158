import { ForbiddenError, InternalError, InvalidArgumentError } from '../../../base/errors.ts';
import type { NetworkId } from '../../../base/ids.ts';
import { joinFaults } from '../messages.ts';
import type { Family } from './ip.ts';

/*
 * What address management says to users: dockerd's words, to the letter.
 */

const FAMILY_NAMES = { ipv4: 'IPv4', ipv6: 'IPv6' } as const;

/** `IPv4` */
export function familyName(family: Family): string {
  return FAMILY_NAMES[family];
}

export function noFreeAddress(family: Family, networkName: string, networkId: NetworkId): InternalError {
  return new InternalError(
    `no available ${familyName(family)} addresses on this network's address pools: ${networkName} (${networkId})`,
  );
}

export function addressInUse(): ForbiddenError {
  return new ForbiddenError('Address already in use');
}

export function foreignAddress(address: string): InvalidArgumentError {
  return new InvalidArgumentError(`invalid address ${address}: It does not belong to any of this network's subnets`);
}

export function noFreePool(): InvalidArgumentError {
  return new InvalidArgumentError('all predefined address pools have been fully subnetted');
}

export function poolOverlaps(): ForbiddenError {
  return new ForbiddenError('invalid pool request: Pool overlaps with other one on this address space');
}

/** `gateway` is empty where the engine chose. */
export function gatewayUnavailable(gateway: string, reason: string): InternalError {
  return new InternalError(`failed to allocate gateway (${gateway === '' ? '<nil>' : gateway}): ${reason}`);
}

export function auxiliaryUnavailable(name: string, address: string): InternalError {
  return new InternalError(`failed to allocate secondary ip address (${name}:${address}): Address already in use`);
}

/** All that is wrong with the subnets of a request. */
export function invalidNetworkConfig(faults: readonly string[]): InvalidArgumentError {
  return new InvalidArgumentError(`invalid network config:\n${joinFaults(faults)}`);
}

export function tooManyPools(most: number): InvalidArgumentError {
  return new InvalidArgumentError(`invalid network config: a network has ${String(most)} subnets at most`);
}
