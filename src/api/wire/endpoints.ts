import { InvalidArgumentError, NotImplementedError } from '../../base/errors.ts';
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
    throw new InvalidArgumentError(`Container cannot be connected to network endpoints: ${names.join(', ')}`);
  }
  const other = names.find((name) => name !== own);
  if (other !== undefined && names.length > 1) {
    throw new NotImplementedError(
      `connecting a container to several networks (${names.join(', ')}) is not supported by this version of moored`,
    );
  }
  return Object.fromEntries(given.map(([, settings], i) => [names[i] ?? '', wishOf(settings ?? {}, version)]));
}

function wishOf(settings: EndpointSettings, version: ApiVersion): EndpointWish {
  refuseUnsupported(settings);
  // Addresses outside of IPAMConfig are state of another container, echoed by clients that re-create it.
  const ipam = settings.IPAMConfig ?? {};
  const mac = settings.MacAddress ?? '';
  return {
    aliases: settings.Aliases ?? [],
    ipv4Address: emptyToNull(ipam.IPv4Address),
    ipv6Address: emptyToNull(ipam.IPv6Address),
    macAddress: mac === '' || version.before('1.44') ? null : mac,
  };
}

function refuseUnsupported(settings: EndpointSettings): void {
  const isAsked: Readonly<Record<string, boolean>> = {
    Links: (settings.Links ?? []).length > 0,
    DriverOpts: Object.keys(settings.DriverOpts ?? {}).length > 0,
    LinkLocalIPs: (settings.IPAMConfig?.LinkLocalIPs ?? []).length > 0,
    GwPriority: (settings.GwPriority ?? 0) !== 0,
  };
  const [name] = Object.entries(isAsked).find(([, asked]) => asked) ?? [];
  if (name !== undefined) {
    throw new NotImplementedError(`endpoint option ${name} is not supported by this version of moored`);
  }
}

function emptyToNull(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : text;
}
