import { randomBytes } from 'node:crypto';
import { formatIpv4, parseIpv4 } from './ipv4.ts';

/** Docker's own range of locally administered MAC addresses. */
const MAC_PREFIX = '02:42';

/**
 * A container's MAC address, made from its IPv4 address. An address that is leased again comes with the same MAC, so no
 * neighbour's ARP cache is ever stale.
 */
export function macAddressOf(ipv4Address: string): string {
  const address = parseIpv4(ipv4Address);
  if (address === null) throw new TypeError(`not an IPv4 address: ${ipv4Address}`);
  return formatMac(Buffer.from(formatIpv4(address).split('.').map(Number)));
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
