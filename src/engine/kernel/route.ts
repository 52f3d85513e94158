/** Network interfaces, their addresses and routes: rtnetlink's part of the kernel. */
import type { Fd } from './fd.ts';

/** A network interface. */
export interface Link {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  /** `02:42:ac:11:00:02` */
  readonly macAddress: string;
  readonly up: boolean;
  /** Index of the bridge it belongs to, or null. */
  readonly masterIndex: number | null;
  /** `bridge`, `veth` …, or null for physical ones. */
  readonly type: string | null;
  /**
   * The other end of a veth pair, the link below a macvlan or a VLAN; its index counts in the namespace where that is. Null
   * or absent: none.
   */
  readonly parentIndex?: number | null;
}

/** How fast a link may send. Both whole numbers. */
export interface RateLimit {
  readonly bytesPerSecond: number;
  /** So much may go at once, after a pause. */
  readonly burstBytes: number;
}

/** What became of a link. */
export interface LinkNotice {
  readonly gone: boolean;
  readonly link: Link;
}

/** A link of its own to make; veth pairs and bridges have calls of their own. */
export type LinkOptions = LinkPlace &
  (
    | { readonly kind: 'dummy' }
    | { readonly kind: 'vlan'; readonly parentIndex: number; readonly vlanId: number }
    | { readonly kind: 'macvlan'; readonly parentIndex: number; readonly mode: MacvlanMode }
    | {
        readonly kind: 'ipvlan';
        readonly parentIndex: number;
        readonly mode: IpvlanMode;
        readonly flag: IpvlanFlag;
      }
  );

/** Who of one parent's macvlan links hears whom. */
export type MacvlanMode = 'private' | 'vepa' | 'bridge' | 'passthru';
/** The layer at which ipvlan links are told apart. */
export type IpvlanMode = 'l2' | 'l3' | 'l3s';
/** The same as the modes of macvlan. */
export type IpvlanFlag = 'bridge' | 'private' | 'vepa';

/** Where and as what a link is born. */
export interface LinkPlace {
  readonly name: string;
  /** Absent: here. `parentIndex` counts here in any case. */
  readonly netns?: Fd;
  readonly mtu?: number;
  readonly macAddress?: string;
}

/** An address of a link, such as `172.17.0.1/16`. */
export interface LinkAddress {
  readonly linkIndex: number;
  readonly cidr: string;
}

/** One entry of the main routing table. */
export interface Route {
  /** CIDR; `0.0.0.0/0` or `::/0` is the default route. */
  readonly destination: string;
  readonly gateway: string | null;
  readonly linkIndex: number | null;
}

/** What can be changed of a link. */
export interface LinkChange {
  readonly up?: boolean;
  readonly name?: string;
  readonly mtu?: number;
  readonly macAddress?: string;
  /** Bridge to join; null leaves it. */
  readonly masterIndex?: number | null;
  /** Bridge port: may send a frame back out of the port it came in by. */
  readonly hairpin?: boolean;
  /** A number that packet filters know several links by. */
  readonly group?: number;
  /** False: it asks nobody for the way to a neighbour, all frames go to its own address. */
  readonly arp?: boolean;
}

/** What several of which can be asked for in one breath. */
export interface RouteRequests {
  changeLink(index: number, change: LinkChange): void;
  addAddress(linkIndex: number, cidr: string): void;
  addRoute(route: Route): void;
}

/** rtnetlink in one network namespace; requests are answered before the call returns. Dispose closes the socket. */
export interface RouteSocket extends RouteRequests, Disposable {
  links(): readonly Link[];
  /** The ports of one bridge, which the kernel picks out of all links itself. */
  portsOf(masterIndex: number): readonly Link[];
  /** Null when there is no such link. */
  linkByName(name: string): Link | null;
  /**
   * A link's index alone; null when there is no such link. Waits for nobody, where {@link linkByName} waits while the kernel
   * takes links away, anybody's. For links that ought to be there: of one that is not the kernel looks for a module.
   */
  linkIndex(name: string): number | null;
  createBridge(name: string, options?: { readonly mtu?: number; readonly macAddress?: string }): Link;
  /** Makes a veth pair, one end here (optionally in a bridge, up), its peer in `peerNetns` under `peerName`. */
  createVethPair(options: {
    readonly name: string;
    readonly masterIndex: number | null;
    readonly mtu: number;
    readonly peerName: string;
    readonly peerNetns: Fd;
    readonly peerMacAddress: string | null;
    /** May send a frame back out of the port it came in by. */
    readonly hairpin?: boolean;
    /** Link group of the end here; absent: 0. */
    readonly group?: number;
  }): Link;
  /** Makes a link that is neither a bridge nor a veth pair. ENOTSUP where the kernel has no such kind. */
  createLink(options: LinkOptions): void;
  /**
   * Sends all that `job` asks for in one datagram: each is done in order, whether or not one before it failed; the first
   * failure is thrown when `job` has returned.
   */
  batch(job: (requests: RouteRequests) => void): void;
  /** Waits for the kernel (16 ms and more for a veth): not for the main thread. */
  deleteLink(index: number): void;
  /** As {@link deleteLink}, with the wait outside the main thread; disposing the socket meanwhile is allowed. */
  retireLink(index: number): Promise<void>;
  /** Addresses of one link (0: of all). */
  addresses(linkIndex: number): readonly LinkAddress[];
  /** EADDRNOTAVAIL when it is not there. */
  removeAddress(linkIndex: number, cidr: string): void;
  routes(family: 'ipv4' | 'ipv6'): readonly Route[];
  /** As {@link addRoute}, in place of one to the same destination. */
  replaceRoute(route: Route): void;
  /** ESRCH when it is not there. */
  removeRoute(route: Route): void;
  /** Holds back what goes out by a link; the limit goes with the link. ENOENT where the kernel has no token bucket. */
  limitRate(linkIndex: number, limit: RateLimit): void;
}
