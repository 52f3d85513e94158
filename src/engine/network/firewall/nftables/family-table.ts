import type { NftElement, NftElementChanges, NftTable } from '../../../kernel/kernel.ts';
import type { FirewallNetwork } from '../../driver.ts';
import type { PublishedPort } from '../../types.ts';
import { within } from '../subnets.ts';
import { dropTable, makeTable } from './base-table.ts';
import type { TableOptions } from './base-table.ts';
import { addElements, elementsOf, isLed } from './elements.ts';
import type { PortEntry } from './elements.ts';
import type { Family, FamilyNetwork } from './family.ts';
import { FAMILY, familyNetwork } from './family.ts';
import { addNetwork, declareNetwork, fillNetwork, isReachable, removeNetwork } from './network-rules.ts';
import type { NetworkRuleOptions } from './network-rules.ts';

/** What a family's table is made by, less what changes with the networks. */
export interface FamilyTableOptions extends NetworkRuleOptions {
  readonly loopback: boolean;
  readonly turnstile: NonNullable<TableOptions['turnstile']>;
}

/** A container's ports on one network, and what they are in the table. */
interface PortGroup {
  readonly bridgeName: string;
  readonly ports: ReadonlyMap<string, PublishedPort>;
  readonly elements: ReadonlyMap<string, NftElement>;
}

const NOTHING: PortGroup = { bridgeName: '', ports: new Map(), elements: new Map() };

/** What one family's table should hold, and what has to be said to the kernel when that changes. Says nothing itself. */
export class FamilyTable {
  readonly table: NftTable;
  readonly #options: FamilyTableOptions;
  readonly #networks = new Map<string, FamilyNetwork>();
  /** By the container's address. */
  readonly #groups = new Map<string, PortGroup>();
  #closeForwarding = false;

  constructor(options: FamilyTableOptions) {
    this.#options = options;
    this.table = { family: FAMILY[options.family].table, name: options.name };
  }

  get family(): Family {
    return this.#options.family;
  }

  /** Whether a network asks the host's input policy. */
  get asksHost(): boolean {
    return [...this.#networks.values()].some(({ respectful }) => respectful);
  }

  reset(closeForwarding: boolean): void {
    this.#networks.clear();
    this.#groups.clear();
    this.#closeForwarding = closeForwarding;
  }

  /** Whether that changes anything. */
  closeForwarding(close: boolean): boolean {
    const changes = this.#closeForwarding !== close;
    this.#closeForwarding = close;
    return changes;
  }

  /** The whole table in place of the one there is. */
  script(): string {
    const options = this.#options;
    const elements = [...this.#groups.values()].flatMap((group) => [...group.elements.values()]);
    const networks = [...this.#networks.values()];
    return [
      dropTable(options.name, options.family),
      `table ${this.table.family} ${options.name}`,
      ...networks.map((network) => declareNetwork(options, network)),
      makeTable({
        ...options,
        closeForwarding: this.#closeForwarding,
        turnstile: this.asksHost ? options.turnstile : null,
      }).trimEnd(),
      ...networks.map((network) => fillNetwork(options, network)),
      addElements(options.name, options.family, elements),
    ]
      .filter((text) => text !== '')
      .join('\n');
  }

  /** Puts a network in place of the one of that name; returns what changes. */
  setNetwork(network: FirewallNetwork): string {
    const own = familyNetwork(network, this.family);
    const old = this.#networks.get(network.bridgeName) ?? null;
    if (own === null) return this.dropNetwork(network.bridgeName);
    if (old !== null && JSON.stringify(old) === JSON.stringify(own)) return '';
    this.#networks.set(network.bridgeName, own);
    return [...(old === null ? [] : [removeNetwork(this.#options, old)]), addNetwork(this.#options, own)].join('\n');
  }

  /** Forgets a network; returns what changes. */
  dropNetwork(bridgeName: string): string {
    const old = this.#networks.get(bridgeName);
    if (old === undefined) return '';
    this.#networks.delete(bridgeName);
    return removeNetwork(this.#options, old);
  }

  /** A network's name by an address in its subnet. */
  networkOf(address: string): string | null {
    for (const { bridgeName, subnet } of this.#networks.values()) {
      if (subnet !== null && within([subnet])(address)) return bridgeName;
    }
    return null;
  }

  /** Those that this family leads, by container. */
  ledBy(ports: readonly PublishedPort[]): readonly (readonly PublishedPort[])[] {
    const led = ports.filter((port) => isLed(port, this.family) && port.proxied !== true);
    return [...Map.groupBy(led, ({ endpointIpAddress }) => endpointIpAddress).values()];
  }

  publish(bridgeName: string, ports: readonly PublishedPort[]): NftElementChanges {
    return this.#changeGroups(ports, (group, own) => ({
      bridgeName,
      ports: new Map([...group.ports, ...own.map((port) => [keyOf(port), port] as const)]),
    }));
  }

  unpublish(ports: readonly PublishedPort[]): NftElementChanges {
    return this.#changeGroups(ports, (group, own) => {
      const left = new Map(group.ports);
      for (const port of own) left.delete(keyOf(port));
      return { bridgeName: group.bridgeName, ports: left };
    });
  }

  #changeGroups(
    ports: readonly PublishedPort[],
    change: (group: PortGroup, own: readonly PublishedPort[]) => Omit<PortGroup, 'elements'>,
  ): NftElementChanges {
    const remove: NftElement[] = [];
    const add: NftElement[] = [];
    for (const own of this.ledBy(ports)) {
      const address = own[0]?.endpointIpAddress ?? '';
      const before = this.#groups.get(address) ?? NOTHING;
      const { bridgeName, ports: now } = change(before, own);
      const elements = elementsOf([...now.values()], this.family, this.#entryOf(bridgeName));
      for (const [key, element] of before.elements) if (!elements.has(key)) remove.push(element);
      for (const [key, element] of elements) if (!before.elements.has(key)) add.push(element);
      if (now.size === 0) this.#groups.delete(address);
      else this.#groups.set(address, { bridgeName, ports: now, elements });
    }
    return { remove, add };
  }

  #entryOf(bridgeName: string): PortEntry {
    const network = this.#networks.get(bridgeName);
    if (network === undefined) return { mode: 'nat', respectful: false, reachable: false };
    return { mode: network.mode, respectful: network.respectful, reachable: isReachable(network, this.#options) };
  }
}

function keyOf({ container, hostIp, hostPort }: PublishedPort): string {
  return `${container.protocol} ${hostIp} ${String(hostPort)} ${String(container.port)}`;
}
