/** Links, addresses and routes of one network namespace by rtnetlink(7). */
import type {
  Link,
  LinkAddress,
  LinkChange,
  LinkOptions,
  RateLimit,
  Route,
  RouteRequests,
  RouteSocket,
} from '../kernel.ts';
import { KernelError } from '../kernel.ts';
import type { VethOptions } from './links.ts';
import {
  bridgeBody,
  changeBody,
  decodeLink,
  hairpinBody,
  linkBody,
  linkHeader,
  linkNameQuery,
  portsQuery,
  vethBody,
} from './links.ts';
import { NetlinkSocket } from './netlink-socket.ts';
import type { NetlinkRequest } from './netlink-socket.ts';
import { addressBody, addressQuery, decodeLinkAddress, decodeRoute, routeBody, routeQuery } from './route-messages.ts';
import { tokenBucket } from './traffic.ts';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
/** NLM_F_CREATE | NLM_F_EXCL */
const CREATE = 0x600;
/** NLM_F_CREATE | NLM_F_REPLACE */
const REPLACE = 0x500;

/** rtnetlink in the namespace the thread is in when this is made. */
export class LinuxRouteSocket implements RouteSocket {
  readonly #socket = new NetlinkSocket();
  /** Links go one after the other: more than one pool thread is never kept waiting. */
  #retiring: Promise<unknown> = Promise.resolve();

  links(): readonly Link[] {
    return this.#socket.dump('RTM_GETLINK', RTM_GETLINK, [linkHeader(0)]).map(decodeLink);
  }

  portsOf(masterIndex: number): readonly Link[] {
    const links = this.#socket.dump('RTM_GETLINK', RTM_GETLINK, portsQuery(masterIndex)).map(decodeLink);
    // A kernel that does not know this wish answers with all links.
    return links.filter((link) => link.masterIndex === masterIndex);
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

  linkIndex(name: string): number | null {
    return this.#socket.linkIndex(name);
  }

  createBridge(name: string, options: { readonly mtu?: number; readonly macAddress?: string } = {}): Link {
    this.#send(newLink(CREATE, bridgeBody(name, options.mtu, options.macAddress), name));
    return this.#made(name);
  }

  createVethPair(options: VethOptions): Link {
    const requests = [newLink(CREATE, vethBody(options), options.name)];
    if (options.hairpin === true) requests.push(newLink(0, hairpinBody(options.name, true), options.name));
    this.#socket.requestAll(requests);
    return this.#made(options.name);
  }

  createLink(options: LinkOptions): void {
    this.#send(newLink(CREATE, linkBody(options), options.name));
  }

  changeLink(index: number, change: LinkChange): void {
    this.#socket.requestAll(changeRequests(index, change));
  }

  batch(job: (requests: RouteRequests) => void): void {
    const requests: NetlinkRequest[] = [];
    job({
      changeLink: (index, change) => void requests.push(...changeRequests(index, change)),
      addAddress: (linkIndex, cidr) => void requests.push(newAddress(linkIndex, cidr)),
      addRoute: (route) => void requests.push(newRoute(CREATE, route)),
    });
    this.#socket.requestAll(requests);
  }

  deleteLink(index: number): void {
    this.#send(delLink(index));
  }

  async retireLink(index: number): Promise<void> {
    const before = this.#retiring;
    const retired = this.#socket.hold(async () => {
      await before.catch(() => undefined);
      await this.#socket.requestLater(delLink(index));
    });
    this.#retiring = retired;
    await retired;
  }

  addresses(linkIndex: number): readonly LinkAddress[] {
    return this.#socket
      .dump('RTM_GETADDR', RTM_GETADDR, addressQuery())
      .map(decodeLinkAddress)
      .filter((address) => address !== null)
      .filter((address) => linkIndex === 0 || address.linkIndex === linkIndex);
  }

  addAddress(linkIndex: number, cidr: string): void {
    this.#send(newAddress(linkIndex, cidr));
  }

  removeAddress(linkIndex: number, cidr: string): void {
    this.#send({ what: 'RTM_DELADDR', type: RTM_DELADDR, flags: 0, body: addressBody(linkIndex, cidr), path: cidr });
  }

  routes(family: 'ipv4' | 'ipv6'): readonly Route[] {
    return this.#socket
      .dump('RTM_GETROUTE', RTM_GETROUTE, routeQuery(family))
      .map(decodeRoute)
      .filter((route) => route !== null);
  }

  addRoute(route: Route): void {
    this.#send(newRoute(CREATE, route));
  }

  replaceRoute(route: Route): void {
    this.#send(newRoute(REPLACE, route));
  }

  removeRoute(route: Route): void {
    const path = route.destination;
    this.#send({ what: 'RTM_DELROUTE', type: RTM_DELROUTE, flags: 0, body: routeBody(route), path });
  }

  limitRate(linkIndex: number, limit: RateLimit): void {
    this.#send(tokenBucket(linkIndex, limit));
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #send(request: NetlinkRequest): void {
    this.#socket.requestAll([request]);
  }

  #made(name: string): Link {
    const link = this.linkByName(name);
    if (link === null) throw new KernelError('RTM_GETLINK', 'ENODEV', name, 'the link just made is gone');
    return link;
  }
}

function newLink(flags: number, body: readonly Buffer[], path: string): NetlinkRequest {
  return { what: 'RTM_NEWLINK', type: RTM_NEWLINK, flags, body, path };
}

function delLink(index: number): NetlinkRequest {
  const body = [linkHeader(index)];
  return { what: 'RTM_DELLINK', type: RTM_DELLINK, flags: 0, body, path: `#${String(index)}` };
}

function newAddress(linkIndex: number, cidr: string): NetlinkRequest {
  return { what: 'RTM_NEWADDR', type: RTM_NEWADDR, flags: CREATE, body: addressBody(linkIndex, cidr), path: cidr };
}

function newRoute(flags: number, route: Route): NetlinkRequest {
  return { what: 'RTM_NEWROUTE', type: RTM_NEWROUTE, flags, body: routeBody(route), path: route.destination };
}

function changeRequests(index: number, change: LinkChange): readonly NetlinkRequest[] {
  const requests: NetlinkRequest[] = [];
  const path = `#${String(index)}`;
  const body = changeBody(index, change);
  if (body !== null) requests.push(newLink(0, body, path));
  if (change.hairpin !== undefined) requests.push(newLink(0, hairpinBody(index, change.hairpin), path));
  return requests;
}
