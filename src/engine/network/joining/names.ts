import { shortId } from '../../../base/ids.ts';
import type { ContainerId } from '../../../base/ids.ts';
import { isPredefined } from '../predefined.ts';
import type { EndpointState, NetworkRecord } from '../types.ts';

/** What of a container others may find it by. */
export interface NamedContainer {
  readonly containerId: ContainerId;
  readonly containerName?: string;
  readonly hostname?: string;
}

/** The names of an endpoint, in Docker's order; none on a predefined network, which has no name service. */
export function dnsNamesOf(
  network: Pick<NetworkRecord, 'name'>,
  { containerId, containerName, hostname }: NamedContainer,
  aliases: readonly string[],
): readonly string[] {
  if (isPredefined(network.name)) return [];
  const names = [containerName ?? '', ...aliases, shortId(containerId), hostname ?? ''];
  return [...new Set(names.filter((name) => name !== ''))];
}

/** The same endpoint under another name of its container. */
export function renamedEndpoint(endpoint: EndpointState, containerName: string, hostname?: string): EndpointState {
  const named = { containerId: endpoint.containerId, containerName, ...(hostname === undefined ? {} : { hostname }) };
  const dnsNames = dnsNamesOf({ name: endpoint.networkName }, named, endpoint.aliases ?? []);
  return { ...endpoint, containerName, dnsNames };
}

/** `container:alias` or `container`, as given → alias → container. */
export function linksOf(links: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    links.map((link) => {
      const colon = link.lastIndexOf(':');
      return colon < 0 ? [link, link] : [link.slice(colon + 1), link.slice(0, colon)];
    }),
  );
}
