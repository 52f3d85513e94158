/** Links between rtnetlink's messages and {@link Link} (if_link.h). Pure. */
import type { Fd, Link, LinkChange } from '../kernel.ts';
import { KernelError } from '../kernel.ts';
import type { Message } from './netlink-codec.ts';
import { attribute, decodeAttributes, nested, textAttribute, textOf, u32Attribute, u32Of } from './netlink-codec.ts';

const AF_BRIDGE = 7;
const IFF_UP = 1;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_PROTINFO = 12;
const IFLA_LINKINFO = 18;
const IFLA_NET_NS_FD = 28;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_BRPORT_MODE = 4;
const VETH_INFO_PEER = 1;
const INFO_BYTES = 16;

/** What a veth pair is made of. */
export interface VethOptions {
  readonly name: string;
  readonly masterIndex: number | null;
  readonly mtu: number;
  readonly peerName: string;
  readonly peerNetns: Fd;
  readonly peerMacAddress: string | null;
}

/** struct ifinfomsg: family u8 · pad u8 · type u16 · index i32 · flags u32 · change mask u32. */
export function linkHeader(index: number, up: boolean | null = null, family = 0): Buffer {
  const header = Buffer.alloc(INFO_BYTES);
  header.writeUInt8(family, 0);
  header.writeInt32LE(index, 4);
  if (up !== null) {
    header.writeUInt32LE(up ? IFF_UP : 0, 8);
    header.writeUInt32LE(IFF_UP, 12);
  }
  return header;
}

/** Body of a request for one link by name. */
export function linkNameQuery(name: string): readonly Buffer[] {
  return [linkHeader(0), textAttribute(IFLA_IFNAME, name)];
}

/** Body that makes a bridge. */
export function bridgeBody(name: string, mtu: number | undefined, macAddress: string | undefined): readonly Buffer[] {
  const body = [linkHeader(0), textAttribute(IFLA_IFNAME, name)];
  if (mtu !== undefined) body.push(u32Attribute(IFLA_MTU, mtu));
  if (macAddress !== undefined) body.push(attribute(IFLA_ADDRESS, encodeMac(macAddress)));
  body.push(nested(IFLA_LINKINFO, [textAttribute(IFLA_INFO_KIND, 'bridge')]));
  return body;
}

/** Body that makes a veth pair, its peer at once in the other namespace: moving it there later costs as much again. */
export function vethBody(options: VethOptions): readonly Buffer[] {
  const peer = [
    linkHeader(0),
    textAttribute(IFLA_IFNAME, options.peerName),
    u32Attribute(IFLA_MTU, options.mtu),
    u32Attribute(IFLA_NET_NS_FD, options.peerNetns),
  ];
  if (options.peerMacAddress !== null) peer.push(attribute(IFLA_ADDRESS, encodeMac(options.peerMacAddress)));
  const body = [linkHeader(0, true), textAttribute(IFLA_IFNAME, options.name), u32Attribute(IFLA_MTU, options.mtu)];
  if (options.masterIndex !== null) body.push(u32Attribute(IFLA_MASTER, options.masterIndex));
  body.push(
    nested(IFLA_LINKINFO, [
      textAttribute(IFLA_INFO_KIND, 'veth'),
      nested(IFLA_INFO_DATA, [nested(VETH_INFO_PEER, peer)]),
    ]),
  );
  return body;
}

/** Body that changes a link; null when `change` holds nothing for it (hairpin is a request of its own). */
export function changeBody(index: number, change: LinkChange): readonly Buffer[] | null {
  const attributes: Buffer[] = [];
  if (change.name !== undefined) attributes.push(textAttribute(IFLA_IFNAME, change.name));
  if (change.mtu !== undefined) attributes.push(u32Attribute(IFLA_MTU, change.mtu));
  if (change.macAddress !== undefined) attributes.push(attribute(IFLA_ADDRESS, encodeMac(change.macAddress)));
  if (change.masterIndex !== undefined) attributes.push(u32Attribute(IFLA_MASTER, change.masterIndex ?? 0));
  if (attributes.length === 0 && change.up === undefined) return null;
  return [linkHeader(index, change.up ?? null), ...attributes];
}

/** Body that sets the hairpin mode of a bridge port. */
export function hairpinBody(index: number, hairpin: boolean): readonly Buffer[] {
  const mode = attribute(IFLA_BRPORT_MODE, Buffer.from([hairpin ? 1 : 0]));
  return [linkHeader(index, null, AF_BRIDGE), nested(IFLA_PROTINFO, [mode])];
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
    type: info === undefined ? null : textOf(decodeAttributes(info).get(IFLA_INFO_KIND)),
  };
}

function encodeMac(text: string): Buffer {
  if (!/^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text)) {
    throw new KernelError('rtnetlink', 'EINVAL', null, `"${text}" is not a MAC address`);
  }
  return Buffer.from(text.replaceAll(':', ''), 'hex');
}
