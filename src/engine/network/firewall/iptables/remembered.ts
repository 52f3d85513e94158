/** What there may be of ours in the tables, on disk until the host ends: who comes after a crash can take it away. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { FirewallNetwork } from '../../driver.ts';
import type { Family } from './rules.ts';

/** As much of a network as its rules are known by. */
export type Remembered = Pick<FirewallNetwork, 'bridgeName' | 'ipv4Subnet' | 'ipv6Subnet'>;

export interface Memory {
  readonly networks: readonly Remembered[];
  /** Families whose FORWARD chain we gave the policy DROP. */
  readonly closed: readonly Family[];
}

export class IptablesMemory {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Null: this engine has left no rules in the iptables. */
  read(): Memory | null {
    try {
      return JSON.parse(readFileSync(this.#path, 'utf8')) as Memory;
    } catch (error) {
      // Half a file is none: it is put in place as a whole.
      if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  write({ networks, closed }: Memory): void {
    const rows = networks.map(({ bridgeName, ipv4Subnet, ipv6Subnet }) => ({ bridgeName, ipv4Subnet, ipv6Subnet }));
    const draft = `${this.#path}.new`;
    writeFileSync(draft, JSON.stringify({ networks: rows, closed }));
    renameSync(draft, this.#path);
  }

  forget(): void {
    rmSync(this.#path, { force: true });
  }
}
