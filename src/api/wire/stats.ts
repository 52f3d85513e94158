/**
 * One document of `GET /containers/{id}/stats`: fields, order and what is left out when it is zero are those of dockerd
 * (20.10 on v1 hierarchies, 28 on v2). Counters are 64 bits wide and written exactly.
 */
import { formatTimestamp, ZERO_TIME_TEXT } from '../../base/clock.ts';
import type { BlockUsage, ContainerUsage, DeviceCounter, InterfaceCounters, MemoryUsage } from '../../engine/index.ts';

/** memory.stat as far as dockerd passes it on, of v1; most of them once for the group and once with all below. */
const LEGACY_OWN = [
  'cache',
  'rss',
  'rss_huge',
  'mapped_file',
  'dirty',
  'writeback',
  'pgpgin',
  'pgpgout',
  'pgfault',
  'pgmajfault',
  'inactive_anon',
  'active_anon',
  'inactive_file',
  'active_file',
  'unevictable',
];
const LEGACY_KEYS: readonly string[] = [
  ...LEGACY_OWN,
  ...LEGACY_OWN.map((key) => `total_${key}`),
  'hierarchical_memory_limit',
  'hierarchical_memsw_limit',
].toSorted();
/** The same of v2. */
const UNIFIED_KEYS: readonly string[] = [
  'active_anon',
  'active_file',
  'anon',
  'anon_thp',
  'file',
  'file_dirty',
  'file_mapped',
  'file_writeback',
  'inactive_anon',
  'inactive_file',
  'kernel_stack',
  'pgactivate',
  'pgdeactivate',
  'pgfault',
  'pglazyfree',
  'pglazyfreed',
  'pgmajfault',
  'pgrefill',
  'pgscan',
  'pgsteal',
  'shmem',
  'slab',
  'slab_reclaimable',
  'slab_unreclaimable',
  'sock',
  'thp_collapse_alloc',
  'thp_fault_alloc',
  'unevictable',
  'workingset_activate',
  'workingset_nodereclaim',
  'workingset_refault',
];
/** What Go's library says on v2 where there is no limit. */
const NO_LIMIT = 2n ** 64n - 1n;

type Fields = Readonly<Record<string, unknown>>;

/** Whose stats they are. */
export interface StatsOf {
  readonly id: string;
  /** Without slash. */
  readonly name: string;
}

/** The document's text; `current` null: nothing runs. `previous` null: the first one. */
export function statsText(
  { id, name }: StatsOf,
  current: ContainerUsage | null,
  previous: ContainerUsage | null,
): string {
  return JSON.stringify({
    read: timeOf(current),
    preread: timeOf(previous),
    pids_stats: pidsOf(current),
    blkio_stats: blockOf(current),
    num_procs: 0,
    storage_stats: {},
    cpu_stats: cpuOf(current),
    precpu_stats: cpuOf(previous),
    memory_stats: current === null ? {} : memoryOf(current),
    name: `/${name}`,
    id,
    ...networksOf(current?.networks ?? []),
  });
}

function timeOf(usage: ContainerUsage | null): string {
  return usage === null ? ZERO_TIME_TEXT : formatTimestamp(usage.readAt);
}

function pidsOf(usage: ContainerUsage | null): Fields {
  const pids = usage?.resources.pids ?? null;
  if (usage === null || pids === null) return {};
  const limit = pids.limit ?? (usage.resources.cgroupVersion === '2' ? NO_LIMIT : 0n);
  return { ...unlessZero('current', pids.current), ...unlessZero('limit', limit) };
}

function blockOf(usage: ContainerUsage | null): Fields {
  const block: BlockUsage = usage?.resources.block ?? { bytes: [], operations: [] };
  // An empty list of Go's is null where nobody made one.
  const isLegacy = usage?.resources.cgroupVersion === '1';
  const list = (counters: readonly DeviceCounter[]): unknown =>
    counters.length === 0 && !isLegacy ? null : counters.map(counterOf);
  return {
    io_service_bytes_recursive: list(block.bytes),
    io_serviced_recursive: list(isLegacy ? block.operations : []),
    io_queue_recursive: list([]),
    io_service_time_recursive: list([]),
    io_wait_time_recursive: list([]),
    io_merged_recursive: list([]),
    io_time_recursive: list([]),
    sectors_recursive: list([]),
  };
}

function counterOf({ major, minor, op, value }: DeviceCounter): Fields {
  return { major: exact(major), minor: exact(minor), op, value: exact(value) };
}

function cpuOf(usage: ContainerUsage | null): Fields {
  const cpu = usage?.resources.cpu;
  const perCpu = cpu?.perCpuNs ?? [];
  return {
    cpu_usage: {
      total_usage: exact(cpu?.totalNs ?? 0n),
      ...(perCpu.length === 0 ? {} : { percpu_usage: perCpu.map(exact) }),
      usage_in_kernelmode: exact(cpu?.systemNs ?? 0n),
      usage_in_usermode: exact(cpu?.userNs ?? 0n),
    },
    ...(usage === null
      ? {}
      : { ...unlessZero('system_cpu_usage', usage.host.totalNs), online_cpus: usage.host.onlineCpus }),
    throttling_data: {
      periods: exact(cpu?.periods ?? 0n),
      throttled_periods: exact(cpu?.throttledPeriods ?? 0n),
      throttled_time: exact(cpu?.throttledNs ?? 0n),
    },
  };
}

function memoryOf({ resources, hostMemoryBytes }: ContainerUsage): Fields {
  const { memory, cgroupVersion } = resources;
  if (memory === null) return {};
  const limit = memory.limitBytes === null || memory.limitBytes > hostMemoryBytes ? hostMemoryBytes : memory.limitBytes;
  return {
    ...unlessZero('usage', memory.currentBytes),
    ...unlessZero('max_usage', cgroupVersion === '1' ? (memory.peakBytes ?? 0n) : 0n),
    stats: detailsOf(memory, cgroupVersion === '1' ? LEGACY_KEYS : UNIFIED_KEYS),
    ...unlessZero('failcnt', memory.failures),
    ...unlessZero('limit', limit),
  };
}

function detailsOf({ details }: MemoryUsage, keys: readonly string[]): Fields {
  return Object.fromEntries(keys.map((key) => [key, exact(details.get(key) ?? 0n)]));
}

function networksOf(interfaces: readonly InterfaceCounters[]): Fields {
  if (interfaces.length === 0) return {};
  const byName = interfaces.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return { networks: Object.fromEntries(byName.map((one) => [one.name, trafficOf(one)])) };
}

function trafficOf(one: InterfaceCounters): Fields {
  return {
    rx_bytes: exact(one.receivedBytes),
    rx_packets: exact(one.receivedPackets),
    rx_errors: exact(one.receiveErrors),
    rx_dropped: exact(one.receiveDropped),
    tx_bytes: exact(one.sentBytes),
    tx_packets: exact(one.sentPackets),
    tx_errors: exact(one.sendErrors),
    tx_dropped: exact(one.sendDropped),
  };
}

/** Go's `omitempty`. */
function unlessZero(name: string, value: bigint): Fields {
  return value === 0n ? {} : { [name]: exact(value) };
}

/** JSON's numbers have any width; JavaScript's have 53 bits. */
function exact(value: bigint): unknown {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : rawJson(String(value));
}

/** `JSON.rawJSON`, which TypeScript's library does not name yet. */
const rawJson = (JSON as unknown as { readonly rawJSON: (text: string) => unknown }).rawJSON;
