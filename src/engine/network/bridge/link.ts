/** The bridge itself: the link on the host that the endpoints of one network are plugged into. */
import { ConflictError, UnavailableError } from '../../../base/errors.ts';
import { KernelError } from '../../kernel/kernel.ts';
import type { Link, RouteSocket } from '../../kernel/kernel.ts';
import { familyOf, gatewayAddress, poolsOf } from '../interface/pools.ts';
import type { Family } from '../interface/pools.ts';
import { randomMacAddress } from '../naming.ts';
import type { Sysctls } from '../sysctl.ts';
import type { NetworkRecord } from '../types.ts';
import type { BridgeSettings } from './settings.ts';

/** `addr_gen_mode` of a link that makes no link-local address for itself. */
const NO_ADDRESS_OF_ITS_OWN = '1';

/** What a bridge is made and kept with. */
export interface BridgeTools {
  readonly route: () => RouteSocket;
  readonly sysctls: Sysctls;
  /** Whether this engine made the network's bridge. A bridge that was there before is used as it is and never deleted. */
  readonly ownership: {
    owns(network: NetworkRecord): boolean;
    claim(network: NetworkRecord): void;
  };
}

/** Finds or makes the bridge, with the network's own addresses on it; a new one is still down. */
export function ensureBridge(network: NetworkRecord, settings: BridgeSettings, tools: BridgeTools): Link {
  const route = tools.route();
  const wanted = bridgeAddresses(network, settings);
  let link = usable(network, settings, tools, wanted.ipv4);
  if (link === null) {
    // Claimed first: a crash in between leaves a claim without a bridge, which is harmless, never the reverse.
    tools.ownership.claim(network);
    link = route.createBridge(settings.bridgeName, { mtu: settings.mtu, macAddress: randomMacAddress() });
  } else if (link.mtu !== settings.mtu && tools.ownership.owns(network)) {
    route.changeLink(link.index, { mtu: settings.mtu });
  }
  prepareIpv6(network, settings, tools);
  giveAddresses(network, link, tools, wanted);
  return link;
}

/** The bridge's own addresses, with their prefix lengths; null: none of that family. */
export function bridgeAddresses(
  network: NetworkRecord,
  { ipv4Mode, ipv6Mode, inhibitIpv4 }: BridgeSettings,
): Readonly<Record<Family, string | null>> {
  const hasIpv4 = network.enableIpv4 !== false && ipv4Mode !== 'isolated' && !inhibitIpv4;
  const hasIpv6 = network.enableIpv6 && ipv6Mode !== 'isolated';
  return {
    ipv4: hasIpv4 ? gatewayAddress(poolsOf(network, 'ipv4')[0]) : null,
    ipv6: hasIpv6 ? gatewayAddress(poolsOf(network, 'ipv6')[0]) : null,
  };
}

/** The bridge that is there, when it can be used: one of ours with another address and nobody in it is made anew. */
function usable(
  network: NetworkRecord,
  { bridgeName }: BridgeSettings,
  { route, ownership }: BridgeTools,
  address: string | null,
): Link | null {
  const link = route().linkByName(bridgeName);
  if (link === null) return null;
  if (link.type !== 'bridge') throw new ConflictError(`the interface ${bridgeName} exists already and is not a bridge`);
  const present = addressesOf(route(), link, 'ipv4');
  if (address === null || present.length === 0 || present.includes(address)) return link;
  const inUse = route()
    .links()
    .some(({ masterIndex }) => masterIndex === link.index);
  if (!ownership.owns(network) || inUse) {
    throw new ConflictError(`bridge IPv4 (${present.join(', ')}) does not match requested configuration ${address}`);
  }
  route().deleteLink(link.index);
  return null;
}

/** Before the link is up: what comes by IPv6 then cannot be taken back. */
function prepareIpv6(network: NetworkRecord, settings: BridgeSettings, { sysctls, ownership }: BridgeTools): void {
  const place = `net/ipv6/conf/${settings.bridgeName}`;
  const owned = ownership.owns(network);
  try {
    // A container must not be able to play router to its host.
    if (owned) sysctls.write(`${place}/accept_ra`, '0');
    if (!network.enableIpv6) return;
    if (sysctls.read(`${place}/disable_ipv6`) === '1') sysctls.write(`${place}/disable_ipv6`, '0');
    if (owned && settings.ipv6Mode === 'isolated') sysctls.write(`${place}/addr_gen_mode`, NO_ADDRESS_OF_ITS_OWN);
  } catch (error) {
    if (!(error instanceof KernelError) || error.code !== 'ENOENT') throw error;
    if (!network.enableIpv6) return;
    throw new UnavailableError('IPv6 networks cannot be made: this kernel runs without IPv6', { cause: error });
  }
}

function giveAddresses(
  network: NetworkRecord,
  link: Link,
  { route, ownership }: BridgeTools,
  wanted: Readonly<Record<Family, string | null>>,
): void {
  for (const family of ['ipv4', 'ipv6'] as const) {
    const present = addressesOf(route(), link, family);
    const address = wanted[family];
    if (ownership.owns(network)) {
      for (const stale of present.filter((cidr) => cidr !== address)) route().removeAddress(link.index, stale);
    }
    if (address !== null && !present.includes(address)) route().addAddress(link.index, address);
  }
}

/** Less link-local ones, which the kernel makes for itself. */
function addressesOf(route: RouteSocket, link: Link, family: Family): readonly string[] {
  return route
    .addresses(link.index)
    .map(({ cidr }) => cidr)
    .filter((cidr) => familyOf(cidr) === family && !cidr.startsWith('fe80:'));
}
