import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../../../base/clock.ts';
import { messageOf, UnavailableError } from '../../../../base/errors.ts';
import { KeyedLock } from '../../../../base/keyed-lock.ts';
import type { Logger } from '../../../../base/logger.ts';
import type { NftCalls } from '../../../kernel/kernel.ts';
import type { FirewallDriver, FirewallLink, FirewallNetwork, FirewallState } from '../../driver.ts';
import type { PublishedPort } from '../../types.ts';
import { skeletonOf } from './chains.ts';
import { Holdings } from './holdings.ts';
import type { IptablesProgram } from './program.ts';
import type { IptablesMemory, Remembered } from './remembered.ts';
import type { Family, Rule, RuleOptions } from './rules.ts';
import type { Claims } from './saved.ts';
import { IptablesWatch } from './watch.ts';
import { changeScript, clearScript, mendScript } from './script.ts';
import { within } from '../subnets.ts';

export interface IptablesParts {
  /** Of the families that the engine may touch (`--iptables`, `--ip6tables`). */
  readonly programs: readonly IptablesProgram[];
  readonly memory: IptablesMemory;
  readonly logger: Logger;
  readonly options: RuleOptions;
  readonly clock: Clock;
  /** For the changes of others. */
  readonly nft: Pick<NftCalls, 'watch'>;
}

/**
 * Packet filter and NAT by the host's iptables, in chains of Docker's names (see rules.ts).
 *
 * The driver keeps what there should be. A change is one process, `iptables-restore`, which first asks for the jumps
 * between the chains (`-C`): where they are gone, because somebody has flushed or reloaded, the change fails as a whole and
 * everything is read and mended instead. Chains and jumps are shared with any other engine of these names; only rules
 * about our own bridges and addresses are ever taken away.
 */
export class IptablesFirewall implements FirewallDriver {
  readonly name = 'iptables';
  readonly active = true;
  readonly #parts: IptablesParts;
  /** Two scripts at a time would each be made for a state that the other changes. */
  readonly #turn = new KeyedLock<'change'>();
  #holdings = new Holdings();
  /** Networks that are no more, and of which something may still be there. */
  #former = new Map<string, Remembered>();
  /** What there is, before a change of it is through. */
  #before = new Holdings();
  #closed: readonly Family[] = [];
  readonly #everClosed = new Set<Family>();
  #isUp = false;
  #watch: IptablesWatch | null = null;

  constructor(parts: IptablesParts) {
    this.#parts = parts;
  }

  get families(): readonly Family[] {
    return this.#parts.programs.map(({ family }) => family);
  }

  initialise(state: FirewallState): Promise<void> {
    return this.#inTurn(async () => {
      this.#recall();
      this.#holdings = Holdings.of(state);
      this.#closed = state.closeForwarding ?? [];
      for (const family of this.#closed) this.#everClosed.add(family);
      this.#isUp = true;
      this.#remember();
      await this.#mendAll();
      this.#watch ??= this.#listen();
    });
  }

  addNetwork(network: FirewallNetwork): Promise<void> {
    return this.#inTurn(() => this.#changeNetwork(network.bridgeName, this.#holdings.withNetwork(network)));
  }

  link(bridgeName: string, links: readonly FirewallLink[]): Promise<void> {
    return this.#inTurn(async () => {
      const network = this.#holdings.networks.find((one) => one.bridgeName === bridgeName);
      if (network === undefined || isDeepStrictEqual(network.links ?? [], links)) return;
      await this.#changeNetwork(bridgeName, this.#holdings.withNetwork({ ...network, links }));
    });
  }

  removeNetwork(bridgeName: string): Promise<void> {
    return this.#inTurn(async () => {
      const isHeld = this.#holdings.has(bridgeName);
      if (isHeld) await this.#changeNetwork(bridgeName, this.#holdings.withoutNetwork(bridgeName));
      // Before `initialise`: a network of an earlier run that is not to be any more.
      else if (!this.#isUp) this.#leave({ bridgeName, ipv4Subnet: null, ipv6Subnet: null });
    });
  }

  publish(_bridgeName: string, ports: readonly PublishedPort[]): Promise<void> {
    return this.#inTurn(() => this.#changePorts(ports, this.#holdings.withPorts(ports)));
  }

  unpublish(_bridgeName: string, ports: readonly PublishedPort[]): Promise<void> {
    return this.#inTurn(() => this.#changePorts(ports, this.#holdings.withoutPorts(ports)));
  }

  reassert(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#isUp) await this.#mendAll();
    });
  }

  closeForwarding(families: readonly Family[]): Promise<void> {
    return this.#inTurn(async () => {
      if (families.every((family) => this.#closed.includes(family))) return;
      this.#closed = [...new Set([...this.#closed, ...families])];
      for (const family of families) this.#everClosed.add(family);
      if (!this.#isUp) return;
      this.#remember();
      await this.#mendAll();
    });
  }

  tearDown(): Promise<void> {
    return this.#inTurn(async () => {
      this.#watch?.[Symbol.dispose]();
      this.#watch = null;
      const { programs, memory } = this.#parts;
      this.#recall();
      this.#holdings = new Holdings();
      this.#isUp = false;
      // A host without the program has none of its rules.
      for (const program of programs.filter(({ isInstalled }) => isInstalled)) {
        await this.#clear(program);
      }
      this.#former.clear();
      this.#everClosed.clear();
      memory.forget();
    });
  }

  async #changeNetwork(bridgeName: string, after: Holdings): Promise<void> {
    const { options } = this.#parts;
    const before = this.#holdings.networks.find((network) => network.bridgeName === bridgeName);
    if (before !== undefined) this.#leave(before);
    if (this.#isUp) this.#remember(after.networks);
    await this.#change(after, (family) => {
      const [is, wanted] = [this.#holdings, after].map((holdings) =>
        holdings.networkRules(family, options, bridgeName),
      );
      // Of a network that changes, no rule may come to stand behind one that it was before.
      return isDeepStrictEqual(is, wanted) ? [[], []] : [is ?? [], wanted ?? []];
    });
    if (before !== undefined && !after.has(bridgeName)) this.#former.delete(bridgeName);
    if (this.#isUp) this.#remember();
  }

  async #changePorts(ports: readonly PublishedPort[], after: Holdings): Promise<void> {
    const addresses = [...new Set(ports.map(({ endpointIpAddress }) => endpointIpAddress))];
    await this.#change(after, (family) => {
      const [is, wanted] = [this.#holdings, after].map((one) => one.portRules(family, this.#parts.options, addresses));
      return difference(is ?? [], wanted ?? []);
    });
  }

  /** Puts `after` in place; `differenceOf` gives the rules to remove and to add. What fails leaves things as they were. */
  async #change(after: Holdings, differenceOf: (family: Family) => Difference): Promise<void> {
    const before = this.#holdings;
    const differences = this.#parts.programs.map((program) => ({ program, change: differenceOf(program.family) }));
    this.#before = before;
    this.#holdings = after;
    if (!this.#isUp) return;
    try {
      for (const { program, change } of differences) {
        const { family } = program;
        const [gone, come] = change;
        if (gone.length === 0 && come.length === 0) continue;
        // The first network of a family: there may be nothing yet that its rules could be added to.
        const isThere = family === 'ipv4' ? before.networks.length > 0 : before.uses(family);
        const script = isThere ? changeScript(this.#skeletonOf(family), gone, come) : null;
        if (script === null) await this.#mend(program);
        else await this.#restoreOrMend(program, script);
      }
    } catch (error) {
      this.#holdings = before;
      // One family, or one table, may have got its part.
      await this.#mendAll().catch(() => undefined);
      throw error;
    } finally {
      this.#before = this.#holdings;
    }
  }

  async #restoreOrMend(program: IptablesProgram, script: string): Promise<void> {
    try {
      await this.#restore(program, script);
    } catch (error) {
      if (error instanceof UnavailableError) throw error;
      this.#parts.logger.warn('iptables rules are not as the engine left them: putting all of them in place again', {
        reason: messageOf(error),
      });
      await this.#mend(program);
    }
  }

  /** Whether anything was wrong. `heard`: only because another program changed something. */
  async #mendAll(heard = false): Promise<boolean> {
    let wasWrong = false;
    for (const program of this.#parts.programs) wasWrong = (await this.#mend(program, heard)) || wasWrong;
    return wasWrong;
  }

  #listen(): IptablesWatch | null {
    const { clock, nft, logger } = this.#parts;
    const look = async (): Promise<void> => {
      try {
        await this.#inTurn(async () => {
          if (!this.#isUp || !(await this.#mendAll(true))) return;
          logger.warn('another program changed the packet filter rules of the engine: they are in place again');
        });
      } catch (error) {
        logger.error('another program changed the packet filter rules of the engine, and they cannot be put back', {
          reason: messageOf(error),
        });
      }
    };
    try {
      return new IptablesWatch({ nft, clock, look });
    } catch (error) {
      // A kernel without nftables: nobody changes iptables by it either.
      logger.debug('changes of iptables cannot be heard', { reason: messageOf(error) });
      return null;
    }
  }

  async #restore(program: IptablesProgram, script: string): Promise<void> {
    const run = (): Promise<void> => program.restore(script);
    await (this.#watch === null ? run() : this.#watch.during(run));
  }

  #skeletonOf(family: Family): readonly Rule[] {
    return skeletonOf(family, this.#parts.options.loopback.includes(family));
  }

  /** Writes only where something is missing or too much, and tells whether that was so. */
  async #mend(program: IptablesProgram, heard = false): Promise<boolean> {
    const { family, isInstalled } = program;
    const isUsed = family === 'ipv4' || this.#holdings.uses(family);
    if (!isUsed && !isInstalled) return false;
    if (!isUsed) return await this.#clear(program);
    const isClosed = this.#closed.includes(family);
    const rules = this.#holdings.rules(family, this.#parts.options);
    const isIdle = heard && this.#holdings.networks.length === 0;
    const wanted = { skeleton: this.#skeletonOf(family), rules, isClosed, isIdle };
    const script = mendScript(await program.save(), wanted, this.#claims(family));
    if (script !== '') await this.#restore(program, script);
    return script !== '';
  }

  async #clear(program: IptablesProgram): Promise<boolean> {
    const { family } = program;
    const former = { skeleton: this.#skeletonOf(family), wasClosed: this.#everClosed.has(family) };
    const script = clearScript(await program.save(), former, this.#claims(family));
    if (script !== '') await this.#restore(program, script);
    return script !== '';
  }

  #claims(family: Family): Claims {
    const networks = [...this.#former.values(), ...this.#holdings.networks];
    const made = memoized(
      () =>
        new Set(
          [this.#before, this.#holdings].flatMap((holdings) => holdings.rules(family, this.#parts.options)).map(keyOf),
        ),
    );
    const subnets = networks.flatMap(({ ipv4Subnet, ipv6Subnet }) => [ipv4Subnet, ipv6Subnet]);
    return {
      bridges: new Set(networks.map(({ bridgeName }) => bridgeName)),
      holds: within(subnets.filter((subnet) => subnet !== null)),
      hasMade: (table, { chain, text }) => made().has(`${table} ${chain} ${text}`),
    };
  }

  #leave(network: Remembered): void {
    this.#former.set(network.bridgeName, network);
  }

  /** Written before the first rule of a network, and again after its last one is gone. */
  #remember(also: readonly Remembered[] = []): void {
    const all = [...this.#former.values(), ...also, ...this.#holdings.networks];
    const networks = [...new Map(all.map((network) => [network.bridgeName, network])).values()];
    this.#parts.memory.write({ networks, closed: [...this.#everClosed] });
  }

  /** What this run has, and what an earlier one wrote down, is former from now on. */
  #recall(): void {
    const memory = this.#parts.memory.read();
    for (const network of [...this.#holdings.networks, ...(memory?.networks ?? [])]) this.#leave(network);
    for (const family of memory?.closed ?? []) this.#everClosed.add(family);
  }

  #inTurn(job: () => Promise<void>): Promise<void> {
    return this.#turn.hold('change', job);
  }
}

/** Rules to remove, and rules to add. */
type Difference = readonly [gone: readonly Rule[], come: readonly Rule[]];

function difference(before: readonly Rule[], after: readonly Rule[]): Difference {
  const [old, now] = [new Set(before.map(keyOf)), new Set(after.map(keyOf))];
  return [before.filter((rule) => !now.has(keyOf(rule))), after.filter((rule) => !old.has(keyOf(rule)))];
}

function keyOf({ table, chain, text }: Rule): string {
  return `${table} ${chain} ${text}`;
}

function memoized<T extends object>(make: () => T): () => T {
  let made: T | null = null;
  return () => (made ??= make());
}
