/** Addresses as records hold them, and as reverse names spell them. Pure. */
import { isIPv4, isIPv6 } from 'node:net';

/** The four or sixteen bytes of an address; null when the text is none. */
export function addressBytes(text: string): Buffer | null {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number));
  if (!isIPv6(text) || text.includes('%')) return null;
  const [head = '', tail] = text.split('::');
  const front = groupBytes(head);
  const back = groupBytes(tail ?? '');
  return Buffer.from([...front, ...new Array<number>(16 - front.length - back.length).fill(0), ...back]);
}

/** Two bytes for a group; a dotted tail is four. */
function groupBytes(text: string): readonly number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const word = Number.parseInt(group, 16);
    return [word >> 8, word & 255];
  });
}

/** What a reverse query for an address asks for: `2.0.18.172.in-addr.arpa`, or 32 digits and `ip6.arpa`. */
export function reverseName(address: Buffer): string {
  if (address.length === 4) return `${[...address].reverse().join('.')}.in-addr.arpa`;
  return `${[...address.toString('hex')].reverse().join('.')}.ip6.arpa`;
}
