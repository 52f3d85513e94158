/** Bodies of requests about networks → the engine's words. */
import { ForbiddenError, InvalidArgumentError } from '../../base/errors.ts';
import type { IpamPoolRequest, NetworkRequest } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import { bool, map, omitEmpty, pointer, slice, struct, text, type ValueOf } from './go-struct.ts';
import { ENDPOINT_SETTINGS } from './networking-config.ts';

const IPAM_CONFIG = struct('network.IPAMConfig', {
  Subnet: omitEmpty(text),
  IPRange: omitEmpty(text),
  Gateway: omitEmpty(text),
  AuxiliaryAddresses: omitEmpty(map(text)),
});

const IPAM = struct('network.IPAM', { Driver: text, Options: map(text), Config: slice(IPAM_CONFIG) });

const CONFIG_REFERENCE = struct('network.ConfigReference', { Network: text });

/** Body of `POST /networks/create`. `CheckDuplicate` is read and ignored: a name is never given twice. */
export const NETWORK_CREATE = struct('network.CreateRequest', {
  Driver: text,
  Scope: text,
  EnableIPv4: pointer(bool),
  EnableIPv6: pointer(bool),
  IPAM: pointer(IPAM),
  Internal: bool,
  Attachable: bool,
  Ingress: bool,
  ConfigOnly: bool,
  ConfigFrom: pointer(CONFIG_REFERENCE),
  Options: map(text),
  Labels: map(text),
  Name: text,
  CheckDuplicate: pointer(bool),
});
export type NetworkCreate = ValueOf<typeof NETWORK_CREATE>;

/** Body of `POST /networks/{id}/connect`. */
export const NETWORK_CONNECT = struct('network.ConnectOptions', {
  Container: text,
  EndpointConfig: pointer(ENDPOINT_SETTINGS),
});

/** Body of `POST /networks/{id}/disconnect`. */
export const NETWORK_DISCONNECT = struct('network.DisconnectOptions', { Container: text, Force: bool });

const NOT_A_MANAGER =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

/** InvalidArgumentError and ForbiddenError in Docker's words for what only a swarm has. */
export function networkRequestOf(create: NetworkCreate, version: ApiVersion): NetworkRequest {
  refuseSwarm(create);
  const ipam = create.IPAM ?? null;
  return {
    name: create.Name ?? '',
    driver: create.Driver ?? '',
    // Unknown before 1.48: what stands there is no wish.
    enableIpv4: version.before('1.48') ? true : (create.EnableIPv4 ?? true),
    enableIpv6: create.EnableIPv6 ?? null,
    internal: create.Internal ?? false,
    attachable: create.Attachable ?? false,
    options: create.Options ?? {},
    labels: create.Labels ?? {},
    ipamDriver: ipam?.Driver ?? '',
    ipamOptions: ipam?.Options ?? null,
    pools: (ipam?.Config ?? []).map(poolOf),
    ...configurationOf(create),
  };
}

function configurationOf({
  ConfigOnly,
  ConfigFrom,
  Ingress,
  Scope,
}: NetworkCreate): Pick<NetworkRequest, 'configOnly' | 'configFrom' | 'scoped'> {
  const configFrom = ConfigFrom?.Network ?? '';
  return {
    ...(ConfigOnly === true ? { configOnly: true, scoped: Ingress === true || (Scope ?? '') !== '' } : {}),
    ...(configFrom === '' ? {} : { configFrom }),
  };
}

function poolOf(config: ValueOf<typeof IPAM_CONFIG>): IpamPoolRequest {
  return {
    subnet: config.Subnet ?? '',
    gateway: config.Gateway ?? '',
    ipRange: config.IPRange ?? '',
    auxAddresses: config.AuxiliaryAddresses ?? {},
  };
}

function refuseSwarm({ Driver, Scope, Ingress, ConfigOnly }: NetworkCreate): void {
  if (Driver === 'overlay') throw new ForbiddenError(NOT_A_MANAGER);
  // A configuration has no scope at all, which the engine says.
  if (ConfigOnly === true) return;
  if (Ingress === true) throw new ForbiddenError('Ingress network can only be global scope network');
  if (Scope === 'swarm') throw new ForbiddenError('cannot create a swarm scoped network when swarm is not active');
  if (Scope !== undefined && Scope !== '' && Scope !== 'local') {
    throw new InvalidArgumentError(`invalid network scope: ${Scope}`);
  }
}
