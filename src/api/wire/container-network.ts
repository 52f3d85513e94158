/** `NetworkSettings` and `Ports` of inspect and list. */
import type { ContainerView, PublishedPort } from '../../engine/index.ts';
import type { JsonValue } from '../../base/json.ts';
import type { ApiVersion } from '../compat/version.ts';
import { addressesOf, networksDocument, type NetworkLookup } from './container-endpoints.ts';
import { portText } from './ports.ts';

/** `NetworkSettings` of inspect. */
export function networkSettingsDocument(view: ContainerView, find: NetworkLookup, version: ApiVersion): JsonValue {
  const first = view.endpoints.find(({ networkName }) => networkName === 'bridge') ?? null;
  const isDefault = first !== null ? addressesOf(first) : {};
  return {
    Bridge: '',
    ...sandboxOf(view),
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
    Networks: networksDocument(view, { find, version, detailed: true }),
  };
}

/**
 * The id is of 64 digits, of which the path bears the first twelve: one sandbox a container, so its own id. In the host's
 * network the path is that of the container's process.
 */
function sandboxOf({ id, netnsPath, state, spec: { host } }: ContainerView): { SandboxID: string; SandboxKey: string } {
  const isOnHost = host.network.kind === 'host' && 'pid' in state;
  const path = isOnHost ? `/proc/${String(state.pid)}/ns/net` : netnsPath;
  return path === null ? { SandboxID: '', SandboxKey: '' } : { SandboxID: id, SandboxKey: path };
}

/** `Ports` of inspect: exposed and not published is null; nothing at all while it does not run. */
export function portMapDocument(view: ContainerView): JsonValue {
  if (!hasPorts(view)) return {};
  const ports = new Map<string, { HostIp: string; HostPort: string }[] | null>();
  for (const port of view.spec.exposedPorts) ports.set(portText(port), null);
  for (const published of publishedPortsOf(view)) {
    const key = portText(published.container);
    const bindings = ports.get(key) ?? [];
    bindings.push({ HostIp: published.hostIp, HostPort: hostPortText(published) });
    ports.set(key, bindings);
  }
  return Object.fromEntries([...ports].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** `Ports` of list: one row a published address, then the exposed ones. */
export function portListDocument(view: ContainerView): JsonValue {
  if (!hasPorts(view)) return [];
  const published = publishedPortsOf(view);
  const isPublished = new Set(published.map(({ container }) => portText(container)));
  const exposed = view.spec.exposedPorts.filter((port) => !isPublished.has(portText(port)));
  return [
    ...exposed.map(({ port, protocol }) => ({ PrivatePort: port, Type: protocol })),
    ...published.map(({ container, hostIp, hostPort }) => ({
      IP: hostIp,
      PrivatePort: container.port,
      ...(hostPort === 0 ? {} : { PublicPort: hostPort }),
      Type: container.protocol,
    })),
  ];
}

/** Routed ports have none: the container's own is opened. */
function hostPortText({ hostPort }: PublishedPort): string {
  return hostPort === 0 ? '' : String(hostPort);
}

/** Nobody maps ports on `none` and `host`; what does not run is on no network. */
function hasPorts({ endpoints }: ContainerView): boolean {
  return endpoints.some(({ networkName }) => networkName !== 'none' && networkName !== 'host');
}

export function publishedPortsOf(view: ContainerView): readonly PublishedPort[] {
  return view.endpoints.flatMap(({ publishedPorts }) => publishedPorts);
}
