/**
 * Connection tracking through ctnetlink (linux/netfilter/nfnetlink_conntrack.h).
 *
 * ```
 * message: netlink header · family u8 · version u8 · resource id u16 · attributes
 * tuple:   IP { source, destination } · PROTO { number u8, source port u16, destination port u16 }  (big-endian)
 * filter:  flags of what of the tuple counts (Linux 5.8; older kernels pass over it and give the family's whole table)
 * ```
 */
import type { FlowCalls, FlowTarget } from '../kernel.ts';
import { KernelError } from '../kernel.ts';
import { AF_INET, AF_INET6, decodeAddress } from './addresses.ts';
import { NfnetlinkSocket, NFGENMSG_BYTES } from './nfnetlink.ts';
import type { Attributes, Message } from './netlink-codec.ts';
import { attribute, decodeAttributes, encodeMessage, nested, u32Attribute } from './netlink-codec.ts';

const CONNTRACK_SUBSYSTEM = 1;
const CT_GET = (CONNTRACK_SUBSYSTEM << 8) | 1;
const CT_DELETE = (CONNTRACK_SUBSYSTEM << 8) | 2;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_DUMP = 0x300;
const TUPLE_ORIGINAL = 1;
const CT_ID = 12;
const CT_ZONE = 18;
const CT_FILTER = 25;
const FILTER_ORIGINAL = 1;
const FILTER_PROTOCOL = 1 << 3;
const FILTER_DESTINATION_PORT = 1 << 5;
const TUPLE_IP = 1;
const TUPLE_PROTO = 2;
/** Attribute of the destination, by family. */
const DESTINATION = { ipv4: 2, ipv6: 4 } as const;
const PROTO_NUMBER = 1;
const PROTO_DESTINATION_PORT = 3;
const UDP = 17;
/** Datagrams of a dump read in one turn of the event loop: about a millisecond. */
const DATAGRAMS_A_TURN = 8;
/** Deletions sent in one datagram. */
const DELETIONS_AT_ONCE = 64;

/** Connection tracking of the network namespace that the calling thread is in. */
export function createFlowCalls(): FlowCalls {
  return {
    async forgetUdp(targets: readonly FlowTarget[]): Promise<number> {
      let forgotten = 0;
      for (const [family, own] of Map.groupBy(targets, (target) => target.family)) {
        using socket = new NfnetlinkSocket();
        const found = await flowsTo(socket, family, own);
        for (let start = 0; start < found.length; start += DELETIONS_AT_ONCE) {
          forgotten += forget(socket, family, found.slice(start, start + DELETIONS_AT_ONCE));
          await nextTurn();
        }
      }
      return forgotten;
    },
  };
}

/** What a flow is deleted by: its tuple, id and zone as the kernel gave them. */
async function flowsTo(
  socket: NfnetlinkSocket,
  family: FlowTarget['family'],
  targets: readonly FlowTarget[],
): Promise<readonly Buffer[]> {
  const addresses = new Map<number, Set<string | null>>();
  for (const { port, address } of targets) addresses.set(port, (addresses.get(port) ?? new Set()).add(address));
  const found: Buffer[] = [];
  let datagrams = 0;
  for (const messages of socket.dump('conntrack', dumpRequest(family, [...addresses.keys()]))) {
    for (const message of messages) {
      const flow = flowOf(message);
      const wanted = flow.protocol === UDP ? addresses.get(flow.port) : undefined;
      if (wanted?.has(null) === true || wanted?.has(flow.address(family)) === true) found.push(flow.key());
    }
    datagrams += 1;
    if (datagrams % DATAGRAMS_A_TURN === 0) await nextTurn();
  }
  return found;
}

/** The kernel picks out one port; of several it gives all UDP flows, for each question goes through the whole table. */
function dumpRequest(family: FlowTarget['family'], ports: readonly number[]): Buffer {
  const [port] = ports;
  const one = ports.length === 1 && port !== undefined;
  const number = attribute(PROTO_NUMBER, Buffer.from([UDP]));
  const proto = one ? [number, attribute(PROTO_DESTINATION_PORT, bigEndian(port))] : [number];
  return encodeMessage(CT_GET, NLM_F_REQUEST | NLM_F_DUMP, 1, [
    generic(family),
    nested(TUPLE_ORIGINAL, [nested(TUPLE_PROTO, proto)]),
    nested(CT_FILTER, [u32Attribute(FILTER_ORIGINAL, FILTER_PROTOCOL | (one ? FILTER_DESTINATION_PORT : 0))]),
  ]);
}

interface Flow {
  readonly protocol: number;
  readonly port: number;
  readonly address: (family: FlowTarget['family']) => string;
  readonly key: () => Buffer;
}

function flowOf({ body }: Message): Flow {
  const attributes = decodeAttributes(body.subarray(NFGENMSG_BYTES));
  const tuple = inside(attributes, TUPLE_ORIGINAL);
  const proto = inside(tuple, TUPLE_PROTO);
  const port = proto.get(PROTO_DESTINATION_PORT);
  return {
    protocol: proto.get(PROTO_NUMBER)?.[0] ?? 0,
    port: port?.readUInt16BE(0) ?? 0,
    address: (family) => decodeAddress(inside(tuple, TUPLE_IP).get(DESTINATION[family]) ?? Buffer.alloc(4)),
    key: () =>
      Buffer.concat([
        nested(TUPLE_ORIGINAL, [attributes.get(TUPLE_ORIGINAL) ?? Buffer.alloc(0)]),
        ...[CT_ID, CT_ZONE].flatMap((type) => {
          const payload = attributes.get(type);
          return payload === undefined ? [] : [attribute(type, payload)];
        }),
      ]),
  };
}

function inside(attributes: Attributes, type: number): Attributes {
  return decodeAttributes(attributes.get(type) ?? Buffer.alloc(0));
}

/** What has ended meanwhile is no error. */
function forget(socket: NfnetlinkSocket, family: FlowTarget['family'], keys: readonly Buffer[]): number {
  const messages = keys.map((key, index) =>
    encodeMessage(CT_DELETE, NLM_F_REQUEST | NLM_F_ACK, index + 2, [generic(family), key]),
  );
  try {
    socket.transact('conntrack', Buffer.concat(messages), 'conntrack');
  } catch (error) {
    if (!(error instanceof KernelError && error.code === 'ENOENT')) throw error;
  }
  return keys.length;
}

function generic(family: FlowTarget['family']): Buffer {
  const bytes = Buffer.alloc(NFGENMSG_BYTES);
  bytes.writeUInt8(family === 'ipv4' ? AF_INET : AF_INET6, 0);
  return bytes;
}

function bigEndian(port: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(port);
  return bytes;
}

function nextTurn(): Promise<void> {
  // eslint-disable-next-line no-restricted-globals -- the turn is what is waited for
  return new Promise((resolve) => setImmediate(resolve));
}
