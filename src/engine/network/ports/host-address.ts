/** Host addresses as Docker prints and orders them. Pure. */
import { isIPv4, isIPv6, SocketAddress } from 'node:net';

export const ANY_IPV4 = '0.0.0.0';
export const ANY_IPV6 = '::';

/** Whether the text is an address that a port can be published on. Zones are none of it. */
export function isHostAddress(text: string): boolean {
  return isIPv4(text) || (isIPv6(text) && !text.includes('%'));
}

/** The shortest text of an address; of IPv4 in IPv6's clothes, the IPv4 address. */
export function canonicalAddress(text: string): string {
  if (!text.includes(':')) return text;
  const { address } = new SocketAddress({ address: text, family: 'ipv6' });
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  return mapped ?? address;
}

/** Orders canonical addresses by their bytes, IPv4 first; none at all before any. */
export function compareAddresses(a: string, b: string): number {
  if (a === b) return 0;
  const [left, right] = [sortKey(a), sortKey(b)];
  return left < right ? -1 : 1;
}

function sortKey(address: string): string {
  if (address === '') return '';
  if (!address.includes(':')) return `4${address.split('.').map(hexByte).join('')}`;
  const [head = '', tail = ''] = address.split('::');
  const front = words(head);
  const back = words(tail);
  const zeros = new Array<string>(Math.max(0, 8 - front.length - back.length)).fill('0000');
  return `6${[...front, ...zeros, ...back].join('')}`;
}

function words(text: string): readonly string[] {
  if (text === '') return [];
  return text
    .split(':')
    .flatMap((word) =>
      word.includes('.') ? (word.split('.').map(hexByte).join('').match(/.{4}/g) ?? []) : [word.padStart(4, '0')],
    );
}

function hexByte(text: string): string {
  return Number(text).toString(16).padStart(2, '0');
}
