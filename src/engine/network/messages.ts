import { shortId } from '../../base/ids.ts';
import type { EndpointId } from '../../base/ids.ts';
import {
  ConflictError,
  EngineError,
  ForbiddenError,
  InternalError,
  InvalidArgumentError,
  NotFoundError,
  messageOf,
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

export function nameTaken(name: string): ConflictError {
  return new ConflictError(`network with name ${name} already exists`);
}

export function operationOnPredefined(name: string): ForbiddenError {
  return new ForbiddenError(`operation is not permitted on predefined ${name} network `);
}

/** What dockerd takes for a driver it does not have is a plugin's name. */
export function pluginNotFound(name: string): NotFoundError {
  return new NotFoundError(`plugin ${JSON.stringify(name)} not found`);
}

/** Somebody is still plugged in. */
export function activeEndpoints(
  networkName: string,
  endpoints: readonly {
    readonly containerName?: string;
    readonly endpointId: EndpointId;
    readonly containerId: string;
  }[],
): ForbiddenError {
  const who = endpoints.map(
    ({ containerName, containerId, endpointId }) =>
      `name:${JSON.stringify(containerName ?? shortId(containerId))} id:"${shortId(endpointId)}"`,
  );
  return new ForbiddenError(
    `error while removing network: network ${networkName} has active endpoints (${who.join(', ')})`,
  );
}

/** The container is on this network already. */
export function endpointExists(containerName: string, networkName: string): ForbiddenError {
  return new ForbiddenError(`endpoint with name ${containerName} already exists in network ${networkName}`);
}

export function notConnected(containerId: string, networkName: string): InternalError {
  return new InternalError(`container ${containerId} is not connected to network ${networkName}`);
}

export function noSandbox(containerId: string): NotFoundError {
  return new NotFoundError(`could not get network sandbox: container ${containerId} is not running`);
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

export function configurationNotFound(name: string): NotFoundError {
  return new NotFoundError(`configuration network ${JSON.stringify(name)} does not exist`);
}

export function configurationHasOperatorFields(): ForbiddenError {
  return new ForbiddenError(
    'configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.',
  );
}

export function configurationFromConfiguration(): ForbiddenError {
  return new ForbiddenError('a configuration network cannot depend on another configuration network');
}

export function configurationTakesNoSettings(): ForbiddenError {
  return new ForbiddenError(
    'user specified configurations are not supported if the network depends on a configuration network',
  );
}

export function configurationTakesNoOptions(): ForbiddenError {
  return new ForbiddenError(
    'network driver options are not supported if the network depends on a configuration network',
  );
}

export function configurationInUse(name: string): ForbiddenError {
  return new ForbiddenError(`error while removing network: configuration network ${JSON.stringify(name)} is in use`);
}

/** Nothing can be plugged into a configuration. */
export function endpointOnConfiguration(): ForbiddenError {
  return new ForbiddenError('cannot create endpoint on configuration-only network');
}

/** Wraps why a container that is to start cannot have its networks; it is the same kind of error. */
export function settingUpFailed(cause: unknown): EngineError {
  const kind = cause instanceof EngineError ? cause.kind : 'internal';
  const failure = new EngineError(kind, `failed to set up container networking: ${messageOf(cause)}`, { cause });
  if (cause instanceof EngineError) failure.cleanupFailures.push(...cause.cleanupFailures);
  return failure;
}

/** Several faults of one request as dockerd lists them. */
export function joinFaults(faults: readonly string[]): string {
  if (faults.length === 1) return faults[0]?.trim() ?? '';
  return faults.map((text) => `* ${text.replaceAll('\n', '\n\t')}`).join('\n');
}
