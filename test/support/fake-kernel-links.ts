/** A network namespace in memory: links, addresses and routes with the errors that rtnetlink gives. */
import { decodeAddress, encodeAddress, parseCidr } from '../../src/engine/kernel/linux/addresses.ts';
import { KernelError } from '../../src/engine/kernel/kernel.ts';
import type {
  Fd,
  Link,
  LinkAddress,
  LinkChange,
  LinkNotice,
  LinkOptions,
  RateLimit,
  Route,
  RouteSocket,
} from '../../src/engine/kernel/kernel.ts';

interface FakeLink {
  link: Link;
  hairpin: boolean;
  limit?: RateLimit;
  /** The other end of a veth pair. */
  peer: { readonly netns: FakeNetns; readonly index: number } | null;
}

const NAME_MAX = 15;

/** Starts with `lo` alone, down. */
export class FakeNetns {
  /** Scripts that `nft.run` was given while the thread was in here. */
  readonly nftScripts: string[] = [];
  readonly #links = new Map<number, FakeLink>();
  readonly #addresses: LinkAddress[] = [];
  readonly #routes: Route[] = [];
  /** Told of each link that comes, changes or goes; null as after an overrun. */
  readonly listeners = new Set<(notice: LinkNotice | null) => void>();
  #nextIndex = 1;

  constructor() {
    this.addLink({ name: 'lo', mtu: 65536, macAddress: '00:00:00:00:00:00', type: null });
  }

  /** Adds a link, such as the host's `eth0`. */
  addLink(wanted: Partial<Link> & { readonly name: string }): Link {
    if (wanted.name.length > NAME_MAX) throw new KernelError('RTM_NEWLINK', 'ERANGE', wanted.name);
    if (this.find(wanted.name) !== null) throw new KernelError('RTM_NEWLINK', 'EEXIST', wanted.name);
    const index = this.#nextIndex++;
    const macAddress = `02:00:00:00:00:${index.toString(16).padStart(2, '0')}`;
    const link: Link = { mtu: 1500, macAddress, up: false, masterIndex: null, type: null, ...wanted, index };
    this.#links.set(index, { link, hairpin: false, peer: null });
    this.#tell({ gone: false, link });
    return link;
  }

  /** The link of that name, or null. */
  find(name: string): Link | null {
    return this.links().find((link) => link.name === name) ?? null;
  }

  links(): readonly Link[] {
    return [...this.#links.values()].map(({ link }) => link);
  }

  /** Names of virtual links: what somebody made and must take away. */
  madeLinks(): readonly string[] {
    return this.links()
      .filter(({ type }) => type !== null)
      .map(({ name }) => name);
  }

  /** Whether the bridge port of that name is in hairpin mode. */
  isHairpin(name: string): boolean {
    return [...this.#links.values()].some(({ link, hairpin }) => link.name === name && hairpin);
  }

  /** How fast the link of that name may send; null: as fast as it can. */
  limitOf(name: string): RateLimit | null {
    return [...this.#links.values()].find(({ link }) => link.name === name)?.limit ?? null;
  }

  /** All links go, and with each veth its other end. */
  destroy(): void {
    for (const index of [...this.#links.keys()]) this.removeLink(index);
  }

  removeLink(index: number): void {
    const { peer, link } = this.#at(index);
    this.#links.delete(index);
    remove(this.#addresses, (address) => address.linkIndex === index);
    remove(this.#routes, (route) => route.linkIndex === index);
    for (const entry of this.#links.values()) {
      if (entry.link.masterIndex === index) entry.link = { ...entry.link, masterIndex: null };
    }
    if (peer !== null && peer.netns.#links.has(peer.index)) peer.netns.removeLink(peer.index);
    this.#tell({ gone: true, link });
  }

  /** An rtnetlink socket in here. */
  open(netnsOf: (fd: Fd) => FakeNetns, onClose: () => void): RouteSocket {
    const requests = {
      changeLink: (index: number, change: LinkChange) => this.#change(index, change),
      addAddress: (index: number, cidr: string) => this.#addAddress(index, cidr),
      addRoute: (route: Route) => this.#addRoute(route),
    };
    return {
      ...requests,
      links: () => this.links(),
      portsOf: (index) => this.links().filter(({ masterIndex }) => masterIndex === index),
      linkByName: (name) => this.find(name),
      linkIndex: (name) => this.find(name)?.index ?? null,
      createBridge: (name, options) => this.addLink({ ...options, name, type: 'bridge' }),
      createVethPair: (options) => this.#createVethPair(options, netnsOf(options.peerNetns)),
      createLink: (options) => this.#createLink(options, options.netns === undefined ? this : netnsOf(options.netns)),
      batch: (job) => job(requests),
      deleteLink: (index) => this.removeLink(index),
      retireLink: async (index) => this.removeLink(index),
      addresses: (index) => this.#addresses.filter(({ linkIndex }) => index === 0 || linkIndex === index),
      removeAddress: (index, cidr) => this.#removeAddress(index, cidr),
      routes: (family) => this.#allRoutes().filter((route) => route.destination.includes(':') === (family === 'ipv6')),
      replaceRoute: (route) => {
        remove(this.#routes, ({ destination }) => destination === route.destination);
        this.#addRoute(route);
      },
      removeRoute: ({ destination }) => {
        if (!remove(this.#routes, (known) => known.destination === destination)) {
          throw new KernelError('RTM_DELROUTE', 'ESRCH', destination);
        }
      },
      limitRate: (index, limit) => void (this.#at(index).limit = limit),
      [Symbol.dispose]: onClose,
    };
  }

  #tell(notice: LinkNotice): void {
    for (const listener of this.listeners) listener(notice);
  }

  #createLink(options: LinkOptions, netns: FakeNetns): void {
    const parentIndex = options.kind === 'dummy' ? null : this.#at(options.parentIndex).link.index;
    const { name, mtu, macAddress } = options;
    netns.addLink({
      name,
      type: options.kind,
      parentIndex,
      ...(mtu === undefined ? {} : { mtu }),
      ...(macAddress === undefined ? {} : { macAddress }),
    });
  }

  #at(index: number): FakeLink {
    const entry = this.#links.get(index);
    if (entry === undefined) throw new KernelError('RTM_NEWLINK', 'ENODEV', `#${String(index)}`);
    return entry;
  }

  #createVethPair(options: Parameters<RouteSocket['createVethPair']>[0], peerNetns: FakeNetns): Link {
    if (options.masterIndex !== null) this.#at(options.masterIndex);
    const { name, mtu, masterIndex, peerName, peerMacAddress, hairpin } = options;
    const link = this.addLink({ name, mtu, masterIndex, up: true, type: 'veth' });
    try {
      const mac = peerMacAddress === null ? {} : { macAddress: peerMacAddress };
      const peer = peerNetns.addLink({ name: peerName, mtu, type: 'veth', ...mac });
      this.#at(link.index).peer = { netns: peerNetns, index: peer.index };
      this.#at(link.index).hairpin = hairpin ?? false;
      peerNetns.#at(peer.index).peer = { netns: this, index: link.index };
      peerNetns.#at(peer.index).link = { ...peer, parentIndex: link.index };
      this.#at(link.index).link = { ...link, parentIndex: peer.index };
    } catch (error) {
      this.removeLink(link.index);
      throw error;
    }
    return this.#at(link.index).link;
  }

  #change(index: number, { hairpin, group: _group, ...change }: LinkChange): void {
    const entry = this.#at(index);
    if (change.name !== undefined && change.name !== entry.link.name && this.find(change.name) !== null) {
      throw new KernelError('RTM_NEWLINK', 'EEXIST', change.name);
    }
    entry.link = { ...entry.link, ...change };
    entry.hairpin = hairpin ?? entry.hairpin;
    this.#tell({ gone: false, link: entry.link });
  }

  #addAddress(linkIndex: number, cidr: string): void {
    this.#at(linkIndex);
    const { address, length } = parseCidr(cidr);
    const canonical = `${decodeAddress(address)}/${String(length)}`;
    if (this.#addresses.some((known) => known.linkIndex === linkIndex && known.cidr === canonical)) {
      throw new KernelError('RTM_NEWADDR', 'EEXIST', cidr);
    }
    this.#addresses.push({ linkIndex, cidr: canonical });
  }

  #removeAddress(linkIndex: number, cidr: string): void {
    if (!remove(this.#addresses, (known) => known.linkIndex === linkIndex && known.cidr === cidr)) {
      throw new KernelError('RTM_DELADDR', 'EADDRNOTAVAIL', cidr);
    }
  }

  #addRoute(route: Route): void {
    const { gateway } = route;
    const known = this.#allRoutes();
    if (known.some(({ destination }) => destination === route.destination)) {
      throw new KernelError('RTM_NEWROUTE', 'EEXIST', route.destination);
    }
    const via = gateway === null ? null : known.find((near) => near.gateway === null && contains(near, gateway));
    if (via === undefined) throw new KernelError('RTM_NEWROUTE', 'ENETUNREACH', route.destination);
    this.#routes.push({ ...route, linkIndex: route.linkIndex ?? via?.linkIndex ?? null });
  }

  /** Those added, and those that an address brings along once its link is up. */
  #allRoutes(): readonly Route[] {
    const connected = this.#addresses
      .filter(({ linkIndex }) => this.#links.get(linkIndex)?.link.up === true)
      .map(({ linkIndex, cidr }): Route => ({ destination: networkOf(cidr), gateway: null, linkIndex }));
    return [...this.#routes, ...connected];
  }
}

function networkOf(cidr: string): string {
  const { address, length } = parseCidr(cidr);
  return `${decodeAddress(masked(address, length))}/${String(length)}`;
}

function contains(route: Route, address: string): boolean {
  const network = parseCidr(route.destination);
  const bytes = encodeAddress(address);
  return bytes.length === network.address.length && masked(bytes, network.length).equals(network.address);
}

function masked(address: Buffer, length: number): Buffer {
  return Buffer.from(address.map((byte, index) => byte & ~(0xff >> Math.min(8, Math.max(0, length - index * 8)))));
}

/** Whether there was any. */
function remove<T>(list: T[], matches: (item: T) => boolean): boolean {
  const before = list.length;
  for (let index = list.length - 1; index >= 0; index--) if (matches(list[index]!)) list.splice(index, 1);
  return list.length < before;
}
