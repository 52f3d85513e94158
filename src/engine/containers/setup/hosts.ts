/**
 * /etc/hosts of containers: made anew at each start, and followed in place while a running container's networks change.
 * The file is mounted inside, so it is never replaced by another.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { InvalidArgumentError, messageOf, NotFoundError } from '../../../base/errors.ts';
import type { EndpointState, SandboxState } from '../../network/types.ts';
import type { Container } from '../container.ts';
import type { Room } from '../room.ts';
import type { ContainerSpec } from '../spec-types.ts';
import { editInPlace } from './in-place.ts';
import { hostsText, hostsWith, ownRows, parseExtraHost } from './files.ts';
import type { ResolvedLink } from './links.ts';

const DEFAULT_BRIDGE = 'bridge';
const HOST_HOSTS = '/etc/hosts';
/** There where the kernel has IPv6. */
const IPV6_ADDRESSES = '/proc/net/if_inet6';
const IPV6_SWITCHES = ['net.ipv6.conf.all.disable_ipv6', 'net.ipv6.conf.lo.disable_ipv6'];

/** Writes the file for a start. InvalidArgumentError for a `host-gateway` that there is none for. */
export function writeHosts(
  room: Room,
  { document: { spec }, paths }: Container,
  { endpoints, links }: { readonly endpoints: readonly EndpointState[]; readonly links: readonly ResolvedLink[] },
): void {
  const { host } = spec;
  const extraHosts = host.extraHosts.flatMap((text) => {
    const rows = parseExtraHost(text, gatewaysOf(room, endpoints));
    if (rows.length === 0) throw new InvalidArgumentError(`unable to derive the IP value for host-gateway: ${text}`);
    return rows;
  });
  const linked = links.map(({ address, names }) => [address, names.join(' ')] as const);
  // Docker's rule: a container in the host's network has the host's file, unless it has wishes of its own.
  const text =
    host.network.kind === 'host' && extraHosts.length === 0
      ? textOf(HOST_HOSTS)
      : hostsText({
          extraHosts: [...extraHosts, ...linked],
          own: ownRows(addressesOf(endpoints), spec),
          ipv6: hasIpv6(spec),
        });
  writeFileSync(paths.hosts, text, { mode: 0o644 });
}

/**
 * Brings the file of a running container from the addresses it had to those it has now (`network connect`,
 * `disconnect`); what was written inside meanwhile stays. A failure is only told: the container has its networks.
 */
export function followHosts(
  { logger }: Pick<Room, 'logger'>,
  { id, document: { spec }, paths }: Container,
  before: SandboxState,
  after: SandboxState,
): void {
  const had = addressesOf(before.endpoints);
  const has = addressesOf(after.endpoints);
  const gone = had.filter((address) => !has.includes(address));
  const come = has.filter((address) => !had.includes(address));
  if (gone.length + come.length === 0) return;
  try {
    editInPlace(paths.hosts, (text) => hostsWith(text, ownRows(gone, spec), ownRows(come, spec)));
  } catch (error) {
    logger.warn('the hosts file of a container could not follow its networks', {
      container: id,
      reason: messageOf(error),
    });
  }
}

function addressesOf(endpoints: readonly EndpointState[]): readonly string[] {
  return endpoints.flatMap(({ ipv4Address, ipv6Address }) => [ipv4Address, ipv6Address].filter((one) => one !== null));
}

/** Docker's rule: the default bridge's addresses, whatever network the container is on. */
function gatewaysOf(room: Room, endpoints: readonly EndpointState[]): readonly string[] {
  const { hostGatewayAddresses } = room.options;
  if (hostGatewayAddresses.length > 0) return hostGatewayAddresses;
  const ofBridge = defaultBridgeGateways(room);
  if (ofBridge.length > 0) return ofBridge;
  return endpoints.flatMap(({ ipv4Gateway }) => ipv4Gateway ?? []).slice(0, 1);
}

function defaultBridgeGateways({ networks }: Room): readonly string[] {
  try {
    return networks.get(DEFAULT_BRIDGE).pools.flatMap(({ gateway }) => gateway ?? []);
  } catch (error) {
    if (error instanceof NotFoundError) return [];
    throw error;
  }
}

function hasIpv6({ host: { sysctls } }: ContainerSpec): boolean {
  return existsSync(IPV6_ADDRESSES) && !IPV6_SWITCHES.some((name) => sysctls[name] === '1');
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
