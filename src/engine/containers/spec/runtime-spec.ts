import type { IdMapping } from '../../oci/id-mapping.ts';
import type { LinuxSpec, ProcessSpec, RuntimeSpec, SpecMount } from '../../oci/runtime-spec.ts';
import type { ExecSpec } from '../types.ts';
import { capabilitiesOf } from './capabilities.ts';
import { DEFAULT_PATHS } from '../default-paths.ts';
import { deviceRules } from './devices.ts';
import type { ResolvedUser, RuntimeSpecInput } from './input.ts';
import { limitsOf } from './resources.ts';

const OCI_VERSION = '1.0.2';
const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const INIT_PATH_INSIDE = '/sbin/docker-init';
/** Highest group that `ping_group_range` takes. */
const MAX_GROUP = 2_147_483_647;

/** Translates a container to the runtime's `config.json`. Pure: every fact of the host is in `input`. */
export function runtimeSpecOf(input: RuntimeSpecInput): RuntimeSpec {
  const { spec } = input;
  return {
    ociVersion: OCI_VERSION,
    process: processOf(input),
    root: { path: input.rootfsPath, readonly: spec.host.readonlyRootfs },
    ...(input.namespaces.uts === null ? { hostname: input.hostname } : {}),
    ...(input.namespaces.uts === null && spec.domainname !== '' ? { domainname: spec.domainname } : {}),
    mounts: mountsOf(input),
    annotations: { ...spec.host.annotations, ...input.annotations },
    linux: linuxOf(input),
  };
}

/** The process of `docker exec`, with the container's own environment, limits and (unless privileged) capabilities. */
export function execProcessOf(
  container: ProcessSpec,
  exec: ExecSpec,
  user: ResolvedUser,
  capabilityMask: bigint,
): ProcessSpec {
  const env = mergeEnv(
    [...container.env.filter((line) => !line.startsWith('HOME=')), ...terminalEnv(exec.terminal)],
    exec.env,
  );
  const capabilities = exec.privileged
    ? capabilitySets(capabilitiesOf({ privileged: true, add: [], drop: [], capabilityMask }), user.uid)
    : capabilitySets(container.capabilities?.bounding ?? [], user.uid);
  const { consoleSize: _size, ...rest } = container;
  return {
    ...rest,
    terminal: exec.terminal,
    ...(exec.consoleSize === null ? {} : { consoleSize: sizeOf(exec.consoleSize) }),
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    args: exec.command,
    env: withHome(env, user),
    cwd: exec.workingDirectory === '' ? container.cwd : exec.workingDirectory,
    capabilities,
  };
}

/** Environment lines merged by name; later ones win and keep the earlier's place. `NAME` alone removes. */
export function mergeEnv(base: readonly string[], overrides: readonly string[]): readonly string[] {
  const merged = new Map<string, string | null>();
  for (const line of [...base, ...overrides]) {
    const cut = line.indexOf('=');
    merged.set(cut < 0 ? line : line.slice(0, cut), cut < 0 ? null : line);
  }
  return [...merged.values()].filter((line) => line !== null);
}

function processOf(input: RuntimeSpecInput): ProcessSpec {
  const { spec, user } = input;
  const { host } = spec;
  const capabilities = capabilitiesOf({
    privileged: host.privileged,
    add: host.capabilitiesAdd,
    drop: host.capabilitiesDrop,
    capabilityMask: input.capabilityMask,
  });
  const identity = [`HOSTNAME=${input.hostname}`, ...terminalEnv(spec.terminal)];
  const env = mergeEnv([DEFAULT_PATH, ...identity, ...(input.linkEnvironment ?? [])], spec.env);
  return {
    terminal: spec.terminal,
    ...(spec.terminal && spec.consoleSize !== null ? { consoleSize: sizeOf(spec.consoleSize) } : {}),
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    args: input.initPath === null ? input.args : [INIT_PATH_INSIDE, '--', ...input.args],
    env: withHome(env, user),
    cwd: spec.workingDirectory === '' ? '/' : spec.workingDirectory,
    capabilities: capabilitySets(capabilities, user.uid),
    rlimits: rlimitsOf(input),
    noNewPrivileges: input.noNewPrivileges,
    ...(input.apparmorProfile === null ? {} : { apparmorProfile: input.apparmorProfile }),
    oomScoreAdj: host.oomScoreAdj,
  };
}

function terminalEnv(terminal: boolean): readonly string[] {
  return terminal ? ['TERM=xterm'] : [];
}

function withHome(env: readonly string[], user: ResolvedUser): readonly string[] {
  return env.some((line) => line.startsWith('HOME=')) ? env : [...env, `HOME=${user.home}`];
}

function sizeOf([height, width]: readonly [number, number]): { height: number; width: number } {
  return { height, width };
}

/** A process that is not root keeps only the bounding set: what it may gain again by a set-uid program. */
function capabilitySets(names: readonly string[], uid: number): NonNullable<ProcessSpec['capabilities']> {
  return uid === 0
    ? { bounding: names, effective: names, permitted: names }
    : { bounding: names, effective: [], permitted: [] };
}

function rlimitsOf(input: RuntimeSpecInput): NonNullable<ProcessSpec['rlimits']> {
  const own = input.spec.host.ulimits;
  const defaults = input.defaultUlimits.filter((limit) => !own.some(({ name }) => name === limit.name));
  return [...defaults, ...own].map(({ name, soft, hard }) => ({ type: `RLIMIT_${name.toUpperCase()}`, soft, hard }));
}

function mountsOf(input: RuntimeSpecInput): readonly SpecMount[] {
  const taken = new Set(input.mounts.map(({ destination }) => destination));
  const system = [...kernelMounts(input), ...fileMounts(input)].filter(({ destination }) => !taken.has(destination));
  const own = input.mounts.map(({ destination, mount }) => ({
    destination,
    type: mount.type,
    source: mount.source,
    options: mount.options,
  }));
  return [...system, ...own];
}

function kernelMounts(input: RuntimeSpecInput): readonly SpecMount[] {
  const access = input.spec.host.privileged ? 'rw' : 'ro';
  const cgroupAccess = input.writableCgroups === true ? 'rw' : access;
  const quiet = ['nosuid', 'noexec', 'nodev'];
  const shm: SpecMount =
    input.shmPath === null
      ? {
          destination: '/dev/shm',
          type: 'tmpfs',
          source: 'shm',
          options: [...quiet, 'mode=1777', `size=${String(input.shmSizeBytes)}`],
        }
      : { destination: '/dev/shm', type: 'bind', source: input.shmPath, options: ['rbind', 'rprivate'] };
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: quiet },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...quiet, access] },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: [cgroupAccess, ...quiet] },
    ...(input.noIpc ? [] : [mqueueOf(input, quiet), shm]),
  ];
}

/** Message queues belong to the ipc namespace: only who owns that can mount them. */
function mqueueOf({ namespaces }: RuntimeSpecInput, quiet: readonly string[]): SpecMount {
  const destination = '/dev/mqueue';
  return namespaces.user !== null && namespaces.ipc === 'host'
    ? { destination, type: 'bind', source: destination, options: ['rbind', 'rprivate', ...quiet] }
    : { destination, type: 'mqueue', source: 'mqueue', options: quiet };
}

function fileMounts(input: RuntimeSpecInput): readonly SpecMount[] {
  const bind = (destination: string, source: string, access: 'rw' | 'ro'): SpecMount => ({
    destination,
    type: 'bind',
    source,
    options: ['rbind', 'rprivate', access],
  });
  const access = input.spec.host.readonlyRootfs ? 'ro' : 'rw';
  return [
    bind('/etc/resolv.conf', input.resolvConfPath, access),
    bind('/etc/hostname', input.hostnamePath, access),
    bind('/etc/hosts', input.hostsPath, access),
    ...(input.initPath === null ? [] : [bind(INIT_PATH_INSIDE, input.initPath, 'ro')]),
  ];
}

function linuxOf(input: RuntimeSpecInput): LinuxSpec {
  const { host } = input.spec;
  const privileged = host.privileged;
  const masked = host.maskedPaths ?? (privileged ? [] : DEFAULT_PATHS.masked);
  const readonlyPaths = host.readonlyPaths ?? (privileged ? [] : DEFAULT_PATHS.readonly);
  return {
    namespaces: namespacesOf(input),
    ...idMappingsOf(input.namespaces.user?.mapping ?? null),
    cgroupsPath: input.cgroupsPath,
    resources: {
      ...limitsOf(host.resources, input.blockDevices),
      devices: deviceRules(privileged, input.devices, host.deviceCgroupRules),
    },
    ...(input.seccomp === null ? {} : { seccomp: input.seccomp }),
    maskedPaths: masked,
    readonlyPaths,
    devices: input.devices.map(({ device }) => device),
    sysctl: sysctlsOf(input),
    ...rootPropagationOf(input),
  };
}

/** As wide as the widest of the mounts: what is mounted in a shared one inside is to be seen outside. */
function rootPropagationOf({ mounts }: RuntimeSpecInput): Pick<LinuxSpec, 'rootfsPropagation'> {
  const words = mounts.flatMap(({ mount }) => mount.options);
  if (words.some((word) => /^r?shared$/.test(word))) return { rootfsPropagation: 'shared' };
  return words.some((word) => /^r?slave$/.test(word)) ? { rootfsPropagation: 'rslave' } : {};
}

function namespacesOf(input: RuntimeSpecInput): LinuxSpec['namespaces'] {
  const wanted = [
    ['network', input.namespaces.network],
    ['ipc', input.namespaces.ipc],
    ['pid', input.namespaces.pid],
    ['uts', input.namespaces.uts],
    ['cgroup', input.namespaces.cgroup],
  ] as const;
  const joined = wanted.flatMap(([type, where]) =>
    where === 'host' ? [] : [where === null ? { type } : { type, path: where.path }],
  );
  const { user } = input.namespaces;
  return [{ type: 'mount' }, ...(user === null ? [] : [{ type: 'user', path: user.path }]), ...joined];
}

/**
 * Docker's own two defaults let a non-root process bind low ports and ping; they need a network namespace of the
 * container's own, and the user's word wins.
 */
function sysctlsOf(input: RuntimeSpecInput): Readonly<Record<string, string>> {
  const ownNetwork = input.namespaces.network !== 'host' && input.spec.host.network.kind !== 'container';
  const defaults: Record<string, string> = ownNetwork
    ? { 'net.ipv4.ip_unprivileged_port_start': '0', 'net.ipv4.ping_group_range': `0 ${String(lastGroup(input))}` }
    : {};
  return { ...defaults, ...input.spec.host.sysctls };
}

/** The kernel takes only groups that exist in the user namespace. */
function lastGroup({ namespaces: { user } }: RuntimeSpecInput): number {
  const first = user?.mapping.gids.find(({ containerID }) => containerID === 0);
  return first === undefined ? MAX_GROUP : first.size - 1;
}

function idMappingsOf(mapping: IdMapping | null): Pick<LinuxSpec, 'uidMappings' | 'gidMappings'> {
  return mapping === null ? {} : { uidMappings: mapping.uids, gidMappings: mapping.gids };
}
