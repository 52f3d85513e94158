/** Which packet filter the engine uses, and what becomes of the one it used before. */
import type { Clock } from '../../../base/clock.ts';
import type { Logger } from '../../../base/logger.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { DelegatingFirewall } from './delegating.ts';
import type { FirewallDriver, FirewallState, PublishPolicy } from '../driver.ts';
import type { HostFirewall } from '../host-firewall.ts';
import { IptablesFirewall } from './iptables/driver.ts';
import { IptablesProgram, type IptablesPrograms } from './iptables/program.ts';
import { IptablesMemory } from './iptables/remembered.ts';
import type { Family } from './iptables/rules.ts';
import { NftablesFirewall, type NftablesOptions } from './nftables/driver.ts';
import { linkTurnstile } from './nftables/turnstile.ts';
import type { Sysctls } from '../sysctl.ts';
import { UntouchedFirewall } from './untouched.ts';
import { ZonedFirewall } from './zoned.ts';

/**
 * `nftables`: a table of our own of this name; it must differ from engine to engine on one host. `iptables`: Docker's
 * chains. `none`: no packet filter is touched (`--iptables=false`). The other one's place is told as well: rules that an
 * earlier run left there go at start, after the new ones are in place.
 */
export type FirewallOptions =
  | {
      readonly kind: 'nftables';
      readonly tableName: string;
      readonly nftables?: Omit<NftablesOptions, 'table'>;
      readonly iptables?: IptablesOptions;
    }
  | { readonly kind: 'iptables'; readonly tableName: string; readonly iptables: IptablesOptions }
  | { readonly kind: 'none' };

export interface IptablesOptions {
  /** Null: this family is not touched (`--ip6tables=false`). */
  readonly ipv4: IptablesPrograms | null;
  readonly ipv6: IptablesPrograms | null;
  /** Where it is written down of which networks there are rules; on a file system that ends with the host. */
  readonly rememberedPath: string;
  /** See {@link RuleOptions}; absent: false and none. */
  readonly directRouting?: boolean;
  readonly acceptMark?: string | null;
  /** Absent: both. */
  readonly loopback?: readonly Family[];
}

export interface FirewallGround {
  readonly kernel: Pick<Kernel, 'nft' | 'processes' | 'openRoute' | 'namespaces'>;
  readonly sysctls: Sysctls;
  /** Of networks that do not say. */
  readonly publishPolicy: PublishPolicy;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Null or absent: bridges are in nobody's zones. */
  readonly hostFirewall?: HostFirewall | null;
}

/** A filter that is not to be touched has no zones either. */
export function chooseFirewall(options: FirewallOptions, ground: FirewallGround): FirewallDriver {
  const { hostFirewall = null, logger } = ground;
  const filter = filterOf(options, ground);
  return hostFirewall === null || !filter.active ? filter : new ZonedFirewall(filter, hostFirewall, logger);
}

function filterOf(options: FirewallOptions, ground: FirewallGround): FirewallDriver {
  switch (options.kind) {
    case 'none':
      return new UntouchedFirewall();
    case 'nftables': {
      const nftables = nftablesOf({ ...options.nftables, table: options.tableName }, ground);
      if (options.iptables === undefined) return nftables;
      const { iptables } = options;
      return new SuccessorFirewall(nftables, async () => {
        const isThere = new IptablesMemory(iptables.rememberedPath).read() !== null;
        if (isThere) await iptablesOf(iptables, ground).tearDown();
      });
    }
    case 'iptables': {
      const former = nftablesOf({ table: options.tableName }, ground);
      return new SuccessorFirewall(iptablesOf(options.iptables, ground), async () => {
        // A host without nftables has no table of ours.
        await former.tearDown().catch(() => undefined);
      });
    }
  }
}

function nftablesOf(
  options: NftablesOptions,
  { kernel, clock, logger, sysctls, publishPolicy }: FirewallGround,
): NftablesFirewall {
  const parts = { nft: kernel.nft, clock, logger, turnstile: linkTurnstile(kernel, sysctls) };
  return new NftablesFirewall(parts, { publishPolicy, ...options });
}

function iptablesOf(
  options: IptablesOptions,
  { kernel, clock, logger, publishPolicy }: FirewallGround,
): IptablesFirewall {
  const program = (family: Family, programs: IptablesPrograms | null): readonly IptablesProgram[] =>
    programs === null ? [] : [new IptablesProgram(family, programs, { processes: kernel.processes, clock })];
  return new IptablesFirewall({
    programs: [...program('ipv4', options.ipv4), ...program('ipv6', options.ipv6)],
    memory: new IptablesMemory(options.rememberedPath),
    logger,
    options: {
      directRouting: options.directRouting ?? false,
      acceptMark: options.acceptMark ?? null,
      loopback: options.loopback ?? ['ipv4', 'ipv6'],
      publishPolicy,
    },
    clock,
    nft: kernel.nft,
  });
}

/** One that takes another's rules away once its own are there: what runs is protected and published all the time. */
class SuccessorFirewall extends DelegatingFirewall {
  readonly #clearFormer: () => Promise<void>;

  constructor(own: FirewallDriver, clearFormer: () => Promise<void>) {
    super(own);
    this.#clearFormer = clearFormer;
  }

  override async initialise(state: FirewallState): Promise<void> {
    await super.initialise(state);
    await this.#clearFormer();
  }

  override async tearDown(): Promise<void> {
    await super.tearDown();
    await this.#clearFormer();
  }
}
