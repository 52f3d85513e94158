import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { InvalidArgumentError, UnavailableError } from '../../base/errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { CgroupHost } from './cgroups.ts';
import { OciProgram } from './oci-program.ts';

/** What the composition root asks for. */
export interface RuntimeChoiceOptions {
  readonly kernel: Pick<Kernel, 'processes'>;
  /** `<exec-root>/runtimes`: state of each runtime in a directory of its own, so that engines do not touch. */
  readonly stateRoot: string;
  readonly cgroups: CgroupHost;
  readonly cgroupDriver: 'cgroupfs' | 'systemd';
  /** `--default-runtime`; null chooses. */
  readonly preferred: string | null;
  /** `--add-runtime name=path` and `runtimes` of daemon.json. */
  readonly added: ReadonlyMap<string, { readonly path: string; readonly arguments: readonly string[] }>;
  /** Directories to look in for crun and runc. */
  readonly searchPath?: readonly string[];
}

/** The runtimes of this engine. */
export interface RuntimeChoice {
  readonly runtimes: ReadonlyMap<string, OciProgram>;
  readonly defaultName: string;
  /** For `docker info`. */
  readonly warnings: readonly string[];
}

const BUILT_IN: readonly string[] = ['crun', 'runc'];
const SEARCH_PATH: readonly string[] = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/usr/local/sbin', '/bin', '/sbin'];

/**
 * crun when it is there and usable on this host, else runc. No container is run to find out: what makes crun fail is
 * known. UnavailableError when there is neither and none was added; InvalidArgumentError, in Docker's words, when the
 * preferred one does not exist.
 */
export function chooseRuntimes(options: RuntimeChoiceOptions): RuntimeChoice {
  const runtimes = new Map<string, OciProgram>();
  for (const name of BUILT_IN) {
    const path = find(name, options.searchPath ?? SEARCH_PATH);
    if (path !== null) runtimes.set(name, program(options, name, path, []));
  }
  for (const [name, { path, arguments: args }] of options.added) {
    runtimes.set(name, program(options, name, path.startsWith('/') ? path : (find(path, SEARCH_PATH) ?? path), args));
  }
  if (options.preferred !== null) {
    if (!runtimes.has(options.preferred)) {
      throw new InvalidArgumentError(`specified default runtime '${options.preferred}' does not exist`);
    }
    return { runtimes, defaultName: options.preferred, warnings: [] };
  }
  const obstacle = obstacleToCrun(options.cgroups);
  const usable = BUILT_IN.filter((name) => runtimes.has(name) && (name !== 'crun' || obstacle === null));
  const defaultName = usable[0] ?? BUILT_IN.find((name) => runtimes.has(name)) ?? [...runtimes.keys()][0];
  if (defaultName === undefined) {
    throw new UnavailableError('no OCI runtime found: install crun or runc, or name one by --add-runtime');
  }
  const passedOver = obstacle !== null && runtimes.has('crun');
  return { runtimes, defaultName, warnings: passedOver ? [`WARNING: ${warningOf(defaultName, obstacle)}`] : [] };
}

/** Why crun will fail here, or null. */
function obstacleToCrun(cgroups: CgroupHost): string | null {
  const [first] = cgroups.unmounted;
  if (first === undefined) return null;
  const names = cgroups.unmounted.join(', ');
  return `cgroup controller ${names} has a hierarchy that is not mounted (mount -t cgroup -o ${first} cgroup /sys/fs/cgroup/${first})`;
}

function warningOf(chosen: string, obstacle: string): string {
  return chosen === 'crun' ? `crun may fail: ${obstacle}` : `runtime ${chosen} is used in place of crun: ${obstacle}`;
}

function program(
  options: RuntimeChoiceOptions,
  name: string,
  path: string,
  extraArguments: readonly string[],
): OciProgram {
  const { kernel, cgroups, cgroupDriver } = options;
  return new OciProgram({
    kernel,
    name,
    path,
    extraArguments,
    root: join(options.stateRoot, name),
    cgroups,
    cgroupDriver,
  });
}

function find(name: string, directories: readonly string[]): string | null {
  for (const directory of directories) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return null;
}
