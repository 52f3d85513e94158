/**
 * Networks that are nothing but a configuration (`--config-only`): nothing of them is in the kernel and nothing is
 * reserved for them, until another network is made from them (`--config-from`).
 */
import { newId } from '../../../base/ids.ts';
import type { NetworkId } from '../../../base/ids.ts';
import {
  configurationFromConfiguration,
  configurationHasOperatorFields,
  configurationNotFound,
  configurationTakesNoOptions,
  configurationTakesNoSettings,
} from '../messages.ts';
import type { NetworkRoom } from '../room.ts';
import type { NetworkRecord, NetworkRequest } from '../types.ts';

/** Whether what is asked beside `configOnly` and `configFrom` can be. ForbiddenError. */
export function checkConfiguration(request: NetworkRequest): void {
  const { configOnly, configFrom, internal, attachable, scoped } = request;
  if (configOnly === true && (internal || attachable || scoped === true)) throw configurationHasOperatorFields();
  if (configFrom === undefined) return;
  if (configOnly === true) throw configurationFromConfiguration();
  if (hasSettings(request)) throw configurationTakesNoSettings();
  if (Object.keys(request.options).length > 0) throw configurationTakesNoOptions();
}

function hasSettings({ ipamDriver, ipamOptions, pools, labels, enableIpv4, enableIpv6 }: NetworkRequest): boolean {
  return (
    !['', 'default'].includes(ipamDriver) ||
    !enableIpv4 ||
    enableIpv6 === true ||
    Object.keys(labels).length + Object.keys(ipamOptions ?? {}).length + pools.length > 0
  );
}

/** The request with what its configuration says in it. NotFoundError where there is no such configuration. */
export function configured(room: Pick<NetworkRoom, 'registry'>, request: NetworkRequest): NetworkRequest {
  const { configFrom } = request;
  if (configFrom === undefined) return request;
  const source = room.registry.byName(configFrom);
  if (source?.configuration === undefined) throw configurationNotFound(configFrom);
  const { enableIpv4 = true, enableIpv6, labels, options, ipamDriver, ipamOptions, configuration } = source;
  return {
    ...request,
    enableIpv4,
    enableIpv6,
    labels,
    options,
    ipamDriver,
    ipamOptions: Object.keys(ipamOptions ?? {}).length > 0 ? ipamOptions : request.ipamOptions,
    pools: configuration,
  };
}

/** A configuration's record. Its driver is none of those that could be plugged into, as dockerd's. */
export function configurationRecord({ clock }: Pick<NetworkRoom, 'clock'>, request: NetworkRequest): NetworkRecord {
  const { name, enableIpv4, enableIpv6, options, labels, ipamDriver, ipamOptions, pools } = request;
  return {
    id: newId<NetworkId>(),
    name,
    driver: 'null',
    createdAt: clock.now(),
    enableIpv4,
    enableIpv6: enableIpv6 ?? false,
    internal: false,
    attachable: false,
    options,
    labels,
    ipamDriver: ipamDriver === '' ? 'default' : ipamDriver,
    ipamOptions,
    pools: [],
    configuration: pools,
  };
}

/** Whether a network was made from this configuration. */
export function isTaken({ registry }: Pick<NetworkRoom, 'registry'>, { name }: NetworkRecord): boolean {
  return registry.list().some(({ configFrom }) => configFrom === name);
}
