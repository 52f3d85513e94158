/**
 * The processes of a control group, as `ps` shows them. The common question (`ps -ef`) is answered out of procfs, without a
 * process of ours; anything else is asked of the host's own `ps`, whose words for columns and faults users know.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { InternalError } from '../../base/errors.ts';
import type { ProcessCalls } from '../kernel/kernel.ts';
import type { CgroupHost } from './cgroups.ts';
import type { ProcessTable } from './process-list/table.ts';
import { fullListing } from './process-list/full-listing.ts';
import { checkPsArguments, parsePsOutput } from './process-list/ps.ts';

export type { ProcessTable };

export interface ProcessLister {
  /**
   * The processes in the cgroup at `path` and below it. `psArguments`: as for `ps`, separated by spaces; '' for `-ef`.
   * InvalidArgumentError for those that hide the pid, InternalError in ps's own words.
   */
  list(path: string, psArguments: string, signal?: AbortSignal): Promise<ProcessTable>;
}

const DEFAULT_ARGUMENTS = '-ef';
const PLACES = ['/usr/bin/ps', '/bin/ps'] as const;

export function createProcessLister(host: CgroupHost, processes: Pick<ProcessCalls, 'capture'>): ProcessLister {
  return {
    async list(path, psArguments, signal) {
      const text = psArguments === '' ? DEFAULT_ARGUMENTS : psArguments;
      checkPsArguments(text);
      const pids = pidsBelow(directoryOf(host, path));
      if (text === DEFAULT_ARGUMENTS) return fullListing(pids);
      const words = text.split(' ');
      // Some options (`f`) do not go with a list of pids.
      const output =
        (await runPs(processes, [...words, `-q${pids.join(',')}`], signal)) ?? (await runPs(processes, words, signal));
      if (output === null) throw new InternalError('ps: it could not be run');
      return parsePsOutput(output, new Set(pids));
    },
  };

  /** Null when it failed with a list of pids; InternalError with its first line when it fails without. */
  async function runPs(
    calls: Pick<ProcessCalls, 'capture'>,
    words: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<string | null> {
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
    const run = await calls.capture({ argv: [placeOfPs(), ...words], env }, signal === undefined ? {} : { signal });
    if (run.code === 0) return run.stdout;
    if (words.some((word) => word.startsWith('-q'))) return null;
    const [line = ''] = run.stderr.split('\n');
    throw new InternalError(`ps: ${line === '' ? `exit status ${String(run.code ?? run.signal)}` : line}`);
  }
}

function placeOfPs(): string {
  const found = PLACES.find((path) => existsSync(path));
  if (found === undefined) throw new InternalError('exec: "ps": executable file not found in $PATH');
  return found;
}

/** Any hierarchy knows all its processes; the unified one where it is alone. */
function directoryOf({ mountPoints }: CgroupHost, path: string): string {
  const names = [...mountPoints.keys()];
  const best = names.find((name) => name.split(',').includes('memory')) ?? names[0] ?? '';
  return `${mountPoints.get(best) ?? ''}${path}`;
}

function pidsBelow(directory: string): readonly number[] {
  const own = readIfThere(`${directory}/cgroup.procs`)
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [Number(line)]));
  const inner = childrenOf(directory);
  return [...own, ...inner.flatMap((name) => pidsBelow(`${directory}/${name}`))].sort((a, b) => a - b);
}

/** Empty for a group that has just gone. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function childrenOf(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap((each) => (each.isDirectory() ? [each.name] : []));
  } catch {
    return [];
  }
}
