/** Addresses and routes between rtnetlink's messages and {@link LinkAddress} and {@link Route} (if_addr.h, rtnetlink.h). Pure. */
import type { LinkAddress, Route } from '../kernel.ts';
import { AF_INET, AF_INET6, broadcastOf, decodeAddress, encodeAddress, parseCidr } from './addresses.ts';
import type { Message } from './netlink-codec.ts';
import { attribute, decodeAttributes, u32Attribute, u32Of } from './netlink-codec.ts';

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_F_NODAD = 2;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_TABLE = 15;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;
const RTM_F_CLONED = 0x200;

/** Body of a dump of all addresses. */
export function addressQuery(): readonly Buffer[] {
  return [addressHeader(0, 0, 0, 0)];
}

/** Body that adds or removes an address. */
export function addressBody(linkIndex: number, cidr: string): readonly Buffer[] {
  const prefix = parseCidr(cidr);
  // Duplicate address detection would keep an IPv6 address unusable for a second; the engine hands each out once.
  const flags = prefix.family === AF_INET6 ? IFA_F_NODAD : 0;
  const body = [
    addressHeader(prefix.family, prefix.length, flags, linkIndex),
    attribute(IFA_LOCAL, prefix.address),
    attribute(IFA_ADDRESS, prefix.address),
  ];
  const broadcast = broadcastOf(prefix);
  if (broadcast !== null) body.push(attribute(IFA_BROADCAST, broadcast));
  return body;
}

/** Body of a dump of one family's routes. */
export function routeQuery(family: 'ipv4' | 'ipv6'): readonly Buffer[] {
  const header = Buffer.alloc(ROUTE_HEADER_BYTES);
  header.writeUInt8(family === 'ipv4' ? AF_INET : AF_INET6, 0);
  return [header];
}

/** Body that adds, replaces or removes a route. */
export function routeBody(route: Route): readonly Buffer[] {
  const { family, address, length } = parseCidr(route.destination);
  const header = Buffer.alloc(ROUTE_HEADER_BYTES);
  const scope = route.gateway === null ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  header.set([family, length, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST]);
  const body: Buffer[] = [header];
  if (length > 0) body.push(attribute(RTA_DST, address));
  if (route.gateway !== null) body.push(attribute(RTA_GATEWAY, encodeAddress(route.gateway)));
  if (route.linkIndex !== null) body.push(u32Attribute(RTA_OIF, route.linkIndex));
  return body;
}

const ADDRESS_HEADER_BYTES = 8;

/** struct ifaddrmsg: family u8 · prefix length u8 · flags u8 · scope u8 · index u32. */
function addressHeader(family: number, length: number, flags: number, index: number): Buffer {
  const header = Buffer.alloc(ADDRESS_HEADER_BYTES);
  header.set([family, length, flags, RT_SCOPE_UNIVERSE]);
  header.writeUInt32LE(index, 4);
  return header;
}

/** The address that a message describes; null for one without (a message of another kind). */
export function decodeLinkAddress({ body }: Message): LinkAddress | null {
  const attributes = decodeAttributes(body.subarray(ADDRESS_HEADER_BYTES));
  // On a point-to-point link IFA_ADDRESS is the other end's.
  const address = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  if (address === undefined) return null;
  return { linkIndex: body.readUInt32LE(4), cidr: `${decodeAddress(address)}/${String(body.readUInt8(1))}` };
}

/** struct rtmsg: family · destination length · source length · tos · table · protocol · scope · type (u8 each) · flags u32. */
const ROUTE_HEADER_BYTES = 12;

/** The route that a message describes; null unless it is a unicast route of the main table. */
export function decodeRoute({ body }: Message): Route | null {
  const attributes = decodeAttributes(body.subarray(ROUTE_HEADER_BYTES));
  const table = u32Of(attributes.get(RTA_TABLE)) ?? body.readUInt8(4);
  const isMain = table === RT_TABLE_MAIN && body.readUInt8(7) === RTN_UNICAST;
  if (!isMain || (body.readUInt32LE(8) & RTM_F_CLONED) !== 0) return null;
  const destination = attributes.get(RTA_DST) ?? Buffer.alloc(body.readUInt8(0) === AF_INET ? 4 : 16);
  const gateway = attributes.get(RTA_GATEWAY);
  return {
    destination: `${decodeAddress(destination)}/${String(body.readUInt8(1))}`,
    gateway: gateway === undefined ? null : decodeAddress(gateway),
    linkIndex: u32Of(attributes.get(RTA_OIF)),
  };
}
