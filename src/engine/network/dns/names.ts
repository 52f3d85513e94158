/**
 * What one container may be told, ready to be asked: Docker's rules of who is meant by a name.
 *
 * `a.b.c` is looked up as a name on each network, then as `a.b` on the network `c`, then as `a` on the network `b.c`; each
 * time the names that only this container knows (links) first. The first network that knows the name answers alone.
 */
import type { NamedEndpoint, NameView, NetworkNames } from '../name-service.ts';
import { addressBytes, reverseName } from './address-bytes.ts';
import { encodeName } from './answer.ts';

/** What is known of a name. Either list may be empty: the name exists all the same. */
export interface Addresses {
  readonly ipv4: readonly Buffer[];
  readonly ipv6: readonly Buffer[];
}

/** One network's names, made once however many containers see it. */
interface NetworkIndex {
  readonly byName: ReadonlyMap<string, Addresses>;
  /** Reverse names → the first name of who has the address. */
  readonly byAddress: ReadonlyMap<string, string>;
}

/** A network as one container sees it. */
interface SeenNetwork {
  readonly shownName: string;
  readonly name: string;
  readonly index: NetworkIndex;
  readonly links: ReadonlyMap<string, string>;
}

const indexes = new WeakMap<readonly NamedEndpoint[], NetworkIndex>();

/** The names of one view. */
export class Names {
  readonly #networks: readonly SeenNetwork[];

  constructor({ networks }: NameView) {
    this.#networks = networks.map((network) => ({
      shownName: network.networkName,
      name: network.networkName.toLowerCase(),
      index: indexOf(network.endpoints),
      links: linksOf(network),
    }));
  }

  /** The addresses of a name in lower case; null when nobody here has it. */
  resolve(name: string): Addresses | null {
    let end = name.length;
    while (end > 0) {
      const network = end === name.length ? null : name.slice(end + 1);
      const found = this.#resolveOn(name.slice(0, end), network);
      if (found !== null) return found;
      end = name.lastIndexOf('.', end - 1);
    }
    return null;
  }

  /** Who has the address of a reverse name, as it goes over the wire; null when nobody here has. */
  reverse(name: string): Buffer | null {
    for (const network of this.#networks) {
      const found = network.index.byAddress.get(name);
      const encoded = found === undefined ? null : encodeName(`${found}.${network.shownName}`);
      if (encoded !== null) return encoded;
    }
    return null;
  }

  #resolveOn(name: string, networkName: string | null): Addresses | null {
    const networks = this.#networks.filter(({ name: own }) => networkName === null || own === networkName);
    for (const { links, index } of networks) {
      const target = links.get(name);
      const found = target === undefined ? undefined : index.byName.get(target);
      if (found !== undefined) return found;
    }
    for (const { index } of networks) {
      const found = index.byName.get(name);
      if (found !== undefined) return found;
    }
    return null;
  }
}

function linksOf({ links }: NetworkNames): ReadonlyMap<string, string> {
  return new Map(Object.entries(links).map(([alias, target]) => [alias.toLowerCase(), target.toLowerCase()]));
}

/** Views of one network come with one list of its endpoints. */
function indexOf(endpoints: readonly NamedEndpoint[]): NetworkIndex {
  const known = indexes.get(endpoints);
  if (known !== undefined) return known;
  const byName = new Map<string, { readonly ipv4: Buffer[]; readonly ipv6: Buffer[] }>();
  const byAddress = new Map<string, string>();
  for (const { names, ipv4Address, ipv6Address } of endpoints) {
    const ipv4 = ipv4Address === null ? null : addressBytes(ipv4Address);
    const ipv6 = ipv6Address === null ? null : addressBytes(ipv6Address);
    for (const name of new Set(names.map((one) => one.toLowerCase()))) {
      const entry = byName.get(name) ?? { ipv4: [], ipv6: [] };
      if (ipv4 !== null) entry.ipv4.push(ipv4);
      if (ipv6 !== null) entry.ipv6.push(ipv6);
      byName.set(name, entry);
    }
    const [first] = names;
    if (first === undefined) continue;
    for (const address of [ipv4, ipv6]) if (address !== null) byAddress.set(reverseName(address), first);
  }
  const index = { byName, byAddress };
  indexes.set(endpoints, index);
  return index;
}
