import { InvalidArgumentError, messageOf, UnavailableError } from '../../../../base/errors.ts';
import type { NftCalls } from '../../../kernel/kernel.ts';
import type { FirewallDriver, FirewallNetwork, FirewallState } from '../../driver.ts';
import type { PublishedPort } from '../../types.ts';
import { changePorts, dropTable, replaceTable } from './ruleset.ts';

/** What nft's language takes as a name without quotes. */
const TABLE_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;

/**
 * Packet filter and NAT in one nftables table of our own, by libnftables in process.
 *
 * The driver keeps what the table should hold. A port is one element more or less; whatever else changes, or fails
 * (somebody ran `nft flush ruleset`), replaces the whole table in one transaction. Connections that are open live in the
 * kernel's connection tracking and do not notice.
 *
 * Other tables still have their say: a packet that another table drops (a FORWARD policy of DROP set by another
 * program) is dropped, whatever we accept.
 */
export class NftablesFirewall implements FirewallDriver {
  readonly name = 'nftables';
  readonly active = true;
  readonly #nft: NftCalls;
  readonly #table: string;
  readonly #networks = new Map<string, FirewallNetwork>();
  readonly #ports = new Map<string, PublishedPort>();

  constructor(nft: NftCalls, table: string) {
    if (!TABLE_NAME.test(table)) throw new InvalidArgumentError(`invalid name of an nftables table: ${table}`);
    this.#nft = nft;
    this.#table = table;
  }

  async initialise({ networks, ports }: FirewallState): Promise<void> {
    this.#networks.clear();
    this.#ports.clear();
    for (const network of networks) this.#networks.set(network.bridgeName, network);
    for (const port of ports) this.#ports.set(keyOf(port), port);
    try {
      this.#replace();
    } catch (error) {
      throw new UnavailableError(
        `nftables cannot be used: ${messageOf(error)}. Install libnftables (libnftables1) and load the kernel's nf_tables ` +
          `and nft_chain_nat, or start the engine with --iptables=false`,
        { cause: error },
      );
    }
  }

  async addNetwork(network: FirewallNetwork): Promise<void> {
    const before = this.#networks.get(network.bridgeName);
    this.#networks.set(network.bridgeName, network);
    try {
      this.#replace();
    } catch (error) {
      if (before === undefined) this.#networks.delete(network.bridgeName);
      else this.#networks.set(network.bridgeName, before);
      throw error;
    }
  }

  async removeNetwork(bridgeName: string): Promise<void> {
    if (this.#networks.delete(bridgeName)) this.#replace();
  }

  async publish(_bridgeName: string, ports: readonly PublishedPort[]): Promise<void> {
    if (ports.length === 0) return;
    for (const port of ports) this.#ports.set(keyOf(port), port);
    try {
      this.#change('add', ports);
    } catch (error) {
      for (const port of ports) this.#ports.delete(keyOf(port));
      throw error;
    }
  }

  async unpublish(_bridgeName: string, ports: readonly PublishedPort[]): Promise<void> {
    const held = ports.filter((port) => this.#ports.delete(keyOf(port)));
    if (held.length > 0) this.#change('delete', held);
  }

  async reassert(): Promise<void> {
    this.#replace();
  }

  async tearDown(): Promise<void> {
    this.#networks.clear();
    this.#ports.clear();
    this.#nft.run(dropTable(this.#table));
  }

  #change(verb: 'add' | 'delete', ports: readonly PublishedPort[]): void {
    try {
      this.#nft.run(changePorts(this.#table, verb, ports));
    } catch {
      // The table is not what we left: put it right as a whole. What is really wrong is thrown by that.
      this.#replace();
    }
  }

  #replace(): void {
    this.#nft.run(
      replaceTable(this.#table, { networks: [...this.#networks.values()], ports: [...this.#ports.values()] }),
    );
  }
}

function keyOf({ container, hostIp, hostPort }: PublishedPort): string {
  return `${container.protocol} ${hostIp} ${String(hostPort)}`;
}
