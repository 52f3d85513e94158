/** Links, addresses and routes of one network namespace by rtnetlink(7). */
import type { Link, LinkAddress, LinkChange, Route, RouteSocket } from '../kernel.ts';
import { KernelError } from '../kernel.ts';
import { AF_INET, AF_INET6, broadcastOf, decodeAddress, encodeAddress, parseCidr } from './addresses.ts';
import type { VethOptions } from './links.ts';
import { bridgeBody, changeBody, decodeLink, hairpinBody, linkHeader, linkNameQuery, vethBody } from './links.ts';
import type { Message } from './netlink-codec.ts';
import { attribute, decodeAttributes, u32Attribute, u32Of } from './netlink-codec.ts';
import { NetlinkSocket } from './netlink-socket.ts';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_SETLINK = 19;
const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_GETROUTE = 26;
/** NLM_F_CREATE | NLM_F_EXCL */
const CREATE = 0x600;

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

/** rtnetlink in the namespace the thread is in when this is made. */
export class LinuxRouteSocket implements RouteSocket {
  readonly #socket = new NetlinkSocket();

  links(): readonly Link[] {
    return this.#socket.dump('RTM_GETLINK', RTM_GETLINK, [linkHeader(0)]).map(decodeLink);
  }

  linkByName(name: string): Link | null {
    try {
      const message = this.#socket.get('RTM_GETLINK', RTM_GETLINK, linkNameQuery(name), name);
      return message === null ? null : decodeLink(message);
    } catch (error) {
      if (error instanceof KernelError && error.code === 'ENODEV') return null;
      throw error;
    }
  }

  createBridge(name: string, options: { readonly mtu?: number; readonly macAddress?: string } = {}): Link {
    const body = bridgeBody(name, options.mtu, options.macAddress);
    this.#socket.request('RTM_NEWLINK', RTM_NEWLINK, CREATE, body, name);
    return this.#made(name);
  }

  createVethPair(options: VethOptions): Link {
    this.#socket.request('RTM_NEWLINK', RTM_NEWLINK, CREATE, vethBody(options), options.name);
    return this.#made(options.name);
  }

  changeLink(index: number, change: LinkChange): void {
    const body = changeBody(index, change);
    if (body !== null) this.#socket.request('RTM_NEWLINK', RTM_NEWLINK, 0, body, `#${String(index)}`);
    if (change.hairpin !== undefined) {
      this.#socket.request('RTM_SETLINK', RTM_SETLINK, 0, hairpinBody(index, change.hairpin), `#${String(index)}`);
    }
  }

  deleteLink(index: number): void {
    this.#socket.request('RTM_DELLINK', RTM_DELLINK, 0, [linkHeader(index)], `#${String(index)}`);
  }

  addresses(linkIndex: number): readonly LinkAddress[] {
    return this.#socket
      .dump('RTM_GETADDR', RTM_GETADDR, [addressHeader(0, 0, 0, 0)])
      .map(decodeLinkAddress)
      .filter((address) => address !== null)
      .filter((address) => linkIndex === 0 || address.linkIndex === linkIndex);
  }

  addAddress(linkIndex: number, cidr: string): void {
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
    this.#socket.request('RTM_NEWADDR', RTM_NEWADDR, CREATE, body, cidr);
  }

  routes(family: 'ipv4' | 'ipv6'): readonly Route[] {
    const header = Buffer.alloc(ROUTE_HEADER_BYTES);
    header.writeUInt8(family === 'ipv4' ? AF_INET : AF_INET6, 0);
    return this.#socket
      .dump('RTM_GETROUTE', RTM_GETROUTE, [header])
      .map(decodeRoute)
      .filter((route) => route !== null);
  }

  addRoute(route: Route): void {
    const { family, address, length } = parseCidr(route.destination);
    const header = Buffer.alloc(ROUTE_HEADER_BYTES);
    const scope = route.gateway === null ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    header.set([family, length, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST]);
    const body: Buffer[] = [header];
    if (length > 0) body.push(attribute(RTA_DST, address));
    if (route.gateway !== null) body.push(attribute(RTA_GATEWAY, encodeAddress(route.gateway)));
    if (route.linkIndex !== null) body.push(u32Attribute(RTA_OIF, route.linkIndex));
    this.#socket.request('RTM_NEWROUTE', RTM_NEWROUTE, CREATE, body, route.destination);
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #made(name: string): Link {
    const link = this.linkByName(name);
    if (link === null) throw new KernelError('RTM_GETLINK', 'ENODEV', name, 'the link just made is gone');
    return link;
  }
}

const ADDRESS_HEADER_BYTES = 8;

/** struct ifaddrmsg: family u8 · prefix length u8 · flags u8 · scope u8 · index u32. */
function addressHeader(family: number, length: number, flags: number, index: number): Buffer {
  const header = Buffer.alloc(ADDRESS_HEADER_BYTES);
  header.set([family, length, flags, RT_SCOPE_UNIVERSE]);
  header.writeUInt32LE(index, 4);
  return header;
}

function decodeLinkAddress({ body }: Message): LinkAddress | null {
  const attributes = decodeAttributes(body.subarray(ADDRESS_HEADER_BYTES));
  // On a point-to-point link IFA_ADDRESS is the other end's.
  const address = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  if (address === undefined) return null;
  return { linkIndex: body.readUInt32LE(4), cidr: `${decodeAddress(address)}/${String(body.readUInt8(1))}` };
}

/** struct rtmsg: family · destination length · source length · tos · table · protocol · scope · type (u8 each) · flags u32. */
const ROUTE_HEADER_BYTES = 12;

function decodeRoute({ body }: Message): Route | null {
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
