/**
 * What a control group has used up to now, as the kernel counts it on either hierarchy (cgroups(7), kernel docs
 * "cgroup-v1" and "cgroup-v2"). All counters are whole 64-bit numbers. A controller that is not there is null, a file
 * that this kernel lacks counts as zero.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import type { CgroupHost } from './cgroups.ts';

/** One counter of a block device: `op` in the kernel's words of that hierarchy (`Read`, `read`, '' where it has none). */
export interface DeviceCounter {
  readonly major: bigint;
  readonly minor: bigint;
  readonly op: string;
  readonly value: bigint;
}

/** Counters of block devices by what they count. v2 knows `bytes` and `operations` only. */
export interface BlockUsage {
  readonly bytes: readonly DeviceCounter[];
  readonly operations: readonly DeviceCounter[];
}

export interface CpuUsage {
  readonly totalNs: bigint;
  readonly userNs: bigint;
  readonly systemNs: bigint;
  /** By processor; null on v2, which does not tell. */
  readonly perCpuNs: readonly bigint[] | null;
  readonly periods: bigint;
  readonly throttledPeriods: bigint;
  readonly throttledNs: bigint;
}

export interface MemoryUsage {
  readonly currentBytes: bigint;
  /** Null when there is no limit. */
  readonly limitBytes: bigint | null;
  /** The most there has ever been; null where the kernel does not keep it. */
  readonly peakBytes: bigint | null;
  /** What the kernel could take back without harm to anybody: `total_inactive_file` (v1), `inactive_file` (v2). */
  readonly inactiveFileBytes: bigint;
  /** How often the limit was hit (v1), or led to an OOM (v2). */
  readonly failures: bigint;
  /** memory.stat, every line. */
  readonly details: ReadonlyMap<string, bigint>;
}

export interface PidsUsage {
  readonly current: bigint;
  /** Null when there is no limit. */
  readonly limit: bigint | null;
}

/** One look at a control group. */
export interface ResourceUsage {
  readonly cgroupVersion: '1' | '2';
  readonly cpu: CpuUsage;
  readonly memory: MemoryUsage | null;
  readonly pids: PidsUsage | null;
  readonly block: BlockUsage;
}

/** Traffic of one network interface, as its namespace counts it. */
export interface InterfaceCounters {
  readonly name: string;
  readonly receivedBytes: bigint;
  readonly receivedPackets: bigint;
  readonly receiveErrors: bigint;
  readonly receiveDropped: bigint;
  readonly sentBytes: bigint;
  readonly sentPackets: bigint;
  readonly sendErrors: bigint;
  readonly sendDropped: bigint;
}

/** What the whole machine has used. */
export interface HostCpu {
  /** Time of all processors in all states, idle too. */
  readonly totalNs: bigint;
  readonly onlineCpus: number;
}

/** Where usage is read. */
export interface UsageSource {
  /** What the cgroup at `path` below each hierarchy has used; null when it has gone. Some ten small reads of procfs. */
  resources(path: string): ResourceUsage | null;
  /**
   * The interfaces of the process's network namespace, loopback left out. Empty when the process has gone, and where it
   * has the machine's own: those count everybody's traffic.
   */
  interfaces(pid: number): readonly InterfaceCounters[];
  host(): HostCpu;
  /** Memory of the machine: the limit of those that have none. */
  readonly memoryBytes: bigint;
}

/** The kernel's own files. */
export function createUsageSource(host: CgroupHost, memoryBytes: bigint): UsageSource {
  const ownNetwork = readlinkSync('/proc/self/ns/net');
  return {
    resources: (path) => readUsage(host, path),
    interfaces(pid) {
      const process = `/proc/${String(pid)}`;
      return networkOf(process) === ownNetwork ? [] : parseInterfaces(textOf(`${process}/net/dev`) ?? '');
    },
    host: () => parseHostCpu(textOf('/proc/stat') ?? ''),
    memoryBytes,
  };
}

/** The name of a process's network namespace; null when it has gone. */
function networkOf(process: string): string | null {
  try {
    return readlinkSync(`${process}/ns/net`);
  } catch {
    return null;
  }
}

/** Text of /proc/PID/net/dev. */
export function parseInterfaces(text: string): readonly InterfaceCounters[] {
  return text.split('\n').flatMap((line) => {
    const [, name, rest] = /^\s*([^\s:]+):\s*(.*)$/.exec(line) ?? [];
    if (name === undefined || rest === undefined || name === 'lo') return [];
    // bytes packets errs drop fifo frame compressed multicast, and the same eight of what was sent
    const numbers = rest.split(/\s+/).map(whole);
    const at = (index: number): bigint => numbers[index] ?? 0n;
    return [
      {
        name,
        receivedBytes: at(0),
        receivedPackets: at(1),
        receiveErrors: at(2),
        receiveDropped: at(3),
        sentBytes: at(8),
        sentPackets: at(9),
        sendErrors: at(10),
        sendDropped: at(11),
      },
    ];
  });
}

/** Text of /proc/stat; user to softirq are counted, as Docker does: guests' time is in user's already. */
export function parseHostCpu(text: string): HostCpu {
  const lines = text.split('\n');
  const ticks = (lines[0] ?? '').split(/\s+/).slice(1, 8);
  return {
    totalNs: ticks.reduce((sum, word) => sum + whole(word), 0n) * TICK_NS,
    onlineCpus: lines.filter((line) => /^cpu\d/.test(line)).length,
  };
}

/** The kernel's USER_HZ is 100 on every machine that Node runs on; a tick in nanoseconds. */
const TICK_NS = 10_000_000n;
const US_TO_NS = 1000n;
/** v1 writes "no limit" as the highest number of whole pages; nobody has a machine beyond this. */
const V1_NO_LIMIT = 1n << 62n;

/** Reads the usage of the cgroup at `path` (below each hierarchy); null when it has gone. Some 10 small reads of procfs. */
export function readUsage(host: CgroupHost, path: string): ResourceUsage | null {
  return host.version === '2' ? readUnified(`${host.mountPoints.get('') ?? ''}${path}`) : readLegacy(host, path);
}

function readLegacy(host: CgroupHost, path: string): ResourceUsage | null {
  const account = directoryOf(host, 'cpuacct', path);
  const total = account === null ? null : textOf(`${account}/cpuacct.usage`);
  const memory = directoryOf(host, 'memory', path);
  const current = memory === null ? null : textOf(`${memory}/memory.usage_in_bytes`);
  if (total === null && current === null) return null;
  return {
    cgroupVersion: '1',
    cpu: legacyCpu(account, directoryOf(host, 'cpu', path), total),
    memory: current === null ? null : legacyMemory(memory ?? '', current),
    pids: pidsOf(directoryOf(host, 'pids', path)),
    block: legacyBlock(directoryOf(host, 'blkio', path)),
  };
}

function legacyCpu(account: string | null, cpu: string | null, total: string | null): CpuUsage {
  const ticks = keyed(account === null ? null : textOf(`${account}/cpuacct.stat`));
  const stat = keyed(cpu === null ? null : textOf(`${cpu}/cpu.stat`));
  const perCpu = account === null ? null : textOf(`${account}/cpuacct.usage_percpu`);
  return {
    totalNs: whole(total),
    userNs: (ticks.get('user') ?? 0n) * TICK_NS,
    systemNs: (ticks.get('system') ?? 0n) * TICK_NS,
    perCpuNs: (perCpu ?? '').split(' ').flatMap((word) => (/^\d+$/.test(word) ? [BigInt(word)] : [])),
    periods: stat.get('nr_periods') ?? 0n,
    throttledPeriods: stat.get('nr_throttled') ?? 0n,
    throttledNs: stat.get('throttled_time') ?? 0n,
  };
}

function legacyMemory(directory: string, current: string): MemoryUsage {
  const details = keyed(textOf(`${directory}/memory.stat`));
  const limit = whole(textOf(`${directory}/memory.limit_in_bytes`));
  return {
    currentBytes: whole(current),
    limitBytes: limit >= V1_NO_LIMIT ? null : limit,
    peakBytes: whole(textOf(`${directory}/memory.max_usage_in_bytes`)),
    inactiveFileBytes: details.get('total_inactive_file') ?? 0n,
    failures: whole(textOf(`${directory}/memory.failcnt`)),
    details,
  };
}

/** The counters of throttling, which count for every scheduler, as Docker reads them since CFQ has gone. */
function legacyBlock(directory: string | null): BlockUsage {
  if (directory === null) return { bytes: [], operations: [] };
  const bytes = deviceLines(textOf(`${directory}/blkio.throttle.io_service_bytes`));
  const operations = deviceLines(textOf(`${directory}/blkio.throttle.io_serviced`));
  return { bytes, operations };
}

/** `8:0 Read 4096`; the last line, `Total 4096`, belongs to no device. */
function deviceLines(text: string | null): readonly DeviceCounter[] {
  return (text ?? '').split('\n').flatMap((line) => {
    const [, major, minor, op, value] = /^(\d+):(\d+)(?: ([A-Za-z]+))? (\d+)$/.exec(line) ?? [];
    if (major === undefined || minor === undefined || value === undefined) return [];
    return [{ major: BigInt(major), minor: BigInt(minor), op: op ?? '', value: BigInt(value) }];
  });
}

function readUnified(directory: string): ResourceUsage | null {
  const stat = textOf(`${directory}/cpu.stat`);
  if (stat === null) return null;
  const cpu = keyed(stat);
  const ns = (key: string): bigint => (cpu.get(key) ?? 0n) * US_TO_NS;
  return {
    cgroupVersion: '2',
    cpu: {
      totalNs: ns('usage_usec'),
      userNs: ns('user_usec'),
      systemNs: ns('system_usec'),
      perCpuNs: null,
      periods: cpu.get('nr_periods') ?? 0n,
      throttledPeriods: cpu.get('nr_throttled') ?? 0n,
      throttledNs: ns('throttled_usec'),
    },
    memory: unifiedMemory(directory),
    pids: pidsOf(directory),
    block: unifiedBlock(textOf(`${directory}/io.stat`)),
  };
}

function unifiedMemory(directory: string): MemoryUsage | null {
  const current = textOf(`${directory}/memory.current`);
  if (current === null) return null;
  const details = keyed(textOf(`${directory}/memory.stat`));
  const peak = textOf(`${directory}/memory.peak`);
  return {
    currentBytes: whole(current),
    limitBytes: limitOf(textOf(`${directory}/memory.max`)),
    peakBytes: peak === null ? null : whole(peak),
    inactiveFileBytes: details.get('inactive_file') ?? 0n,
    failures: keyed(textOf(`${directory}/memory.events`)).get('oom') ?? 0n,
    details,
  };
}

/** `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0` */
function unifiedBlock(text: string | null): BlockUsage {
  const bytes: DeviceCounter[] = [];
  const operations: DeviceCounter[] = [];
  for (const line of (text ?? '').split('\n')) {
    const [, major, minor, rest] = /^(\d+):(\d+) (.*)$/.exec(line) ?? [];
    if (major === undefined || minor === undefined || rest === undefined) continue;
    const device = { major: BigInt(major), minor: BigInt(minor) };
    const values = new Map(rest.split(' ').map((word) => word.split('=', 2) as [string, string | undefined]));
    const valueOf = (key: string): bigint => whole(values.get(key) ?? null);
    bytes.push(
      { ...device, op: 'read', value: valueOf('rbytes') },
      { ...device, op: 'write', value: valueOf('wbytes') },
    );
    operations.push(
      { ...device, op: 'read', value: valueOf('rios') },
      { ...device, op: 'write', value: valueOf('wios') },
    );
  }
  return { bytes, operations };
}

function pidsOf(directory: string | null): PidsUsage | null {
  const current = directory === null ? null : textOf(`${directory}/pids.current`);
  if (directory === null || current === null) return null;
  return { current: whole(current), limit: limitOf(textOf(`${directory}/pids.max`)) };
}

/** Where a controller has the cgroup; null where its hierarchy is mounted nowhere. */
function directoryOf(host: CgroupHost, controller: string, path: string): string | null {
  for (const [names, mountPoint] of host.mountPoints) {
    if (names.split(',').includes(controller)) return `${mountPoint}${path}`;
  }
  return null;
}

/** `key value` lines. */
function keyed(text: string | null): ReadonlyMap<string, bigint> {
  const found = new Map<string, bigint>();
  for (const line of (text ?? '').split('\n')) {
    const space = line.indexOf(' ');
    const value = line.slice(space + 1);
    if (space > 0 && /^\d+$/.test(value)) found.set(line.slice(0, space), BigInt(value));
  }
  return found;
}

function limitOf(text: string | null): bigint | null {
  return text === null || text.trim() === 'max' ? null : whole(text);
}

function whole(text: string | null): bigint {
  const digits = text?.trim() ?? '';
  return /^\d+$/.test(digits) ? BigInt(digits) : 0n;
}

/** The file's text, or null when there is none: the cgroup goes whenever its last process does. */
function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
