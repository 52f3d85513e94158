import { createHash, randomBytes } from 'node:crypto';
import { parseAddress } from './ipam/ip.ts';

/** Docker's own range of locally administered MAC addresses. */
const MAC_PREFIX = '02:42';

/**
 * A container's MAC address, made from its IP address. An address that is leased again comes with the same MAC, so no
 * neighbour's cache is ever stale. Of an IPv6 address it takes what a digest makes of it: addresses that users choose often
 * end alike.
 */
export function macAddressOf(address: string): string {
  const parsed = parseAddress(address);
  if (parsed === null) throw new TypeError(`not an IP address: ${address}`);
  if (parsed.family === 'ipv6') return formatMac(createHash('sha256').update(address).digest().subarray(0, 4));
  const tail = Buffer.alloc(4);
  tail.writeUInt32BE(Number(parsed.value));
  return formatMac(tail);
}

/** A bridge's MAC address. Without one of its own a bridge takes the lowest of its ports', which come and go. */
export function randomMacAddress(): string {
  return formatMac(randomBytes(4));
}

/** `veth` and seven hex digits, as dockerd names the host's end. */
export function randomVethName(): string {
  return `veth${randomBytes(4).toString('hex').slice(0, 7)}`;
}

/** Lower-case colon form of a MAC address, or null when the text is none. */
export function parseMac(text: string): string | null {
  return /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text) ? text.toLowerCase().replaceAll('-', ':') : null;
}

function formatMac(tail: Buffer): string {
  return [MAC_PREFIX, ...[...tail].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}
