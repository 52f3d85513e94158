/**
 * Queueing disciplines as rtnetlink's messages (pkt_sched.h, tc-tbf(8)). A token bucket on a link holds back what goes
 * out by it: tokens come at the rate, at most a burst of them is saved up, and what waits longer than a twentieth of a
 * second is dropped, which TCP understands. Pure.
 */
import type { RateLimit } from '../kernel.ts';
import { attribute, nested, textAttribute, u32Attribute } from './netlink-codec.ts';
import type { NetlinkRequest } from './netlink-socket.ts';

const RTM_NEWQDISC = 36;
/** NLM_F_CREATE | NLM_F_REPLACE */
const REPLACE = 0x500;

const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_TBF_PARMS = 1;
const TCA_TBF_RATE64 = 4;
const TCA_TBF_BURST = 6;

const HEADER_BYTES = 20;
const TC_H_ROOT = 0xffffffff;
/** `1:`, what tc itself takes for the first. */
const HANDLE = 0x10000;
/** Lengths count as on Ethernet; without a word on it the kernel wants a table of 256 prices. */
const LINKLAYER_ETHERNET = 1;
const PARAMETERS_BYTES = 36;
const U32_MAX = 0xffffffff;
/** Longest wait of a packet, as a part of what goes out in a second. */
const QUEUE_PART = 20;
/** The queue holds some full frames, however slow it is. */
const QUEUE_BYTES_MIN = 16 * 1024;

/** Puts a token bucket at the root of a link, in place of what is there. */
export function tokenBucket(linkIndex: number, limit: RateLimit): NetlinkRequest {
  const body = [
    header(linkIndex),
    textAttribute(TCA_KIND, 'tbf'),
    nested(TCA_OPTIONS, [
      attribute(TCA_TBF_PARMS, parameters(limit)),
      u32Attribute(TCA_TBF_BURST, Math.min(limit.burstBytes, U32_MAX)),
      ...(limit.bytesPerSecond >= U32_MAX ? [u64Attribute(TCA_TBF_RATE64, limit.bytesPerSecond)] : []),
    ]),
  ];
  return { what: 'RTM_NEWQDISC', type: RTM_NEWQDISC, flags: REPLACE, body, path: `#${String(linkIndex)}` };
}

/** struct tcmsg: family u8 · pad u8 · pad u16 · index i32 · handle u32 · parent u32 · info u32. */
function header(linkIndex: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeInt32LE(linkIndex, 4);
  bytes.writeUInt32LE(HANDLE, 8);
  bytes.writeUInt32LE(TC_H_ROOT, 12);
  return bytes;
}

/**
 * struct tc_tbf_qopt: rate · peak rate (12 bytes each, struct tc_ratespec: cell log u8 · link layer u8 · overhead u16 · cell
 * alignment i16 · least packet u16 · bytes a second u32) · limit of the queue u32 · buffer u32 · mtu u32.
 */
function parameters({ bytesPerSecond, burstBytes }: RateLimit): Buffer {
  const bytes = Buffer.alloc(PARAMETERS_BYTES);
  bytes.writeUInt8(LINKLAYER_ETHERNET, 1);
  bytes.writeUInt32LE(Math.min(bytesPerSecond, U32_MAX), 8);
  const queue = Math.max(Math.ceil(bytesPerSecond / QUEUE_PART), QUEUE_BYTES_MIN);
  bytes.writeUInt32LE(Math.min(queue + burstBytes, U32_MAX), 24);
  return bytes;
}

function u64Attribute(type: number, value: number): Buffer {
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64LE(BigInt(value));
  return attribute(type, payload);
}
