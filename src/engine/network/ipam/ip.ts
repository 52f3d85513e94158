/**
 * Arithmetic on addresses of both families: an address is an unsigned integer of 32 or 128 bits here and text everywhere
 * else. Pure.
 */
import { isIPv6 } from 'node:net';

export type Family = 'ipv4' | 'ipv6';

/** How many bits an address of a family has. */
export const ADDRESS_BITS = { ipv4: 32, ipv6: 128 } as const;

export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

/** A block of addresses. */
export interface Block {
  readonly family: Family;
  /** First address (the network address). */
  readonly base: bigint;
  readonly prefixLength: number;
}

/** The address that text names, or null. Leading zeros are refused in IPv4: some programs read them as octal. */
export function parseAddress(text: string): Address | null {
  const value = text.includes(':') ? parseIpv6(text) : parseIpv4(text);
  if (value === null) return null;
  // As Go's net: `::ffff:192.0.2.1` is an IPv4 address, however it is written.
  if (text.includes(':') && value >> 32n === MAPPED) return { family: 'ipv4', value: value & LOW_32 };
  return { family: text.includes(':') ? 'ipv6' : 'ipv4', value };
}

/** Text of an address; IPv6 as RFC 5952 has it. */
export function formatAddress({ family, value }: Address): string {
  return family === 'ipv4' ? formatIpv4(value) : formatIpv6(value);
}

/** `172.17.0.1/16` → the address as written and the block it lies in; null when the text is no CIDR. */
export function parseCidr(text: string): { readonly address: Address; readonly block: Block } | null {
  const slash = text.indexOf('/');
  if (slash < 0) return null;
  const address = parseAddress(text.slice(0, slash));
  const lengthText = text.slice(slash + 1);
  if (address === null || !/^(?:0|[1-9]\d{0,2})$/.test(lengthText)) return null;
  // A mapped IPv4 address is written with the length of an IPv6 one.
  const prefixLength = Number(lengthText) - (text.includes(':') && address.family === 'ipv4' ? 96 : 0);
  if (prefixLength < 0 || prefixLength > ADDRESS_BITS[address.family]) return null;
  return { address, block: blockAround(address, prefixLength) };
}

/** The block of a given size around an address. */
export function blockAround({ family, value }: Address, prefixLength: number): Block {
  const hostBits = BigInt(ADDRESS_BITS[family] - prefixLength);
  return { family, base: (value >> hostBits) << hostBits, prefixLength };
}

/** `172.17.0.0/16` */
export function formatBlock({ family, base, prefixLength }: Block): string {
  return `${formatAddress({ family, value: base })}/${String(prefixLength)}`;
}

/** How many addresses a block has. */
export function sizeOf({ family, prefixLength }: Block): bigint {
  return 1n << BigInt(ADDRESS_BITS[family] - prefixLength);
}

/** The last address of a block (an IPv4 block's broadcast address). */
export function lastOf(block: Block): bigint {
  return block.base + sizeOf(block) - 1n;
}

/** Whether an address lies in a block. */
export function containsAddress(block: Block, { family, value }: Address): boolean {
  return family === block.family && value >= block.base && value <= lastOf(block);
}

/** Whether `inner` lies wholly in `outer`. */
export function containsBlock(outer: Block, inner: Block): boolean {
  return inner.prefixLength >= outer.prefixLength && containsAddress(outer, { ...inner, value: inner.base });
}

/** Whether two blocks have an address in common. */
export function overlaps(a: Block, b: Block): boolean {
  return a.family === b.family && a.base <= lastOf(b) && b.base <= lastOf(a);
}

const DOTTED = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;
const MAPPED = 0xffffn;
const LOW_32 = 0xffff_ffffn;
const IPV6_GROUPS = 8;

function parseIpv4(text: string): bigint | null {
  const match = DOTTED.exec(text);
  if (match === null) return null;
  let value = 0;
  for (const part of match.slice(1)) {
    const byte = Number(part);
    if (byte > 255 || (part.length > 1 && part.startsWith('0'))) return null;
    value = value * 256 + byte;
  }
  return BigInt(value);
}

function formatIpv4(value: bigint): string {
  const number = Number(value);
  return [number >>> 24, (number >>> 16) & 255, (number >>> 8) & 255, number & 255].join('.');
}

function parseIpv6(text: string): bigint | null {
  // No zones: an address of the engine's is never of one link.
  if (!isIPv6(text) || text.includes('%')) return null;
  const [head = '', tail] = text.split('::', 2);
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const zeros = Array.from({ length: IPV6_GROUPS - before.length - after.length }, () => 0);
  return [...before, ...zeros, ...after].reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}

/** The 16-bit groups of a part of an IPv6 address; the last two may be written as an IPv4 address. */
function groupsOf(part: string): readonly number[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const value = Number(parseIpv4(group) ?? 0n);
    return [value >>> 16, value & 0xffff];
  });
}

function formatIpv6(value: bigint): string {
  const groups = Array.from({ length: IPV6_GROUPS }, (_, index) =>
    Number((value >> BigInt(16 * (IPV6_GROUPS - 1 - index))) & 0xffffn),
  );
  const { start, length } = longestZeros(groups);
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (length < 2) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

/** The first of the longest runs of zero groups: that is what RFC 5952 leaves out. */
function longestZeros(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (const [index, group] of groups.entries()) {
    if (group !== 0) start = index + 1;
    else if (index + 1 - start > best.length) best = { start, length: index + 1 - start };
  }
  return best;
}
