/** `NetworkSettings.Networks` of inspect and list: the networks a container is on, or will be when it starts. */
import { shortId } from '../../base/ids.ts';
import type { JsonValue } from '../../base/json.ts';
import type { ContainerView, EndpointState, EndpointWish, NetworkView } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import { decodeAs, encodeAs } from './go-struct.ts';
import { isPredefinedNetwork } from './namespaces.ts';
import { ENDPOINT_SETTINGS, NETWORKING_CONFIG, type EndpointSettings } from './networking-config.ts';

/** Finds a network by name; null when it is not there. */
export type NetworkLookup = (name: string) => NetworkView | null;

/** What a document is made with. */
export interface EndpointFacts {
  readonly find: NetworkLookup;
  readonly version: ApiVersion;
  /** With all that was asked for, as in inspect; lists show addresses. */
  readonly detailed: boolean;
}

/** Also of a container that does not run, then without addresses. */
export function networksDocument(view: ContainerView, facts: EndpointFacts): JsonValue {
  const names = new Set([...view.networks.keys(), ...view.endpoints.map(({ networkName }) => networkName)]);
  const given = facts.detailed ? givenEndpoints(view) : {};
  return Object.fromEntries(
    [...names].sort().map((name) => {
      const wish = view.networks.get(name) ?? null;
      return [name, endpointDocument(view, { name, wish, given: given[name] ?? given['default'] ?? {} }, facts)];
    }),
  );
}

/** What others find it by on a user's network, in dockerd's order; null on networks without names. */
export function dnsNamesOf(view: ContainerView, name: string, aliases: readonly string[]): readonly string[] | null {
  if (isPredefinedNetwork(name)) return null;
  const { hostname } = view.spec;
  return [...new Set([view.name, ...aliases, shortId(view.id), ...(hostname === '' ? [] : [hostname])])];
}

/** Addresses as every answer shows them. */
export function addressesOf(live: EndpointState): EndpointSettings {
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

interface Endpoint {
  readonly name: string;
  readonly wish: EndpointWish | null;
  /** As the client wrote it at create: only for what it left open in which way. */
  readonly given: EndpointSettings;
}

function endpointDocument(view: ContainerView, endpoint: Endpoint, facts: EndpointFacts): JsonValue {
  const { name, wish } = endpoint;
  const live = view.endpoints.find(({ networkName }) => networkName === name) ?? null;
  const hasRun = view.state.status !== 'created';
  const settings: EndpointSettings = {
    ...(facts.detailed ? askedOf(view, endpoint, facts) : { IPAMConfig: ipamOf(wish, {}) }),
    GwPriority: wish?.gatewayPriority ?? 0,
    MacAddress: live?.macAddress ?? (hasRun ? '' : (wish?.macAddress ?? '')),
    NetworkID: live?.networkId ?? (hasRun ? (facts.find(name)?.id ?? '') : ''),
    ...(live === null ? {} : addressesOf(live)),
  };
  return gate(encodeAs(ENDPOINT_SETTINGS, settings), facts.version);
}

function askedOf(view: ContainerView, { name, wish, given }: Endpoint, { version }: EndpointFacts): EndpointSettings {
  const aliases = wish?.aliases ?? [];
  // What older clients are used to find among the aliases has a list of its own now.
  const isOlder = version.before('1.45') && !isPredefinedNetwork(name);
  const { hostname } = view.spec;
  const live = view.endpoints.find(({ networkName }) => networkName === name);
  const isNamed = live !== undefined || view.state.status !== 'created';
  return {
    IPAMConfig: ipamOf(wish, given),
    Links: orGiven(wish?.links ?? [], given.Links),
    Aliases: isOlder ? [...new Set([...aliases, shortId(view.id), hostname])] : orGiven(aliases, given.Aliases),
    DriverOpts: wish?.driverOptions ?? null,
    DNSNames: isNamed ? dnsNamesOf(view, name, aliases) : null,
  };
}

/** What was asked for, else what the client wrote for nothing: `[]` or `null`. */
function orGiven(asked: readonly string[], given: readonly string[] | null | undefined): readonly string[] | null {
  return asked.length > 0 ? asked : given?.length === 0 ? [] : null;
}

function ipamOf(
  wish: EndpointWish | null,
  given: EndpointSettings,
): NonNullable<EndpointSettings['IPAMConfig']> | null {
  const asked = {
    ...((wish?.ipv4Address ?? null) === null ? {} : { IPv4Address: wish?.ipv4Address ?? '' }),
    ...((wish?.ipv6Address ?? null) === null ? {} : { IPv6Address: wish?.ipv6Address ?? '' }),
    ...((wish?.linkLocalIps ?? []).length === 0 ? {} : { LinkLocalIPs: wish?.linkLocalIps ?? [] }),
  };
  return Object.keys(asked).length > 0 ? asked : (given.IPAMConfig ?? null) === null ? null : {};
}

/** Fields that older versions do not have. */
function gate(document: JsonValue, version: ApiVersion): JsonValue {
  const fields = { ...(document as Record<string, JsonValue>) };
  if (version.before('1.44')) delete fields['DNSNames'];
  if (version.before('1.48')) delete fields['GwPriority'];
  return fields;
}

/** Endpoint settings as the client gave them. */
function givenEndpoints(view: ContainerView): Readonly<Record<string, EndpointSettings>> {
  const networking = view.frontDocument?.['NetworkingConfig'] ?? null;
  if (networking === null) return {};
  const endpoints = decodeAs(NETWORKING_CONFIG, networking).EndpointsConfig ?? {};
  return Object.fromEntries(Object.entries(endpoints).map(([name, settings]) => [name, settings ?? {}]));
}
