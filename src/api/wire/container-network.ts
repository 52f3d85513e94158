/** `NetworkSettings` and `Ports` of inspect and list. */
import type { ContainerView, EndpointState, NetworkView, PublishedPort } from '../../engine/index.ts';
import type { JsonValue } from '../../base/json.ts';
import type { ApiVersion } from '../compat/version.ts';
import { encodeAs } from './go-struct.ts';
import { ENDPOINT_SETTINGS, NETWORKING_CONFIG, type EndpointSettings } from './networking-config.ts';
import { decodeAs } from './go-struct.ts';
import { networkNameOf } from './namespaces.ts';
import { portText } from './ports.ts';

/** Finds a network's id by name; null when it is not there. */
export type NetworkLookup = (name: string) => NetworkView | null;

/** `NetworkSettings.Networks`: also of a container that does not run, then without addresses. */
export function networksDocument(view: ContainerView, find: NetworkLookup, version: ApiVersion): JsonValue {
  const own = networkNameOf(view.spec.host.network);
  const names = new Set([...(own === null ? [] : [own]), ...view.endpoints.map(({ networkName }) => networkName)]);
  const wishes = givenEndpoints(view);
  return Object.fromEntries(
    [...names].map((name) => [
      name,
      endpointDocument(view, wishes[name] ?? wishes['default'] ?? {}, name, { find, version }),
    ]),
  );
}

function endpointDocument(
  view: ContainerView,
  given: EndpointSettings,
  name: string,
  { find, version }: { readonly find: NetworkLookup; readonly version: ApiVersion },
): JsonValue {
  const live = view.endpoints.find(({ networkName }) => networkName === name) ?? null;
  const hasRun = view.state.status !== 'created';
  const asked: EndpointSettings = {
    IPAMConfig: given.IPAMConfig ?? null,
    Links: given.Links ?? null,
    Aliases: given.Aliases ?? null,
    DriverOpts: given.DriverOpts ?? null,
    MacAddress: live?.macAddress ?? given.MacAddress ?? '',
    NetworkID: live?.networkId ?? (hasRun ? (find(name)?.id ?? '') : ''),
  };
  const document = encodeAs(ENDPOINT_SETTINGS, live === null ? asked : { ...asked, ...addressesOf(live) });
  return gate(document, version);
}

function addressesOf(live: EndpointState): EndpointSettings {
  return {
    EndpointID: live.endpointId,
    Gateway: live.ipv4Gateway ?? '',
    IPAddress: live.ipv4Address ?? '',
    IPPrefixLen: live.ipv4Address === null ? 0 : live.ipv4PrefixLength,
    IPv6Gateway: live.ipv6Gateway ?? '',
    GlobalIPv6Address: live.ipv6Address ?? '',
    GlobalIPv6PrefixLen: live.ipv6Address === null ? 0 : live.ipv6PrefixLength,
  };
}

/** Fields that older versions do not have. */
function gate(document: JsonValue, version: ApiVersion): JsonValue {
  const fields = { ...(document as Record<string, JsonValue>) };
  if (version.before('1.44')) delete fields['DNSNames'];
  if (version.before('1.48')) delete fields['GwPriority'];
  return fields;
}

/** `NetworkSettings` of inspect. */
export function networkSettingsDocument(view: ContainerView, find: NetworkLookup, version: ApiVersion): JsonValue {
  const first = view.endpoints.find(({ networkName }) => networkName === 'bridge') ?? null;
  const isDefault = first !== null ? addressesOf(first) : {};
  return {
    Bridge: '',
    SandboxID: view.netnsPath === null ? '' : (view.netnsPath.split('/').at(-1) ?? ''),
    SandboxKey: view.netnsPath ?? '',
    Ports: portMapDocument(view),
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    // The deprecated fields repeat the default bridge's endpoint.
    EndpointID: isDefault.EndpointID ?? '',
    Gateway: isDefault.Gateway ?? '',
    GlobalIPv6Address: isDefault.GlobalIPv6Address ?? '',
    GlobalIPv6PrefixLen: isDefault.GlobalIPv6PrefixLen ?? 0,
    IPAddress: isDefault.IPAddress ?? '',
    IPPrefixLen: isDefault.IPPrefixLen ?? 0,
    IPv6Gateway: isDefault.IPv6Gateway ?? '',
    MacAddress: first?.macAddress ?? '',
    Networks: networksDocument(view, find, version),
  };
}

/** `Ports` of inspect: exposed and not published is null; nothing at all while it does not run. */
export function portMapDocument(view: ContainerView): JsonValue {
  if (view.endpoints.length === 0) return {};
  const ports = new Map<string, { HostIp: string; HostPort: string }[] | null>();
  for (const port of view.spec.exposedPorts) ports.set(portText(port), null);
  for (const published of publishedPortsOf(view)) {
    const key = portText(published.container);
    const bindings = ports.get(key) ?? [];
    bindings.push({ HostIp: published.hostIp, HostPort: String(published.hostPort) });
    ports.set(key, bindings);
  }
  return Object.fromEntries([...ports].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** `Ports` of list: one row a published address, then the exposed ones. */
export function portListDocument(view: ContainerView): JsonValue {
  if (view.endpoints.length === 0) return [];
  const published = publishedPortsOf(view);
  const isPublished = new Set(published.map(({ container }) => portText(container)));
  const exposed = view.spec.exposedPorts.filter((port) => !isPublished.has(portText(port)));
  return [
    ...exposed.map(({ port, protocol }) => ({ PrivatePort: port, Type: protocol })),
    ...published.map(({ container, hostIp, hostPort }) => ({
      IP: hostIp,
      PrivatePort: container.port,
      PublicPort: hostPort,
      Type: container.protocol,
    })),
  ];
}

export function publishedPortsOf(view: ContainerView): readonly PublishedPort[] {
  return view.endpoints.flatMap(({ publishedPorts }) => publishedPorts);
}

/** Endpoint settings as the client gave them. */
function givenEndpoints(view: ContainerView): Readonly<Record<string, EndpointSettings>> {
  const networking = view.frontDocument?.['NetworkingConfig'] ?? null;
  if (networking === null) return {};
  const endpoints = decodeAs(NETWORKING_CONFIG, networking).EndpointsConfig ?? {};
  return Object.fromEntries(Object.entries(endpoints).map(([name, settings]) => [name, settings ?? {}]));
}
