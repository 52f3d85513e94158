/** Docker's `network.EndpointSettings`: half request, half state. Only `IPAMConfig`, aliases, links, MAC are requests. */
import { int, map, omitEmpty, pointer, slice, struct, text, type ValueOf } from './go-struct.ts';

const ENDPOINT_IPAM_CONFIG = struct('network.EndpointIPAMConfig', {
  IPv4Address: omitEmpty(text),
  IPv6Address: omitEmpty(text),
  LinkLocalIPs: omitEmpty(slice(text)),
});

export const ENDPOINT_SETTINGS = struct('network.EndpointSettings', {
  IPAMConfig: pointer(ENDPOINT_IPAM_CONFIG),
  Links: slice(text),
  Aliases: slice(text),
  MacAddress: text,
  DriverOpts: map(text),
  GwPriority: int,
  NetworkID: text,
  EndpointID: text,
  Gateway: text,
  IPAddress: text,
  IPPrefixLen: int,
  IPv6Gateway: text,
  GlobalIPv6Address: text,
  GlobalIPv6PrefixLen: int,
  DNSNames: slice(text),
});
export type EndpointSettings = ValueOf<typeof ENDPOINT_SETTINGS>;

export const NETWORKING_CONFIG = struct('network.NetworkingConfig', {
  EndpointsConfig: map(pointer(ENDPOINT_SETTINGS), 'map[string]*network.EndpointSettings'),
});
export type NetworkingConfigDocument = ValueOf<typeof NETWORKING_CONFIG>;
