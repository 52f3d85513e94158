import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../../../base/clock.ts';
import { InvalidArgumentError, messageOf, UnavailableError } from '../../../../base/errors.ts';
import type { Logger } from '../../../../base/logger.ts';
import type { NftCalls, NftElementChanges } from '../../../kernel/kernel.ts';
import type { FirewallDriver, FirewallLink, FirewallNetwork, FirewallState, PublishPolicy } from '../../driver.ts';
import type { PublishedPort } from '../../types.ts';
import { dropTable } from './base-table.ts';
import { dropBridgeTable, makeBridgeTable } from './bridge-table.ts';
import type { Family } from './family.ts';
import { FamilyTable } from './family-table.ts';
import { dropHoldTable, makeHoldTable } from './hold-table.ts';
import { Keeper } from './keeper.ts';
import { parseMark } from './mark.ts';
import { turnstileNames } from './turnstile.ts';
import type { Turnstile } from './turnstile.ts';

/** What nft's language takes as a name without quotes. */
const TABLE_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;

/** What the driver works with. */
export interface NftablesParts {
  readonly nft: NftCalls;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly turnstile: Turnstile;
}

/** How it is to behave. */
export interface NftablesOptions {
  /** Name of its tables; it must differ from engine to engine on one host. */
  readonly table: string;
  /** Absent: both. Nothing of a family that is missing is ever touched. */
  readonly families?: readonly Family[];
  /** `--allow-direct-routing`; absent: false. */
  readonly directRouting?: boolean;
  /** `--bridge-accept-fwmark`: `mark` or `mask` as `1/2`, hexadecimal allowed; absent or null: none. */
  readonly acceptMark?: string | null;
  /** Families in which published ports are led in from this host's own loopback addresses, too. Absent: both. */
  readonly loopback?: readonly Family[];
  /** Of networks that do not say; absent: `open`. */
  readonly publishPolicy?: PublishPolicy;
}

const BOTH: readonly Family[] = ['ipv4', 'ipv6'];

/**
 * Packet filter and NAT in nftables tables of our own, by libnftables and nfnetlink in process.
 *
 * The driver keeps what the tables should hold. A port is one element more or less, a network some elements and chains;
 * whatever fails in that replaces all tables in one transaction, and so does the {@link Keeper} when another program has
 * changed them. Connections that are open live in the kernel's connection tracking and do not notice.
 *
 * Other tables still have their say: a packet that another table drops (a FORWARD policy of DROP set by another
 * program) is dropped, whatever we accept.
 */
export class NftablesFirewall implements FirewallDriver {
  readonly name = 'nftables';
  readonly active = true;
  readonly families: readonly Family[];
  readonly respectsInput = true;
  readonly #parts: NftablesParts;
  readonly #name: string;
  readonly #publishPolicy: PublishPolicy;
  readonly #tables: readonly FamilyTable[];
  /** Networks whose containers are kept apart. */
  readonly #secluded = new Map<string, FirewallNetwork>();
  readonly #held = new Set<Family>();
  #secludesPorts: boolean | null = null;
  #keeper: Keeper | null = null;
  #turnstileOpen = false;

  constructor(parts: NftablesParts, options: NftablesOptions) {
    const { table: name, families = BOTH, directRouting = false, loopback = BOTH } = options;
    if (!TABLE_NAME.test(name)) throw new InvalidArgumentError(`invalid name of an nftables table: ${name}`);
    this.#parts = parts;
    this.#name = name;
    this.families = families;
    this.#publishPolicy = options.publishPolicy ?? 'open';
    const acceptMark = parseMark(options.acceptMark ?? null);
    const turnstile = turnstileNames(name);
    this.#tables = families.map(
      (family) =>
        new FamilyTable({
          name,
          family,
          directRouting,
          loopback: loopback.includes(family),
          acceptMark,
          turnstile,
        }),
    );
  }

  get secludesPorts(): boolean {
    return (this.#secludesPorts ??= this.#canFilterBridges());
  }

  async initialise({ networks, ports, closeForwarding = [] }: FirewallState): Promise<void> {
    this.#secluded.clear();
    for (const network of networks) this.#noteSecluded(network);
    for (const table of this.#tables) {
      table.reset(closeForwarding.includes(table.family));
      for (const network of networks) table.setNetwork(this.#decided(network));
      for (const own of table.ledBy(ports)) {
        const bridgeName = table.networkOf(own[0]?.endpointIpAddress ?? '');
        if (bridgeName !== null) table.publish(bridgeName, own);
      }
    }
    try {
      this.#replace();
      this.#hold();
      this.#keeper ??= this.#keep();
    } catch (error) {
      throw new UnavailableError(
        `nftables cannot be used: ${messageOf(error)}. Install libnftables (libnftables1) and load the kernel's nf_tables ` +
          `and nft_chain_nat, or start the engine with --iptables=false`,
        { cause: error },
      );
    }
  }

  async addNetwork(network: FirewallNetwork): Promise<void> {
    const askedIn = this.#askingTables;
    const secluded = this.#secluded.size > 0;
    this.#noteSecluded(network);
    const script = joined(this.#tables.map((table) => table.setNetwork(this.#decided(network))));
    try {
      // The first network that asks the host brings chains of its own, the first secluded one a table.
      if (this.#askingTables === askedIn && this.#secluded.size > 0 === secluded) this.#run(script);
      else this.#replace();
    } catch (error) {
      this.#secluded.delete(network.bridgeName);
      for (const table of this.#tables) table.dropNetwork(network.bridgeName);
      throw error;
    }
  }

  async removeNetwork(bridgeName: string): Promise<void> {
    this.#secluded.delete(bridgeName);
    this.#run(joined(this.#tables.map((table) => table.dropNetwork(bridgeName))));
  }

  async link(bridgeName: string, links: readonly FirewallLink[]): Promise<void> {
    const network = this.#secluded.get(bridgeName);
    if (network === undefined || isDeepStrictEqual(network.links, links)) return;
    this.#noteSecluded({ ...network, links });
    for (const table of this.#tables) table.setNetwork(this.#decided(network));
    this.#replace();
  }

  async publish(bridgeName: string, ports: readonly PublishedPort[]): Promise<void> {
    const changes = this.#tables.map((table) => [table, table.publish(bridgeName, ports)] as const);
    try {
      this.#change(changes);
    } catch (error) {
      for (const table of this.#tables) table.unpublish(ports);
      throw error;
    }
  }

  async unpublish(_bridgeName: string, ports: readonly PublishedPort[]): Promise<void> {
    this.#change(this.#tables.map((table) => [table, table.unpublish(ports)] as const));
  }

  async reassert(): Promise<void> {
    this.#turnstileOpen = false;
    this.#replace();
  }

  async closeForwarding(families: readonly Family[]): Promise<void> {
    const changed = this.#tables.filter((table) => table.closeForwarding(families.includes(table.family)));
    if (changed.length > 0) this.#replace();
  }

  async tearDown(): Promise<void> {
    this.#keeper?.[Symbol.dispose]();
    this.#keeper = null;
    this.#secluded.clear();
    for (const table of this.#tables) table.reset(false);
    this.#parts.nft.run(joined([...this.#dropTables(), dropBridgeTable(this.#name)]));
    for (const family of this.#held) this.#parts.nft.run(dropHoldTable(this.#name, family));
    this.#held.clear();
    this.#parts.turnstile.close(turnstileNames(this.#name));
    this.#turnstileOpen = false;
  }

  #decided(network: FirewallNetwork): FirewallNetwork {
    return {
      publishPolicy: this.#publishPolicy,
      ...network,
      links: this.#secluded.get(network.bridgeName)?.links ?? [],
    };
  }

  /** How many tables have networks that ask the host's input policy. */
  get #askingTables(): number {
    return this.#tables.filter((table) => table.asksHost).length;
  }

  #dropTables(): readonly string[] {
    return this.#tables.map(({ family }) => dropTable(this.#name, family));
  }

  #noteSecluded(network: FirewallNetwork): void {
    const { bridgeName, interContainer, links = this.#secluded.get(bridgeName)?.links ?? [] } = network;
    if (interContainer) this.#secluded.delete(bridgeName);
    else this.#secluded.set(bridgeName, { ...network, links });
  }

  #change(changes: readonly (readonly [FamilyTable, NftElementChanges])[]): void {
    try {
      for (const [{ table }, { remove, add }] of changes) {
        if (remove.length > 0 || add.length > 0) this.#parts.nft.changeElements(table, { remove, add });
      }
    } catch {
      // The table is not what we left: put it right as a whole. What is really wrong is thrown by that.
      this.#replace();
    }
  }

  #run(script: string): void {
    if (script === '') return;
    try {
      this.#parts.nft.run(script);
    } catch {
      this.#replace();
    }
  }

  #replace(): void {
    if (this.#askingTables > 0 && !this.#turnstileOpen) {
      this.#parts.turnstile.open(turnstileNames(this.#name));
      this.#turnstileOpen = true;
    }
    const links = [...this.#secluded.values()].flatMap((network) => network.links ?? []);
    const isApart = this.#secluded.size > 0 && this.secludesPorts;
    const bridge = isApart ? makeBridgeTable(this.#name, this.families, links) : '';
    this.#parts.nft.run(joined([...this.#tables.map((table) => table.script()), bridge]));
  }

  /** Older kernels and libraries cannot, and then open connections may break when another program flushes all rules. */
  #hold(): void {
    for (const family of this.families) {
      if (this.#held.has(family)) continue;
      try {
        this.#parts.nft.run(makeHoldTable(this.#name, family));
        this.#held.add(family);
      } catch (error) {
        this.#parts.logger.debug('nftables has no tables with an owner here', { reason: messageOf(error) });
      }
    }
  }

  #keep(): Keeper {
    const names = this.#tables.map(({ table }) => `${table.family} ${table.name}`);
    return new Keeper(this.#parts, [...names, `bridge ${this.#name}`], () => this.#replace());
  }

  /** Tries it: older kernels, and those without nf_tables_bridge, cannot. */
  #canFilterBridges(): boolean {
    try {
      this.#parts.nft.run(joined([makeBridgeTable(this.#name, this.families), dropBridgeTable(this.#name)]));
      return true;
    } catch {
      return false;
    }
  }
}

function joined(scripts: readonly string[]): string {
  return scripts.filter((script) => script !== '').join('\n');
}
