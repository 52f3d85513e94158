/** Which limits this host's kernel and mounted control groups can enforce, and what Docker says of those they cannot. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { CgroupHost } from '../runtime/cgroups.ts';
import type { SystemInfo } from './types.ts';

type Limits = SystemInfo['limits'];

/** Looks at files below the mount points; another `root` than `/` can be tried. */
export async function limitsOfHost(cgroups: Pick<CgroupHost, 'version' | 'mountPoints'>, root = ''): Promise<Limits> {
  const place = (controller: string): string | null => {
    const found = [...cgroups.mountPoints].find(([names]) => names.split(',').includes(controller))?.[1];
    return found === undefined ? null : `${root}${found}`;
  };
  const proc = `${root}/proc/sys/net`;
  const [forwarding, iptables, ip6tables] = await Promise.all([
    readText(`${proc}/ipv4/ip_forward`),
    readText(`${proc}/bridge/bridge-nf-call-iptables`),
    readText(`${proc}/bridge/bridge-nf-call-ip6tables`),
  ]);
  return {
    ...(cgroups.version === '2' ? await unifiedLimits(place('') ?? '', root) : await legacyLimits(place)),
    cgroupNamespaces: existsSync(`${root}/proc/self/ns/cgroup`),
    ipv4Forwarding: forwarding.trim() === '1',
    bridgeNfIptables: iptables.trim() === '1',
    bridgeNfIp6tables: ip6tables.trim() === '1',
  };
}

type CgroupLimits = Omit<Limits, 'cgroupNamespaces' | 'ipv4Forwarding' | 'bridgeNfIptables' | 'bridgeNfIp6tables'>;

/** v1: each limit is a file of its controller. */
async function legacyLimits(place: (controller: string) => string | null): Promise<CgroupLimits> {
  const has = (controller: string, file: string): boolean => {
    const path = place(controller);
    return path !== null && existsSync(`${path}/${file}`);
  };
  const cpuset = place('cpuset');
  return {
    memory: place('memory') !== null,
    swap: has('memory', 'memory.memsw.limit_in_bytes'),
    memoryReservation: has('memory', 'memory.soft_limit_in_bytes'),
    memorySwappiness: has('memory', 'memory.swappiness'),
    oomKillDisable: has('memory', 'memory.oom_control'),
    kernelMemory: has('memory', 'memory.kmem.limit_in_bytes'),
    kernelMemoryTcp: has('memory', 'memory.kmem.tcp.limit_in_bytes'),
    cpuCfs: has('cpu', 'cpu.cfs_quota_us'),
    cpuShares: has('cpu', 'cpu.shares'),
    cpuRealtime: has('cpu', 'cpu.rt_period_us'),
    cpuset: cpuset !== null,
    pids: place('pids') !== null,
    blkioWeight: has('blkio', 'blkio.weight'),
    blkioWeightDevice: has('blkio', 'blkio.weight_device'),
    blkioReadBps: has('blkio', 'blkio.throttle.read_bps_device'),
    blkioWriteBps: has('blkio', 'blkio.throttle.write_bps_device'),
    blkioReadIops: has('blkio', 'blkio.throttle.read_iops_device'),
    blkioWriteIops: has('blkio', 'blkio.throttle.write_iops_device'),
    cpus: cpuset === null ? '' : (await readText(`${cpuset}/cpuset.cpus`)).trim(),
    memoryNodes: cpuset === null ? '' : (await readText(`${cpuset}/cpuset.mems`)).trim(),
  };
}

/** v2: a controller that is there brings all its limits; files of limits are not in the root group. */
async function unifiedLimits(mountPoint: string, root: string): Promise<CgroupLimits> {
  const [controllers, own, cpus, memoryNodes] = await Promise.all([
    readText(`${mountPoint}/cgroup.controllers`),
    readText(`${root}/proc/self/cgroup`),
    readText(`${mountPoint}/cpuset.cpus.effective`),
    readText(`${mountPoint}/cpuset.mems.effective`),
  ]);
  const has = (name: string): boolean => controllers.split(/\s+/).includes(name);
  const group = /^0::(\/.*)$/m.exec(own)?.[1] ?? '/';
  const swapFiles = [group, '/init.scope', '/system.slice'].map((path) => `${mountPoint}${path}/memory.swap.max`);
  const io = has('io');
  return {
    memory: has('memory'),
    swap: has('memory') && (swapFiles.some((path) => existsSync(path)) || existsSync(`${root}/proc/swaps`)),
    memoryReservation: has('memory'),
    memorySwappiness: false,
    oomKillDisable: false,
    kernelMemory: false,
    kernelMemoryTcp: false,
    cpuCfs: has('cpu'),
    cpuShares: has('cpu'),
    cpuRealtime: false,
    cpuset: has('cpuset'),
    pids: has('pids'),
    blkioWeight: io,
    blkioWeightDevice: io,
    blkioReadBps: io,
    blkioWriteBps: io,
    blkioReadIops: io,
    blkioWriteIops: io,
    cpus: cpus.trim(),
    memoryNodes: memoryNodes.trim(),
  };
}

/** Docker's texts, in Docker's order. */
export function limitWarnings(limits: Limits, cgroupVersion: '1' | '2'): readonly string[] {
  const isLegacy = cgroupVersion === '1';
  const io = (legacy: string, unified: string): string =>
    `WARNING: No ${isLegacy ? `blkio throttle.${legacy}_device` : `io.max (${unified})`} support`;
  const missing: readonly (readonly [boolean, string])[] = [
    [limits.memory, 'WARNING: No memory limit support'],
    [limits.swap, 'WARNING: No swap limit support'],
    [limits.kernelMemoryTcp || !isLegacy, 'WARNING: No kernel memory TCP limit support'],
    [limits.oomKillDisable || !isLegacy, 'WARNING: No oom kill disable support'],
    [limits.cpuCfs, 'WARNING: No cpu cfs quota support'],
    [limits.cpuCfs, 'WARNING: No cpu cfs period support'],
    [limits.cpuShares, 'WARNING: No cpu shares support'],
    [limits.cpuset, 'WARNING: No cpuset support'],
    // Of v1 no kernel since 5.0 has it, and nobody can do anything about that.
    [limits.blkioWeight || isLegacy, 'WARNING: No io.weight support'],
    [limits.blkioWeightDevice || isLegacy, 'WARNING: No io.weight (per device) support'],
    [limits.blkioReadBps, io('read_bps', 'rbps')],
    [limits.blkioWriteBps, io('write_bps', 'wbps')],
    [limits.blkioReadIops, io('read_iops', 'riops')],
    [limits.blkioWriteIops, io('write_iops', 'wiops')],
    [limits.ipv4Forwarding, 'WARNING: IPv4 forwarding is disabled'],
  ];
  return missing.filter(([present]) => !present).map(([, text]) => text);
}

/** The text of a small file of the kernel; '' when it is not there. */
async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
