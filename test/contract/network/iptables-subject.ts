import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../../src/base/clock.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { createLinuxKernel } from '../../../src/engine/kernel/linux/index.ts';
import type { ProcessCalls } from '../../../src/engine/kernel/kernel.ts';
import { IptablesFirewall } from '../../../src/engine/network/firewall/iptables/driver.ts';
import { IptablesProgram } from '../../../src/engine/network/firewall/iptables/program.ts';
import { IptablesMemory } from '../../../src/engine/network/firewall/iptables/remembered.ts';
import type { RuleOptions } from '../../../src/engine/network/firewall/iptables/rules.ts';
import type { FirewallSubject } from './firewall-contract.ts';

/** The two makes of iptables that a host can have. */
export type IptablesMake = 'nft' | 'legacy';

const PLAIN: RuleOptions = {
  directRouting: false,
  acceptMark: null,
  loopback: ['ipv4', 'ipv6'],
  publishPolicy: 'open',
};

/** Why a make cannot be tried here; null when it can. */
export function absenceOf(make: IptablesMake): string | null {
  if (process.getuid?.() !== 0) return 'needs root';
  return existsSync(`/usr/sbin/ip6tables-${make}-restore`) ? null : `iptables-${make} is not installed`;
}

/** The driver on a network namespace of its own: nothing of this machine's rules is seen or touched. */
export class IptablesSubject implements FirewallSubject {
  readonly firewall: IptablesFirewall;
  /** Arguments of every program that was run. */
  readonly runs: (readonly string[])[] = [];
  readonly #make: IptablesMake;
  readonly #directory = mkdtempSync(join(tmpdir(), 'iptables-'));
  readonly #netns = join(this.#directory, 'netns');
  readonly #kernel = createLinuxKernel();

  constructor(make: IptablesMake, options: RuleOptions = PLAIN) {
    this.#make = make;
    this.#kernel.namespaces.createNetns(this.#netns);
    this.firewall = this.another(options);
  }

  /** A driver of the next run of the same engine. */
  another(options: RuleOptions = PLAIN): IptablesFirewall {
    const processes: Pick<ProcessCalls, 'capture'> = {
      capture: (wish, input) => {
        this.runs.push(wish.argv);
        const argv = ['/usr/bin/nsenter', `--net=${this.#netns}`, ...wish.argv] as const;
        return this.#kernel.processes.capture({ ...wish, argv }, input);
      },
    };
    const program = (family: 'ipv4' | 'ipv6'): IptablesProgram => {
      const name = `/usr/sbin/${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${this.#make}`;
      return new IptablesProgram(
        family,
        { restore: `${name}-restore`, save: `${name}-save` },
        { processes, clock: new SystemClock() },
      );
    };
    return new IptablesFirewall({
      programs: [program('ipv4'), program('ipv6')],
      memory: new IptablesMemory(join(this.#directory, 'remembered')),
      logger: silentLogger,
      options,
      clock: new SystemClock(),
      // Of this process's namespace, where nothing happens.
      nft: { watch: () => ({ [Symbol.dispose]: () => undefined }) },
    });
  }

  /** Runs `iptables` or `ip6tables` there. */
  run(program: 'iptables' | 'ip6tables', ...args: readonly string[]): string {
    const command = [`--net=${this.#netns}`, `/usr/sbin/${program}-${this.#make}`, '-w', '5', ...args];
    return execFileSync('nsenter', command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** `-S` of a table, a line each. */
  rules(table: string, program: 'iptables' | 'ip6tables' = 'iptables'): readonly string[] {
    return this.run(program, '-t', table, '-S').trim().split('\n');
  }

  inspect(): string {
    const tables = ['filter', 'nat', 'raw'].flatMap((table) =>
      [...this.rules(table), ...this.rules(table, 'ip6tables')].filter(
        (line) => !line.startsWith('-P ') && !line.includes('DOCKER-USER'),
      ),
    );
    // Published ports stand before the rest of their chain, in no order among themselves.
    return tables.sort().join('\n');
  }

  flush(): void {
    for (const program of ['iptables', 'ip6tables'] as const) {
      for (const table of ['filter', 'nat', 'raw']) for (const how of ['-F', '-X']) this.run(program, '-t', table, how);
    }
  }

  [Symbol.dispose](): void {
    this.#kernel.namespaces.removeNetns(this.#netns);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
