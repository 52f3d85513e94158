/** What container-wide settings say of one endpoint, that of the main network: MAC address and sysctls of `eth0`. */
import { InternalError, InvalidArgumentError } from '../../base/errors.ts';
import type { EndpointWish, NetworkMode } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import { networkNameOf } from './namespaces.ts';

const SYSCTLS_OPTION = 'com.docker.network.endpoint.sysctls';
/** `net.ipv4.conf.eth0.forwarding`: family, group, interface, and the rest. */
const INTERFACE_SYSCTL = /^net\.([^.]*)\.([^.]*)\.(eth[^.]*)\.(.+)$/;

type Endpoints = Readonly<Record<string, EndpointWish>>;

/** A create request's networks as they are changed step by step, and what is to be told of it. */
export interface Networking {
  readonly mode: NetworkMode;
  readonly version: ApiVersion;
  readonly endpoints: Endpoints;
  readonly warnings: readonly string[];
}

/** `Config.MacAddress` becomes the main endpoint's. InvalidArgumentError in Docker's words. */
export function withMacAddress(networking: Networking, macAddress: string): Networking {
  const { mode, version } = networking;
  if (macAddress === '') return networking;
  const warnings = [
    ...networking.warnings,
    ...(version.before('1.44')
      ? []
      : ['The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.']),
  ];
  if (mode.kind !== 'network') {
    if (version.before('1.44')) throw new InvalidArgumentError('conflicting options: mac-address and the network mode');
    return { ...networking, warnings };
  }
  const [name, wish] = mainEndpoint(networking, 'unable to migrate container-wide MAC address to a specific network: ');
  if (wish.macAddress !== null && wish.macAddress !== macAddress) {
    throw new InvalidArgumentError(
      'the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty',
    );
  }
  return { ...networking, endpoints: { ...networking.endpoints, [name]: { ...wish, macAddress } }, warnings };
}

/**
 * Sysctls of `eth0` among the container's become the main endpoint's, for clients that know no better (before 1.48).
 * Errors as dockerd's, which calls them its own fault.
 */
export function withSysctls(
  networking: Networking,
  sysctls: Readonly<Record<string, string>>,
): { readonly networking: Networking; readonly sysctls: Readonly<Record<string, string>> } {
  const { mode, version, endpoints, warnings } = networking;
  const found = Object.keys(sysctls).flatMap((key) => {
    const [, family = '', group = '', name = '', rest = ''] = INTERFACE_SYSCTL.exec(key) ?? [];
    return name === '' ? [] : [{ key, name, option: `net.${family}.${group}.IFNAME.${rest}=${sysctls[key] ?? ''}` }];
  });
  const [first] = found;
  if (first === undefined || mode.kind === 'host' || mode.kind === 'container') return { networking, sysctls };
  if (version.atLeast('1.48')) {
    throw new InternalError(
      `interface specific sysctl setting ${JSON.stringify(first.key)} must be supplied using driver option '${SYSCTLS_OPTION}'`,
    );
  }
  const [name, wish] = mainEndpoint(networking, `unable to find a network for sysctl ${first.key}: `);
  const other = found.find((one) => one.name !== 'eth0');
  if (other !== undefined) {
    throw new InternalError(
      `unable to determine network endpoint for sysctl ${other.key}, use driver option '${SYSCTLS_OPTION}' to set per-interface sysctls`,
    );
  }
  const moved = found.map(({ option }) => option).join(',');
  const had = wish.driverOptions?.[SYSCTLS_OPTION];
  // What was asked of the endpoint comes last, and wins.
  const driverOptions = { ...wish.driverOptions, [SYSCTLS_OPTION]: had === undefined ? moved : `${moved},${had}` };
  const keys = found.map(({ key }) => key);
  const warning = `Migrated sysctl ${JSON.stringify(keys.join(','))} to DriverOpts{"${SYSCTLS_OPTION}":${JSON.stringify(moved)}}.`;
  return {
    networking: {
      ...networking,
      endpoints: { ...endpoints, [name]: { ...wish, driverOptions } },
      warnings: [...warnings, warning],
    },
    sysctls: Object.fromEntries(Object.entries(sysctls).filter(([key]) => !keys.includes(key))),
  };
}

/** The endpoint that the mode names. Before 1.44 there is one at most, whatever it is called by. */
function mainEndpoint({ mode, version, endpoints }: Networking, doing: string): readonly [string, EndpointWish] {
  const name = networkNameOf(mode) ?? '';
  const [only] = Object.entries(endpoints);
  const own = endpoints[name];
  if (own !== undefined) return [name, own];
  if (only === undefined) return [name, { aliases: [], ipv4Address: null, ipv6Address: null, macAddress: null }];
  if (version.before('1.44')) return only;
  throw new InvalidArgumentError(
    `${doing}HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks`,
  );
}
