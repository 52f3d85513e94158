import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { cpuOfTree, timed, treeOf, type Cost } from './side-by-side.ts';

const HIERARCHY = '/sys/fs/cgroup/cpuacct';

/**
 * What a daemon, its shims, monitors and runtimes use, also those that are no children of it: a control group of their
 * own. Containers have groups of theirs elsewhere. Without the v1 hierarchy: the process tree, which knows less.
 */
export class CpuAccount implements Disposable {
  readonly #path: string | null;
  #pid = 0;

  constructor(name: string) {
    this.#path = existsSync(HIERARCHY) ? `${HIERARCHY}/bench-${name}-${String(process.pid)}` : null;
    if (this.#path !== null) mkdirSync(this.#path);
  }

  /** Everything below `pid` is counted from now on. */
  adopt(pid: number): void {
    this.#pid = pid;
    if (this.#path === null) return;
    for (const each of treeOf(pid)) writeFileSync(`${this.#path}/cgroup.procs`, String(each));
  }

  /** Milliseconds so far. */
  get usedMs(): number {
    if (this.#path === null) return cpuOfTree(this.#pid);
    return Number(readFileSync(`${this.#path}/cpuacct.usage`, 'utf8')) / 1e6;
  }

  [Symbol.dispose](): void {
    try {
      if (this.#path !== null) rmdirSync(this.#path);
    } catch {
      // Something of the daemon is still ending; the group is empty and named after this process.
    }
  }
}

/** How long a job takes, and what it costs the daemon and all it starts. */
export async function costIn(
  { account }: { readonly account: CpuAccount },
  job: () => Promise<unknown>,
): Promise<Cost> {
  const before = account.usedMs;
  const { wallMs } = await timed(job);
  return { wallMs, cpuMs: account.usedMs - before };
}
