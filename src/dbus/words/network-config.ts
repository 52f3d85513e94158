/** What a new network, or a container's place on one, is to be, as it comes over the bus. */
import { InvalidArgumentError } from '../../base/errors.ts';
import { FIREWALL_ZONE, type EndpointWish, type IpamPoolRequest, type NetworkRequest } from '../../engine/index.ts';
import { decodeDictionary, type Dictionary } from '../bus/dictionary.ts';

const NETWORK_KEYS = {
  Driver: 's',
  Internal: 'b',
  Attachable: 'b',
  EnableIPv4: 'b',
  EnableIPv6: 'b',
  Subnets: 'aa{sv}',
  Options: 'a{ss}',
  Labels: 'a{ss}',
  /** firewalld's. */
  FirewallZone: 's',
} as const;

const SUBNET_KEYS = { Subnet: 's', Gateway: 's', IPRange: 's', AuxAddresses: 'a{ss}' } as const;

const ENDPOINT_KEYS = {
  Aliases: 'as',
  IPv4Address: 's',
  IPv6Address: 's',
  LinkLocalIPs: 'as',
  MacAddress: 's',
  /** `container:alias`. */
  Links: 'as',
  Options: 'a{ss}',
  GwPriority: 'i',
} as const;

/** `CreateNetwork`. InvalidArgumentError names what is not known. */
export function networkRequestOf(name: string, config: Dictionary): NetworkRequest {
  const given = decodeDictionary(NETWORK_KEYS, config);
  const zone = given.FirewallZone ?? '';
  return {
    name,
    driver: given.Driver ?? '',
    enableIpv4: given.EnableIPv4 ?? true,
    enableIpv6: given.EnableIPv6 ?? null,
    internal: given.Internal ?? false,
    attachable: given.Attachable ?? false,
    options: { ...given.Options, ...(zone === '' ? {} : { [FIREWALL_ZONE]: zone }) },
    labels: given.Labels ?? {},
    ipamDriver: '',
    ipamOptions: null,
    pools: (given.Subnets ?? []).map(poolOf),
  };
}

/** `Connect`. InvalidArgumentError names what is not known. */
export function endpointWishOf(options: Dictionary): EndpointWish {
  const given = decodeDictionary(ENDPOINT_KEYS, options);
  const { GwPriority: gatewayPriority, Links: links, LinkLocalIPs: linkLocalIps, Options: driverOptions } = given;
  return {
    aliases: given.Aliases ?? [],
    ipv4Address: emptyToNull(given.IPv4Address),
    ipv6Address: emptyToNull(given.IPv6Address),
    macAddress: emptyToNull(given.MacAddress),
    ...(links === undefined ? {} : { links }),
    ...(linkLocalIps === undefined ? {} : { linkLocalIps }),
    ...(driverOptions === undefined ? {} : { driverOptions }),
    ...(gatewayPriority === undefined ? {} : { gatewayPriority }),
  };
}

function poolOf(subnet: Dictionary): IpamPoolRequest {
  const given = decodeDictionary(SUBNET_KEYS, subnet);
  if ((given.Subnet ?? '') === '') throw new InvalidArgumentError('key "Subnets": a subnet has no key "Subnet"');
  return {
    subnet: given.Subnet ?? '',
    gateway: given.Gateway ?? '',
    ipRange: given.IPRange ?? '',
    auxAddresses: given.AuxAddresses ?? {},
  };
}

function emptyToNull(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : text;
}
