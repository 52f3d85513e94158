import { readdir, readFile } from 'node:fs/promises';
import { cpus, hostname, machine, release, totalmem } from 'node:os';
import type { SystemFacts, SystemInfo } from './types.ts';

/** What only the composition root knows: options, and answers of other rooms. */
export interface FactSources {
  /** Values that no request changes; asked anew each time, since a reload may. */
  readonly configured: () => Omit<
    SystemInfo,
    | 'hostname'
    | 'kernelVersion'
    | 'operatingSystem'
    | 'osVersion'
    | 'machine'
    | 'cpuCount'
    | 'memoryBytes'
    | 'limits'
    | 'runtimeVersion'
    | 'monitorVersion'
    | 'fileDescriptorCount'
    | 'warnings'
    | 'storageStatus'
  >;
  readonly storageStatus: () => readonly (readonly [string, string])[];
  /** Versions of the runtime and monitor programs; asked once, when first needed. */
  readonly versions: () => Promise<{ readonly runtime: string; readonly monitor: string }>;
  /** Warnings of the host's set-up that the composition root found (fallback runtime, vfs …). */
  readonly warnings: readonly string[];
}

/** Facts about engine and host for `docker info` and `docker version`. */
export function createSystemFacts(sources: FactSources): SystemFacts {
  return {
    async info() {
      const configured = sources.configured();
      const [release_, limits, versions, descriptors] = await Promise.all([
        osRelease(),
        limitsOfHost(configured.cgroupVersion),
        sources.versions(),
        readdir('/proc/self/fd').then((names) => names.length),
      ]);
      return {
        ...configured,
        hostname: hostname(),
        kernelVersion: release(),
        operatingSystem: release_.name,
        osVersion: release_.version,
        machine: machine(),
        cpuCount: cpus().length,
        memoryBytes: totalmem(),
        limits,
        runtimeVersion: versions.runtime,
        monitorVersion: versions.monitor,
        fileDescriptorCount: descriptors,
        storageStatus: sources.storageStatus(),
        warnings: [...limitWarnings(limits), ...sources.warnings],
      };
    },
  };
}

async function osRelease(): Promise<{ readonly name: string; readonly version: string }> {
  // Loaded with the first `docker info`: nothing at start-up needs it.
  // By its default export, the only one that a bundled CommonJS package has.
  const { default: ini } = await import('ini');
  const values = ini.parse(await readText('/etc/os-release')) as Readonly<Record<string, string | undefined>>;
  return { name: values['PRETTY_NAME'] ?? 'Linux', version: values['VERSION_ID'] ?? '' };
}

/** Which limits this kernel and its mounted control groups can enforce. */
export async function limitsOfHost(cgroupVersion: '1' | '2'): Promise<SystemInfo['limits']> {
  const [controllers, forwarding, iptables, ip6tables, swap, weight, cpus, memoryNodes] = await Promise.all([
    cgroupVersion === '2' ? readText('/sys/fs/cgroup/cgroup.controllers') : readText('/proc/cgroups'),
    readText('/proc/sys/net/ipv4/ip_forward'),
    readText('/proc/sys/net/bridge/bridge-nf-call-iptables'),
    readText('/proc/sys/net/bridge/bridge-nf-call-ip6tables'),
    cgroupVersion === '2' ? readText('/proc/swaps') : readText('/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes'),
    cgroupVersion === '2' ? '' : readText('/sys/fs/cgroup/blkio/blkio.weight'),
    readText(cgroupVersion === '2' ? '/sys/fs/cgroup/cpuset.cpus.effective' : '/sys/fs/cgroup/cpuset/cpuset.cpus'),
    readText(cgroupVersion === '2' ? '/sys/fs/cgroup/cpuset.mems.effective' : '/sys/fs/cgroup/cpuset/cpuset.mems'),
  ]);
  const has = (name: string): boolean =>
    cgroupVersion === '2'
      ? controllers.split(/\s+/).includes(name)
      : new RegExp(`^${name}\\t.*\\t1$`, 'm').test(controllers);
  return {
    memory: has('memory'),
    swap: swap !== '',
    cpuCfs: has('cpu'),
    cpuShares: has('cpu'),
    cpuset: has('cpuset'),
    pids: has('pids'),
    oomKillDisable: cgroupVersion === '1' && has('memory'),
    memorySwappiness: cgroupVersion === '1' && has('memory'),
    blkioWeight: cgroupVersion === '2' ? has('io') : weight !== '',
    cpus: cpus.trim(),
    memoryNodes: memoryNodes.trim(),
    ipv4Forwarding: forwarding.trim() === '1',
    bridgeNfIptables: iptables.trim() === '1',
    bridgeNfIp6tables: ip6tables.trim() === '1',
  };
}

/** Docker's texts, in Docker's order. */
function limitWarnings(limits: SystemInfo['limits']): readonly string[] {
  const missing: readonly (readonly [boolean, string])[] = [
    [limits.memory, 'WARNING: No memory limit support'],
    [limits.swap, 'WARNING: No swap limit support'],
    [limits.cpuCfs, 'WARNING: No cpu cfs quota support'],
    [limits.cpuShares, 'WARNING: No cpu shares support'],
    [limits.cpuset, 'WARNING: No cpuset support'],
    [limits.ipv4Forwarding, 'WARNING: IPv4 forwarding is disabled'],
  ];
  return missing.filter(([present]) => !present).map(([, text]) => text);
}

/** The text of a small file of the kernel or of /etc; '' when it is not there. */
async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
