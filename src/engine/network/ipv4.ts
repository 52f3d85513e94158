/**
 * IPv4 arithmetic: an address is an unsigned 32-bit number here and dotted text everywhere else. Pure.
 */

/** A block of addresses. */
export interface Subnet {
  /** First address (the network address). */
  readonly base: number;
  readonly prefixLength: number;
}

/** Dotted text of an address. */
export function formatIpv4(address: number): string {
  return [address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255].join('.');
}

/** The address that dotted text names, or null. Leading zeros are refused: some programs read them as octal. */
export function parseIpv4(text: string): number | null {
  const match = DOTTED.exec(text);
  if (match === null) return null;
  let address = 0;
  for (const part of match.slice(1)) {
    const byte = Number(part);
    if (byte > 255 || (part.length > 1 && part.startsWith('0'))) return null;
    address = address * 256 + byte;
  }
  return address;
}

/** `172.17.0.1/16` → the address as written and the block it lies in; null when the text is no IPv4 CIDR. */
export function parseCidr(text: string): { readonly address: number; readonly subnet: Subnet } | null {
  const slash = text.indexOf('/');
  if (slash < 0) return null;
  const address = parseIpv4(text.slice(0, slash));
  const lengthText = text.slice(slash + 1);
  const prefixLength = Number(lengthText);
  if (address === null || !/^\d{1,2}$/.test(lengthText) || prefixLength > 32) return null;
  return { address, subnet: subnetOf(address, prefixLength) };
}

/** The block of a given size around an address. */
export function subnetOf(address: number, prefixLength: number): Subnet {
  return { base: address - (address % 2 ** (32 - prefixLength)), prefixLength };
}

/** How many addresses a block has. */
export function sizeOf(subnet: Subnet): number {
  return 2 ** (32 - subnet.prefixLength);
}

/** The last address of a block (its broadcast address). */
export function lastOf(subnet: Subnet): number {
  return subnet.base + sizeOf(subnet) - 1;
}

/** Whether an address lies in a block. */
export function containsAddress(subnet: Subnet, address: number): boolean {
  return address >= subnet.base && address <= lastOf(subnet);
}

/** Whether `inner` lies wholly in `outer`. */
export function containsSubnet(outer: Subnet, inner: Subnet): boolean {
  return inner.prefixLength >= outer.prefixLength && containsAddress(outer, inner.base);
}

/** Whether two blocks have an address in common. */
export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.base <= lastOf(b) && b.base <= lastOf(a);
}

/** `172.17.0.0/16` */
export function formatSubnet(subnet: Subnet): string {
  return `${formatIpv4(subnet.base)}/${String(subnet.prefixLength)}`;
}

const DOTTED = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;
