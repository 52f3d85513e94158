/** Links between rtnetlink's messages and {@link Link} (if_link.h). Pure. */
import type { Fd, Link, LinkChange, LinkOptions } from '../kernel.ts';
import { KernelError } from '../kernel.ts';
import type { Message } from './netlink-codec.ts';
import {
  attribute,
  decodeAttributes,
  nested,
  textAttribute,
  textOf,
  u16Attribute,
  u32Attribute,
  u32Of,
} from './netlink-codec.ts';

const IFF_UP = 1;
const IFF_NOARP = 0x80;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_TXQLEN = 13;
const IFLA_LINKINFO = 18;
const IFLA_GROUP = 27;
const IFLA_NET_NS_FD = 28;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_BRPORT_MODE = 4;
const VETH_INFO_PEER = 1;
const IFLA_VLAN_ID = 1;
const IFLA_MACVLAN_MODE = 1;
const IFLA_IPVLAN_MODE = 1;
const IFLA_IPVLAN_FLAGS = 2;
/** MACVLAN_MODE_* */
const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
/** IPVLAN_MODE_* */
const IPVLAN_MODES = { l2: 0, l3: 1, l3s: 2 } as const;
/** IPVLAN_F_* */
const IPVLAN_FLAGS = { bridge: 0, private: 1, vepa: 2 } as const;
const INFO_BYTES = 16;

/** What a veth pair is made of. */
export interface VethOptions {
  readonly name: string;
  readonly masterIndex: number | null;
  readonly mtu: number;
  readonly peerName: string;
  readonly peerNetns: Fd;
  readonly peerMacAddress: string | null;
  readonly hairpin?: boolean;
  readonly group?: number;
}

/** struct ifinfomsg: family u8 · pad u8 · type u16 · index i32 · flags u32 · change mask u32. */
export function linkHeader(index: number, up: boolean | null = null, arp: boolean | null = null): Buffer {
  const header = Buffer.alloc(INFO_BYTES);
  header.writeInt32LE(index, 4);
  header.writeUInt32LE((up === true ? IFF_UP : 0) | (arp === false ? IFF_NOARP : 0), 8);
  header.writeUInt32LE((up === null ? 0 : IFF_UP) | (arp === null ? 0 : IFF_NOARP), 12);
  return header;
}

/** Body of a request for one link by name. */
export function linkNameQuery(name: string): readonly Buffer[] {
  return [linkHeader(0), textAttribute(IFLA_IFNAME, name)];
}

/** Body that asks for the ports of one bridge. */
export function portsQuery(masterIndex: number): readonly Buffer[] {
  return [linkHeader(0), u32Attribute(IFLA_MASTER, masterIndex)];
}

/** Body that makes a bridge. */
export function bridgeBody(name: string, mtu: number | undefined, macAddress: string | undefined): readonly Buffer[] {
  const body = [linkHeader(0), textAttribute(IFLA_IFNAME, name)];
  if (mtu !== undefined) body.push(u32Attribute(IFLA_MTU, mtu));
  if (macAddress !== undefined) body.push(attribute(IFLA_ADDRESS, encodeMac(macAddress)));
  body.push(nested(IFLA_LINKINFO, [textAttribute(IFLA_INFO_KIND, 'bridge')]));
  return body;
}

/**
 * Body that makes a veth pair, its peer at once in the other namespace: moving it there later costs as much again.
 * Neither end queues anything, and as with Docker's their length of queue says so.
 */
export function vethBody(options: VethOptions): readonly Buffer[] {
  const peer = [
    linkHeader(0),
    textAttribute(IFLA_IFNAME, options.peerName),
    u32Attribute(IFLA_MTU, options.mtu),
    u32Attribute(IFLA_TXQLEN, 0),
    u32Attribute(IFLA_NET_NS_FD, options.peerNetns),
  ];
  if (options.peerMacAddress !== null) peer.push(attribute(IFLA_ADDRESS, encodeMac(options.peerMacAddress)));
  const body = [
    linkHeader(0, true),
    textAttribute(IFLA_IFNAME, options.name),
    u32Attribute(IFLA_MTU, options.mtu),
    u32Attribute(IFLA_TXQLEN, 0),
  ];
  if (options.masterIndex !== null) body.push(u32Attribute(IFLA_MASTER, options.masterIndex));
  if (options.group !== undefined) body.push(u32Attribute(IFLA_GROUP, options.group));
  body.push(
    nested(IFLA_LINKINFO, [
      textAttribute(IFLA_INFO_KIND, 'veth'),
      nested(IFLA_INFO_DATA, [nested(VETH_INFO_PEER, peer)]),
    ]),
  );
  return body;
}

/** Body that makes a link with a kind of its own. */
export function linkBody(options: LinkOptions): readonly Buffer[] {
  const body = [linkHeader(0), textAttribute(IFLA_IFNAME, options.name)];
  if (options.mtu !== undefined) body.push(u32Attribute(IFLA_MTU, options.mtu));
  if (options.macAddress !== undefined) body.push(attribute(IFLA_ADDRESS, encodeMac(options.macAddress)));
  if (options.netns !== undefined) body.push(u32Attribute(IFLA_NET_NS_FD, options.netns));
  if (options.kind !== 'dummy') body.push(u32Attribute(IFLA_LINK, options.parentIndex));
  const data = kindData(options);
  const info = [textAttribute(IFLA_INFO_KIND, options.kind)];
  if (data.length > 0) info.push(nested(IFLA_INFO_DATA, data));
  body.push(nested(IFLA_LINKINFO, info));
  return body;
}

function kindData(options: LinkOptions): readonly Buffer[] {
  switch (options.kind) {
    case 'dummy':
      return [];
    case 'vlan':
      return [u16Attribute(IFLA_VLAN_ID, options.vlanId)];
    case 'macvlan':
      return [u32Attribute(IFLA_MACVLAN_MODE, MACVLAN_MODES[options.mode])];
    case 'ipvlan': {
      const mode = u16Attribute(IFLA_IPVLAN_MODE, IPVLAN_MODES[options.mode]);
      // Kernels before 4.15 do not know the attribute: it goes along only when it says something.
      const flags = IPVLAN_FLAGS[options.flag];
      return flags === 0 ? [mode] : [mode, u16Attribute(IFLA_IPVLAN_FLAGS, flags)];
    }
  }
}

/** Body that changes a link; null when `change` holds nothing for it (hairpin is a request of its own). */
export function changeBody(index: number, change: LinkChange): readonly Buffer[] | null {
  const attributes: Buffer[] = [];
  if (change.name !== undefined) attributes.push(textAttribute(IFLA_IFNAME, change.name));
  if (change.mtu !== undefined) attributes.push(u32Attribute(IFLA_MTU, change.mtu));
  if (change.macAddress !== undefined) attributes.push(attribute(IFLA_ADDRESS, encodeMac(change.macAddress)));
  if (change.masterIndex !== undefined) attributes.push(u32Attribute(IFLA_MASTER, change.masterIndex ?? 0));
  if (change.group !== undefined) attributes.push(u32Attribute(IFLA_GROUP, change.group));
  if (attributes.length === 0 && change.up === undefined && change.arp === undefined) return null;
  return [linkHeader(index, change.up ?? null, change.arp ?? null), ...attributes];
}

/** Body that sets the hairpin mode of the bridge port of an index, or of a name: then it may be made in the same datagram. */
export function hairpinBody(port: number | string, hairpin: boolean): readonly Buffer[] {
  const body = [linkHeader(typeof port === 'number' ? port : 0)];
  if (typeof port === 'string') body.push(textAttribute(IFLA_IFNAME, port));
  const mode = attribute(IFLA_BRPORT_MODE, Buffer.from([hairpin ? 1 : 0]));
  body.push(
    nested(IFLA_LINKINFO, [textAttribute(IFLA_INFO_SLAVE_KIND, 'bridge'), nested(IFLA_INFO_SLAVE_DATA, [mode])]),
  );
  return body;
}

/** The link that an RTM_NEWLINK message describes. */
export function decodeLink({ body }: Message): Link {
  const attributes = decodeAttributes(body.subarray(INFO_BYTES));
  const info = attributes.get(IFLA_LINKINFO);
  return {
    index: body.readInt32LE(4),
    name: textOf(attributes.get(IFLA_IFNAME)) ?? '',
    mtu: u32Of(attributes.get(IFLA_MTU)) ?? 0,
    macAddress: (attributes.get(IFLA_ADDRESS)?.toString('hex') ?? '').replaceAll(/(..)(?=.)/g, '$1:'),
    up: (body.readUInt32LE(8) & IFF_UP) !== 0,
    masterIndex: u32Of(attributes.get(IFLA_MASTER)),
    parentIndex: u32Of(attributes.get(IFLA_LINK)),
    type: info === undefined ? null : textOf(decodeAttributes(info).get(IFLA_INFO_KIND)),
  };
}

function encodeMac(text: string): Buffer {
  if (!/^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text)) {
    throw new KernelError('rtnetlink', 'EINVAL', null, `"${text}" is not a MAC address`);
  }
  return Buffer.from(text.replaceAll(':', ''), 'hex');
}
