/** IP addresses between text and network byte order. Pure. */
import { isIPv4, isIPv6 } from 'node:net';
import { KernelError } from '../kernel.ts';

/** Value of AF_INET and AF_INET6. */
export const AF_INET = 2;
export const AF_INET6 = 10;

/** An address with the length of its network's prefix. */
export interface Prefix {
  readonly family: typeof AF_INET | typeof AF_INET6;
  readonly address: Buffer;
  readonly length: number;
}

/** `172.17.0.1/16` in parts; an address without a length is a single host. */
export function parseCidr(text: string): Prefix {
  const slash = text.indexOf('/');
  const address = encodeAddress(slash === -1 ? text : text.slice(0, slash));
  const bits = address.length * 8;
  const lengthText = slash === -1 ? String(bits) : text.slice(slash + 1);
  const length = Number(lengthText);
  if (!/^\d{1,3}$/.test(lengthText) || length > bits) throw invalid(text);
  return { family: address.length === 4 ? AF_INET : AF_INET6, address, length };
}

/** 4 or 16 bytes of an address. */
export function encodeAddress(text: string): Buffer {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number));
  if (!isIPv6(text) || text.includes('%')) throw invalid(text);
  const [head = '', tail] = text.split('::');
  const front = words(head);
  const back = tail === undefined ? [] : words(tail);
  const zeros = new Array<number>(8 - front.length - back.length).fill(0);
  const bytes = Buffer.alloc(16);
  [...front, ...zeros, ...back].forEach((word, index) => bytes.writeUInt16BE(word, index * 2));
  return bytes;
}

/** The 16-bit words of one side of `::`; a dotted tail counts for two. */
function words(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [parseInt(group, 16)];
    const bytes = Buffer.from(group.split('.').map(Number));
    return [bytes.readUInt16BE(0), bytes.readUInt16BE(2)];
  });
}

/** The canonical text (RFC 5952) of 4 or 16 bytes. */
export function decodeAddress(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  const run = longestZeroRun(groups);
  if (run.length < 2) return groups.join(':');
  return `${groups.slice(0, run.start).join(':')}::${groups.slice(run.start + run.length).join(':')}`;
}

function longestZeroRun(groups: readonly string[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === '0') end++;
    if (end - start > best.length) best = { start, length: end - start };
  }
  return best;
}

/** The IPv4 broadcast address of a prefix; null where there is none (a /31 or /32, IPv6). */
export function broadcastOf({ family, address, length }: Prefix): Buffer | null {
  if (family !== AF_INET || length > 30) return null;
  const broadcast = Buffer.alloc(4);
  broadcast.writeUInt32BE((address.readUInt32BE(0) | (0xffffffff >>> length)) >>> 0, 0);
  return broadcast;
}

function invalid(text: string): KernelError {
  return new KernelError('rtnetlink', 'EINVAL', null, `"${text}" is not an IP address`);
}
