/**
 * Legacy links (`--link name:alias`) on the default bridge: the holder knows the target by more names in /etc/hosts, and
 * by environment variables of its ports. Docker's words throughout.
 */
import { ConflictError, InternalError, InvalidArgumentError, NotFoundError } from '../../../base/errors.ts';
import type { ContainerPort, OpenedContainer } from '../../network/types.ts';
import type { Container } from '../container.ts';
import type { Room } from '../room.ts';
import type { ContainerLink, ContainerSpec } from '../spec-types.ts';
import { isLive } from '../state.ts';
import { editInPlace } from './in-place.ts';
import { legacyLinksOf } from './link-names.ts';

/** The default bridge; on other networks a link is an alias of the endpoint. */
const DEFAULT_BRIDGE = 'bridge';
const WITH_HOST =
  "conflicting options: host type networking can't be used with links. This would result in undefined behavior";

/** What a started container learns of one it is linked to. */
export interface ResolvedLink {
  readonly alias: string;
  /** `/holder/alias` */
  readonly fullName: string;
  readonly address: string;
  /** Of /etc/hosts. */
  readonly names: readonly string[];
  readonly ports: readonly ContainerPort[];
  readonly environment: readonly string[];
}

/** The targets by id, so that a rename does not break a link. InvalidArgumentError for one that is not there. */
export function registeredLinks(room: Room, { host }: ContainerSpec): readonly ContainerLink[] {
  if (!isOnDefaultBridge(host.network)) return host.links ?? [];
  return (host.links ?? []).map(({ ref, alias }) => {
    const target = room.registry.find(ref);
    // No 404: the CLI would take it for a missing image and pull.
    if (target === null) {
      throw new InvalidArgumentError(`could not get container for ${ref}: No such container: ${ref}`);
    }
    if (lenderOf(room, target).document.spec.host.network.kind === 'host') throw new InvalidArgumentError(WITH_HOST);
    return { ref: target.id, alias };
  });
}

/** Addresses, ports and environment of the targets, which must run. InternalError in Docker's words. */
export function resolveLinks(room: Room, holder: Container): readonly ResolvedLink[] {
  return legacyLinksOf(holder.document).flatMap((link) => {
    const target = room.registry.find(link.ref);
    return target === null ? [] : [resolved(room, holder, target, link.alias)];
  });
}

function resolved(room: Room, holder: Container, target: Container, alias: string): ResolvedLink {
  const fullName = `/${holder.name}/${alias}`;
  if (!isLive(target.state)) {
    throw new InternalError(`Cannot link to a non running container: /${target.name} AS ${fullName}`);
  }
  const address = addressOf(lenderOf(room, target));
  if (address === null) throw new InternalError(`container ${target.id} not attached to default bridge network`);
  const { spec } = target.document;
  const names = [alias, spec.hostname, ...(alias === target.name ? [] : [target.name])];
  return { alias, fullName, address, names, ports: spec.exposedPorts, environment: spec.env };
}

/** Whose ports the holder may reach on a bridge that keeps its containers apart. */
export function openedBy(room: Room, holder: Container): readonly OpenedContainer[] {
  return legacyLinksOf(holder.document).flatMap(({ ref }) => {
    const target = room.registry.find(ref);
    const ports = target?.document.spec.exposedPorts ?? [];
    return target === null || ports.length === 0 ? [] : [{ containerId: lenderOf(room, target).id, ports }];
  });
}

/** `DB_PORT_5432_TCP_ADDR` …, Docker's variables for each link, in its order. */
export function linkEnvironment(links: readonly ResolvedLink[]): readonly string[] {
  return links.flatMap(environmentOf);
}

/** Tells running holders of links to a container that has just started what its address is now. */
export function refreshHolders(room: Room, target: Container): void {
  if (addressOf(target) === null) return;
  for (const holder of room.registry.all()) {
    const links = legacyLinksOf(holder.document).filter(({ ref }) => ref === target.id);
    if (links.length === 0 || !isLive(holder.state)) continue;
    const fresh = links.map(({ alias }) => resolved(room, holder, target, alias));
    editInPlace(holder.paths.hosts, (text) => fresh.reduce(withAddress, text));
  }
}

/** The line of an alias with another address; the target may have been renamed since the line was written. */
function withAddress(text: string, { address, alias }: ResolvedLink): string {
  return text
    .split('\n')
    .map((line) => {
      const [, names = ''] = line.split('\t', 2);
      return names.split(' ', 1)[0] === alias ? `${address}\t${names}` : line;
    })
    .join('\n');
}

/** Takes the link `holder/alias` away (`docker rm --link`). Errors in Docker's words. */
export function removeLink(room: Room, fullName: string): void {
  const name = fullName.startsWith('/') ? fullName : `/${fullName}`;
  const cut = name.lastIndexOf('/');
  const alias = name.slice(cut + 1);
  if (cut === 0) {
    room.registry.resolve(alias);
    throw new ConflictError('Conflict, cannot remove the default link name of the container');
  }
  const holder = room.registry.find(name.slice(1, cut));
  if (holder === null || !legacyLinksOf(holder.document).some((link) => link.alias === alias)) {
    throw new NotFoundError(`No such container: ${fullName}`);
  }
  const { spec } = holder.document;
  const links = legacyLinksOf(holder.document).filter((link) => link.alias !== alias);
  holder.amend({ ...holder.document, spec: { ...spec, host: { ...spec.host, links } } });
}

function isOnDefaultBridge(network: ContainerSpec['host']['network']): boolean {
  return network.kind === 'network' && network.name === DEFAULT_BRIDGE;
}

/** The container whose network it really has. */
function lenderOf(room: Room, container: Container): Container {
  const { network } = container.document.spec.host;
  return network.kind === 'container' ? lenderOf(room, room.registry.resolve(network.ref)) : container;
}

function addressOf({ live }: Container): string | null {
  return live.sandbox?.endpoints.find(({ networkName }) => networkName === DEFAULT_BRIDGE)?.ipv4Address ?? null;
}

function environmentOf({ alias, fullName, address, ports, environment }: ResolvedLink): readonly string[] {
  const prefix = alias.toUpperCase().replaceAll('-', '_');
  const sorted = [...ports].sort((a, b) => a.port - b.port || (a.protocol === 'tcp' ? -1 : 1));
  const [first] = sorted;
  return [
    ...(first === undefined ? [] : [`${prefix}_PORT=${urlOf(address, first)}`]),
    ...sorted.flatMap((port) => portLines(prefix, address, port)),
    ...rangeLines(prefix, address, sorted),
    `${prefix}_NAME=${fullName}`,
    ...environment.flatMap((line) => {
      const cut = line.indexOf('=');
      const name = line.slice(0, cut);
      // Of no use to another container.
      return cut < 0 || name === 'HOME' || name === 'PATH' ? [] : [`${prefix}_ENV_${line}`];
    }),
  ];
}

function portLines(prefix: string, address: string, port: ContainerPort): readonly string[] {
  const name = nameOf(prefix, port);
  return [
    `${name}=${urlOf(address, port)}`,
    `${name}_ADDR=${address}`,
    `${name}_PORT=${String(port.port)}`,
    `${name}_PROTO=${port.protocol}`,
  ];
}

/** Ports that follow each other in number, of one protocol, are told as a range as well. */
function rangeLines(prefix: string, address: string, sorted: readonly ContainerPort[]): readonly string[] {
  const ranges: { readonly start: ContainerPort; end: ContainerPort }[] = [];
  for (const port of sorted) {
    const last = ranges.at(-1);
    if (last !== undefined && port.port === last.end.port + 1 && port.protocol === last.start.protocol) last.end = port;
    else ranges.push({ start: port, end: port });
  }
  return ranges
    .filter(({ start, end }) => start !== end)
    .flatMap(({ start, end }) => {
      const name = nameOf(prefix, start);
      return [
        `${name}_START=${urlOf(address, start)}`,
        `${name}_PORT_START=${String(start.port)}`,
        `${name}_END=${urlOf(address, end)}`,
        `${name}_PORT_END=${String(end.port)}`,
      ];
    });
}

function nameOf(prefix: string, { port, protocol }: ContainerPort): string {
  return `${prefix}_PORT_${String(port)}_${protocol.toUpperCase()}`;
}

function urlOf(address: string, { port, protocol }: ContainerPort): string {
  return `${protocol}://${address}:${String(port)}`;
}
