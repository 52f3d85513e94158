import type { Clock } from '../../../../base/clock.ts';
import { InternalError, UnavailableError } from '../../../../base/errors.ts';
import type { CapturedRun, ProcessCalls } from '../../../kernel/kernel.ts';
import { TABLES } from './chains.ts';
import type { Family, TableName } from './rules.ts';
import { parseSaved, type SavedTable } from './saved.ts';

/** Where the programs lie; null: not installed. */
export interface IptablesPrograms {
  readonly restore: string | null;
  readonly save: string | null;
}

const NAME: Readonly<Record<Family, string>> = { ipv4: 'iptables', ipv6: 'ip6tables' };
const ENV = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
/** How long another program's lock on the tables is waited for; dockerd's `--wait` waits for ever. */
const LOCK_WAIT_SECONDS = 10;
/** Beyond the wait for the lock: the programs take milliseconds. */
const RUN_LIMIT_MS = 20_000;
/** What iptables ends with when the lock, or the kernel, has no room for it now. */
const RESOURCE_PROBLEM = 4;

/** `iptables-save` and `iptables-restore` of one family: the nft or the legacy ones, whichever the host's names lead to. */
export class IptablesProgram {
  readonly family: Family;
  readonly #programs: IptablesPrograms;
  readonly #processes: Pick<ProcessCalls, 'capture'>;
  readonly #clock: Clock;

  constructor(
    family: Family,
    programs: IptablesPrograms,
    { processes, clock }: { readonly processes: Pick<ProcessCalls, 'capture'>; readonly clock: Clock },
  ) {
    this.family = family;
    this.#programs = programs;
    this.#processes = processes;
    this.#clock = clock;
  }

  get isInstalled(): boolean {
    return this.#programs.restore !== null && this.#programs.save !== null;
  }

  /** All three tables as they are. UnavailableError where the programs or the kernel's part are missing. */
  async save(): Promise<ReadonlyMap<TableName, SavedTable>> {
    const tables = TABLES.map(async (table) => {
      const run = await this.#run('save', ['-t', table], '');
      const saved = run.code === 0 ? parseSaved(run.stdout) : null;
      // A table without any chain in use is not printed by iptables-nft-save, and cannot be had at all where legacy's
      // module is missing: that shows when something is written to it.
      const isCut = run.code === 0 && saved === null && run.stdout.includes(`*${table}`);
      if (isCut)
        throw new UnavailableError(`${NAME[this.family]} table ${table} has more rules than the engine can read`);
      return [table, saved ?? { chains: new Map<string, string>(), rules: [] }] as const;
    });
    return new Map(await Promise.all(tables));
  }

  /** Runs a script; InternalError with the program's own words when it is refused, UnavailableError when it is not its fault. */
  async restore(script: string): Promise<void> {
    const run = await this.#run('restore', ['--noflush', '-w', String(LOCK_WAIT_SECONDS)], script);
    if (run.code === 0) return;
    const status = run.code === null ? `signal ${String(run.signal)}` : `exit status ${String(run.code)}`;
    const text = `${NAME[this.family]} failed: ${NAME[this.family]}-restore --noflush: ${run.stderr.trim()} (${status})`;
    if (run.code === RESOURCE_PROBLEM || run.stderr.includes('xtables lock')) throw new UnavailableError(text);
    throw new InternalError(text);
  }

  async #run(which: keyof IptablesPrograms, args: readonly string[], stdin: string): Promise<CapturedRun> {
    const program = this.#programs[which];
    const name = `${NAME[this.family]}-${which}`;
    if (program === null) {
      throw new UnavailableError(
        `${name} is not installed: install the package iptables, or start the engine with --firewall-backend=nftables`,
      );
    }
    const late = new AbortController();
    const reason = new UnavailableError(`${name} did not end within ${String(RUN_LIMIT_MS / 1000)} seconds`);
    using _timer = this.#clock.after(RUN_LIMIT_MS, () => late.abort(reason));
    return await this.#processes.capture({ argv: [program, ...args], env: ENV }, { stdin, signal: late.signal });
  }
}
