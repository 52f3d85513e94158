import { InvalidArgumentError } from '../../base/errors.ts';
import type { EndpointWish, NetworkMode } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import { networkNameOf } from './namespaces.ts';
import type { EndpointSettings, NetworkingConfigDocument } from './networking-config.ts';

/** What is asked of each network. The key `default` means the network of the mode, as in Docker. */
export function endpointsOf(
  networking: NetworkingConfigDocument | null,
  mode: NetworkMode,
  version: ApiVersion,
): Readonly<Record<string, EndpointWish>> {
  const given = Object.entries(networking?.EndpointsConfig ?? {});
  const own = networkNameOf(mode);
  const names = given.map(([name]) => (name === 'default' ? (own ?? name) : name));
  if (names.length > 1 && version.before('1.44')) {
    throw new InvalidArgumentError(
      `Container cannot be created with multiple network endpoints: ${names.sort().join(', ')}`,
    );
  }
  const empty = given.find(([, settings]) => settings === null);
  if (empty !== undefined) {
    throw new InvalidArgumentError(`invalid config for network ${empty[0]}: EndpointsConfig is nil`);
  }
  // Before 1.44 addresses of links were of the whole container at create; only `connect` heard of an endpoint's.
  const ofEndpoint = version.before('1.44') ? { macAddress: null } : {};
  return Object.fromEntries(
    given.map(([, settings], i) => [names[i] ?? '', { ...endpointWishOf(settings ?? {}, version), ...ofEndpoint }]),
  );
}

/** The engine's words for what is asked of one network, at create or by `connect`. */
export function endpointWishOf(settings: EndpointSettings, version: ApiVersion): EndpointWish {
  // Addresses outside of IPAMConfig are state of another container, echoed by clients that re-create it.
  const ipam = settings.IPAMConfig ?? {};
  // Before 1.48 all were alike; what stands there is no wish.
  const priority = version.before('1.48') ? 0 : (settings.GwPriority ?? 0);
  const { Links: links, DriverOpts: driverOptions } = settings;
  const linkLocalIps = ipam.LinkLocalIPs ?? [];
  return {
    aliases: settings.Aliases ?? [],
    ipv4Address: emptyToNull(ipam.IPv4Address),
    ipv6Address: emptyToNull(ipam.IPv6Address),
    macAddress: emptyToNull(settings.MacAddress),
    ...((links ?? []).length === 0 ? {} : { links: links ?? [] }),
    ...(linkLocalIps.length === 0 ? {} : { linkLocalIps }),
    ...(driverOptions === undefined || driverOptions === null ? {} : { driverOptions }),
    ...(priority === 0 ? {} : { gatewayPriority: priority }),
  };
}

function emptyToNull(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : text;
}
