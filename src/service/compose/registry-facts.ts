/** What `docker info` says of registries, in the form and order in which dockerd keeps it. */
import { isIP } from 'node:net';
import type { Config } from '../../config/config.ts';
import { parsePrefixMirrors } from '../../config/prefix-mirrors.ts';

/** dockerd always trusts registries on this machine, and says so last. */
const ALWAYS_INSECURE = ['::1/128', '127.0.0.0/8'];

/** Insecure registries without schemes, networks by their first address; none twice. */
export function insecureRegistriesOf(config: Config): readonly string[] {
  const all = [...config.get('insecure-registry'), ...ALWAYS_INSECURE];
  return [...new Set(all.map((entry) => networkOf(entry.replace(/^https?:\/\//i, ''))))];
}

/** Mirrors of docker.io, each with a slash at its end; none twice. */
export function hubMirrorsOf(config: Config): readonly string[] {
  const byPrefix = config
    .get('registry')
    .map(parsePrefixMirrors)
    .filter(({ prefix }) => /^(?:https:\/\/)?docker\.io\/*$/i.test(prefix))
    .flatMap(({ mirrors }) => mirrors);
  return [...new Set([...byPrefix, ...config.get('registry-mirror')].map((url) => `${url.replace(/\/$/, '')}/`))];
}

/** `10.1.2.3/8` → `10.0.0.0/8`; anything else as it is. */
function networkOf(entry: string): string {
  const [address = '', length = ''] = entry.split('/');
  const family = isIP(address);
  if (family === 0 || !/^\d+$/.test(length)) return entry;
  const width = family === 4 ? 32 : 128;
  const rest = BigInt(width - Number(length));
  return `${addressOf((valueOf(address) >> rest) << rest, family)}/${length}`;
}

function valueOf(address: string): bigint {
  if (isIP(address) === 4) return address.split('.').reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  // The URL parser writes the IPv4 form of the last words in hexadecimal.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = '', tail] = canonical.split('::');
  const words = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [first, last] = [words(head), words(tail ?? '')];
  const filler = tail === undefined ? [] : Array.from({ length: 8 - first.length - last.length }, () => '0');
  return [...first, ...filler, ...last].reduce((sum, word) => sum * 65536n + BigInt(`0x${word}`), 0n);
}

function addressOf(value: bigint, family: number): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.');
  const words = Array.from({ length: 8 }, (_, index) => ((value >> BigInt(112 - 16 * index)) & 65535n).toString(16));
  return new URL(`http://[${words.join(':')}]`).hostname.slice(1, -1);
}
