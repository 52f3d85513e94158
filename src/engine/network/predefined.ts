/**
 * The networks that are always there: `bridge`, `host`, `none`. Their ids are kept in the state file, so that what was
 * recorded of a container stays true over restarts.
 */
import type { Clock } from '../../base/clock.ts';
import { newId } from '../../base/ids.ts';
import type { NetworkId } from '../../base/ids.ts';
import type { Link, RouteSocket } from '../kernel/kernel.ts';
import { BRIDGE_OPTION } from './bridge/settings.ts';
import { choosePool } from './ipam/blocks.ts';
import type { AddressPoolBlock } from './ipam/blocks.ts';
import { defaultBridgePool } from './ipam/default-bridge.ts';
import { takenBlocks } from './ipam/host.ts';
import type { BridgePoolWish } from './ipam/default-bridge.ts';
import type { HostView } from './ipam/host.ts';
import { parseCidr } from './ipam/ip.ts';
import type { Block, Family } from './ipam/ip.ts';
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
  /** The same for IPv6; absent: the bridge has none. */
  readonly ipv6?: BridgePoolWish | null;
  readonly mtu: number;
  readonly interContainer: boolean;
  readonly masquerade: boolean;
  /** Host address for published ports that name none. */
  readonly defaultBindIp: string;
  readonly addressPools: readonly AddressPoolBlock[];
}

/** True for a network that users cannot remove, and on which they cannot choose addresses. */
export function isPredefined(name: string): boolean {
  return PREDEFINED_NAMES.has(name);
}

/** True for a name that no user's network can have; `default` stands for the default bridge where a network is named. */
export function isReservedName(name: string): boolean {
  return isPredefined(name) || name === 'default';
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
 * keeps its pool while nothing else on the host has come to use it, nor another network (`others`).
 */
export function defaultBridge(
  wish: DefaultBridgeWish,
  stored: NetworkRecord | null,
  ownsBridge: boolean,
  host: HostView,
  others: readonly Block[],
  clock: Clock,
): NetworkRecord {
  const link = host.route.linkByName(wish.bridgeName);
  const taken = takenBlocks(host, link);
  const poolOf = (family: Family, ofFamily: BridgePoolWish): IpamPool => {
    const existing = link === null || ownsBridge ? null : addressOf(host.route, link, family);
    return defaultBridgePool(family, ofFamily, existing, () =>
      choosePool(family, wish.addressPools, [...taken, ...others], storedBlock(stored, family)),
    );
  };
  const ipv6 = wish.ipv6 ?? null;
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
    enableIpv6: ipv6 !== null,
    pools: [poolOf('ipv4', wish), ...(ipv6 === null ? [] : [poolOf('ipv6', ipv6)])],
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

/** What a link carries of a family, link-local addresses apart. */
function addressOf(route: RouteSocket, link: Link, family: Family): string | null {
  const cidrs = route.addresses(link.index).map(({ cidr }) => cidr);
  return cidrs.find((cidr) => parseCidr(cidr)?.block.family === family && !cidr.startsWith('fe80:')) ?? null;
}

function storedBlock(stored: NetworkRecord | null, family: Family): Block | null {
  const blocks = (stored?.pools ?? []).map(({ subnet }) => parseCidr(subnet)?.block ?? null);
  return blocks.find((block) => block?.family === family) ?? null;
}
