/**
 * The networks that are always there: `bridge`, `host`, `none`. Their ids are kept in the state file, so that what was
 * recorded of a container stays true over restarts.
 */
import type { Clock } from '../../base/clock.ts';
import { newId } from '../../base/ids.ts';
import type { NetworkId } from '../../base/ids.ts';
import type { Link, RouteSocket } from '../kernel/kernel.ts';
import { BRIDGE_OPTION } from './bridge/settings.ts';
import { parseCidr, parseIpv4 } from './ipv4.ts';
import type { Subnet } from './ipv4.ts';
import { choosePool, defaultBridgePool } from './pools.ts';
import type { AddressPoolBlock } from './pools.ts';
import type { IpamPool, NetworkRecord } from './types.ts';

/** Name of the network that containers get when they ask for none. */
export const DEFAULT_NETWORK_NAME = 'bridge';
const HOST_NETWORK_NAME = 'host';
const NONE_NETWORK_NAME = 'none';
const PREDEFINED_NAMES: ReadonlySet<string> = new Set([DEFAULT_NETWORK_NAME, HOST_NETWORK_NAME, NONE_NETWORK_NAME]);

/** The default bridge as the daemon's flags want it. */
export interface DefaultBridgeWish {
  readonly bridgeName: string;
  /** `172.17.0.1/16`: the bridge's own address; null: chosen. */
  readonly bip: string | null;
  /** CIDR that containers' addresses are taken from; null: the whole subnet. */
  readonly fixedCidr: string | null;
  /** Gateway for containers in place of the bridge. */
  readonly defaultGateway: string | null;
  readonly mtu: number;
  readonly interContainer: boolean;
  readonly masquerade: boolean;
  /** Host address for published ports that name none. */
  readonly defaultBindIp: string;
  readonly addressPools: readonly AddressPoolBlock[];
}

/** What of the host decides about the default bridge's pool. */
export interface HostView {
  readonly route: RouteSocket;
  /** Text of the host's resolver configuration. */
  readonly resolvConf: string;
}

/** True for a network that users cannot remove, and on which they cannot choose addresses. */
export function isPredefined(name: string): boolean {
  return PREDEFINED_NAMES.has(name);
}

/** `host` or `none`, as stored or new. */
export function plainNetwork(name: 'host' | 'none', stored: NetworkRecord | null, clock: Clock): NetworkRecord {
  return (
    stored ?? {
      ...blank(clock),
      name,
      driver: name === HOST_NETWORK_NAME ? 'host' : 'null',
      options: {},
      pools: [],
    }
  );
}

/**
 * The default bridge's record, by the flags. A bridge that `ownsBridge` says is not ours keeps the address it has; ours
 * keeps its pool while nothing else on the host has come to use it.
 */
export function defaultBridge(
  wish: DefaultBridgeWish,
  stored: NetworkRecord | null,
  ownsBridge: boolean,
  host: HostView,
  clock: Clock,
): NetworkRecord {
  const link = host.route.linkByName(wish.bridgeName);
  const existing = link === null || ownsBridge ? null : ipv4Of(host.route, link);
  const preferred = parseCidr(stored?.pools[0]?.subnet ?? '')?.subnet ?? null;
  const pool: IpamPool = defaultBridgePool(wish, existing, () =>
    choosePool(wish.addressPools, takenSubnets(host, link), preferred),
  );
  return {
    ...(stored ?? blank(clock)),
    name: DEFAULT_NETWORK_NAME,
    driver: 'bridge',
    options: {
      [BRIDGE_OPTION.defaultBridge]: 'true',
      [BRIDGE_OPTION.interContainer]: String(wish.interContainer),
      [BRIDGE_OPTION.masquerade]: String(wish.masquerade),
      [BRIDGE_OPTION.hostBinding]: wish.defaultBindIp,
      [BRIDGE_OPTION.bridgeName]: wish.bridgeName,
      [BRIDGE_OPTION.mtu]: String(wish.mtu),
    },
    pools: [pool],
  };
}

function blank(clock: Clock): Omit<NetworkRecord, 'name' | 'driver' | 'options' | 'pools'> {
  return {
    id: newId<NetworkId>(),
    createdAt: clock.now(),
    enableIpv6: false,
    internal: false,
    attachable: false,
    labels: {},
    ipamDriver: 'default',
    ipamOptions: null,
  };
}

function ipv4Of(route: RouteSocket, link: Link): string | null {
  return route.addresses(link.index).find(({ cidr }) => parseCidr(cidr) !== null)?.cidr ?? null;
}

/** Blocks that the host reaches by another link than `own`, and its name servers, which a bridge must not hide. */
function takenSubnets({ route, resolvConf }: HostView, own: Link | null): readonly Subnet[] {
  const routes = route.routes('ipv4').filter(({ linkIndex }) => linkIndex === null || linkIndex !== own?.index);
  const addresses = route.addresses(0).filter(({ linkIndex }) => linkIndex !== own?.index);
  const nameServers = resolvConf
    .split('\n')
    .map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? '')
    .filter((address) => parseIpv4(address) !== null)
    .map((address) => `${address}/32`);
  return [...routes.map(({ destination }) => destination), ...addresses.map(({ cidr }) => cidr), ...nameServers]
    .map((cidr) => parseCidr(cidr)?.subnet ?? null)
    .filter((subnet) => subnet !== null)
    .filter(({ prefixLength }) => prefixLength > 0);
}
