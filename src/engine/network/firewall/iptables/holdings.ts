import type { FirewallNetwork, FirewallState } from '../../driver.ts';
import type { PublishedPort } from '../../types.ts';
import { hasFamily, networkRules, portRules, type Family, type Rule, type RuleOptions } from './rules.ts';
import { within } from '../subnets.ts';

/** What the rules are made from: networks, and published ports by the container's address. */
export class Holdings {
  readonly #networks: ReadonlyMap<string, FirewallNetwork>;
  readonly #ports: ReadonlyMap<string, ReadonlyMap<string, PublishedPort>>;

  constructor(
    networks: ReadonlyMap<string, FirewallNetwork> = new Map(),
    ports: ReadonlyMap<string, ReadonlyMap<string, PublishedPort>> = new Map(),
  ) {
    this.#networks = networks;
    this.#ports = ports;
  }

  static of({ networks, ports }: FirewallState): Holdings {
    const empty = new Holdings(new Map(networks.map((network) => [network.bridgeName, network])));
    return empty.withPorts(ports);
  }

  get networks(): readonly FirewallNetwork[] {
    return [...this.#networks.values()];
  }

  has(bridgeName: string): boolean {
    return this.#networks.has(bridgeName);
  }

  uses(family: Family): boolean {
    return this.networks.some((network) => hasFamily(network, family));
  }

  withNetwork(network: FirewallNetwork): Holdings {
    const links = network.links ?? this.#networks.get(network.bridgeName)?.links ?? [];
    return new Holdings(new Map(this.#networks).set(network.bridgeName, { ...network, links }), this.#ports);
  }

  withoutNetwork(bridgeName: string): Holdings {
    const networks = new Map(this.#networks);
    networks.delete(bridgeName);
    return new Holdings(networks, this.#ports);
  }

  withPorts(ports: readonly PublishedPort[]): Holdings {
    return this.#changed(ports, (held, port) => held.set(keyOf(port), port));
  }

  withoutPorts(ports: readonly PublishedPort[]): Holdings {
    return this.#changed(ports, (held, port) => held.delete(keyOf(port)));
  }

  /** Everything. */
  rules(family: Family, options: RuleOptions): readonly Rule[] {
    return [
      ...this.networks.flatMap((network) => networkRules(network, family, options)),
      ...this.portRules(family, options, [...this.#ports.keys()]),
    ];
  }

  /** Of one network and the ports in it; none where there is no such network. */
  networkRules(family: Family, options: RuleOptions, bridgeName: string): readonly Rule[] {
    const network = this.#networks.get(bridgeName);
    if (network === undefined) return [];
    const networkOf = this.#networkOf();
    const addresses = [...this.#ports.keys()].filter((address) => networkOf(address) === network);
    return [...networkRules(network, family, options), ...this.portRules(family, options, addresses)];
  }

  /** Of the ports of these addresses. */
  portRules(family: Family, options: RuleOptions, addresses: readonly string[]): readonly Rule[] {
    const networkOf = this.#networkOf();
    return addresses.flatMap((address) => {
      const network = networkOf(address);
      if (network === undefined) return [];
      return portRules(network, family, [...(this.#ports.get(address)?.values() ?? [])], options);
    });
  }

  #networkOf(): (address: string) => FirewallNetwork | undefined {
    const networks = this.networks.map((network) => ({ network, isInside: withinNetwork(network) }));
    return (address) => networks.find(({ isInside }) => isInside(address))?.network;
  }

  #changed(
    ports: readonly PublishedPort[],
    change: (held: Map<string, PublishedPort>, port: PublishedPort) => unknown,
  ): Holdings {
    const all = new Map(this.#ports);
    const copied = new Map<string, Map<string, PublishedPort>>();
    for (const port of ports) {
      const address = port.endpointIpAddress;
      const held = copied.get(address) ?? new Map(all.get(address));
      change(held, port);
      copied.set(address, held);
      if (held.size === 0) all.delete(address);
      else all.set(address, held);
    }
    return new Holdings(this.#networks, all);
  }
}

function withinNetwork({ ipv4Subnet, ipv6Subnet }: FirewallNetwork): (address: string) => boolean {
  return within([ipv4Subnet, ipv6Subnet].filter((subnet) => subnet !== null));
}

function keyOf({ container, hostIp, hostPort, endpointIpAddress }: PublishedPort): string {
  return `${container.protocol} ${hostIp} ${String(hostPort)} ${endpointIpAddress}`;
}
