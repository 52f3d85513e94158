/**
 * Docker's rules on limits, in dockerd's order: what the host cannot enforce is taken out and said, what makes no sense
 * is refused. The texts are API. Pure.
 */
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { HostLimits } from '../options.ts';
import type { Resources } from '../spec-types.ts';

/** Below this a runtime cannot even start a process. */
const MIN_MEMORY_BYTES = 6 * 1024 * 1024;
const MIN_CFS_US = 1_000;
const MAX_CFS_PERIOD_US = 1_000_000;
const NANO = 1_000_000_000;
/** A kernel list such as `0-2,7`. */
const CPUSET = /^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$/;

/** What the host is like, as far as the rules ask. */
export interface ResourceHost {
  readonly limits: HostLimits;
  readonly cpuCount: number;
}

/** What is left of a request, with what the user must be told. */
export interface CheckedResources {
  readonly resources: Resources;
  readonly warnings: readonly string[];
}

/** InvalidArgumentError in Docker's words. With `update` the request changes limits that exist, of which it knows some. */
export function checkResources(
  asked: Resources,
  host: ResourceHost,
  { update }: { readonly update: boolean },
): CheckedResources {
  const request = new Request(asked);
  checkRealtime(request, host);
  checkMemory(request, host, update);
  checkPids(request, host);
  checkCpu(request, host);
  checkCpusets(request, host);
  checkBlockIo(request, host);
  return { resources: request.resources, warnings: request.warnings };
}

class Request {
  resources: Resources;
  readonly warnings: string[] = [];

  constructor(resources: Resources) {
    this.resources = resources;
  }

  drop(change: Partial<Resources>, warning: string): void {
    this.resources = { ...this.resources, ...change };
    this.warnings.push(`Your kernel does not support ${warning}`);
  }
}

function checkRealtime({ resources }: Request, { limits }: ResourceHost): void {
  const { cpuRealtimePeriodUs: period = 0, cpuRealtimeRuntimeUs: runtime = 0 } = resources;
  if ((period !== 0 || runtime !== 0) && !limits.cpuRealtime) {
    throw invalid('kernel does not support CPU real-time scheduler');
  }
  if (period !== 0 && runtime !== 0 && runtime > period) {
    throw invalid('cpu real-time runtime cannot be higher than cpu real-time period');
  }
}

function checkMemory(request: Request, { limits }: ResourceHost, update: boolean): void {
  const { memoryBytes: asked } = request.resources;
  if (asked !== 0 && asked < MIN_MEMORY_BYTES) throw invalid('Minimum memory limit allowed is 6MB');
  if (asked > 0 && !limits.memory) {
    request.drop(
      { memoryBytes: 0, memorySwapBytes: -1 },
      'memory limit capabilities or the cgroup is not mounted. Limitation discarded.',
    );
  }
  if (request.resources.memoryBytes > 0 && request.resources.memorySwapBytes !== -1 && !limits.swap) {
    request.drop(
      { memorySwapBytes: -1 },
      'swap limit capabilities or the cgroup is not mounted. Memory limited without swap.',
    );
  }
  const { memoryBytes: memory, memorySwapBytes: swap } = request.resources;
  if (memory > 0 && swap > 0 && swap < memory) {
    throw invalid('Minimum memoryswap limit should be larger than memory limit, see usage');
  }
  if (memory === 0 && swap > 0 && !update) {
    throw invalid('You should always set the Memory limit when using Memoryswap limit, see usage');
  }
  checkSwappiness(request, limits);
  checkReservation(request, limits);
  checkKernelMemory(request, limits);
  checkOomKiller(request, limits);
}

function checkSwappiness(request: Request, limits: HostLimits): void {
  if (request.resources.memorySwappiness !== null && !limits.memorySwappiness) {
    request.drop(
      { memorySwappiness: null },
      'memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.',
    );
  }
  const swappiness = request.resources.memorySwappiness;
  if (swappiness !== null && (swappiness < 0 || swappiness > 100)) {
    throw invalid(`Invalid value: ${String(swappiness)}, valid memory swappiness range is 0-100`);
  }
}

function checkReservation(request: Request, limits: HostLimits): void {
  if (request.resources.memoryReservationBytes > 0 && !limits.memoryReservation) {
    request.drop(
      { memoryReservationBytes: 0 },
      'memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.',
    );
  }
  const { memoryBytes: memory, memoryReservationBytes: reservation } = request.resources;
  if (reservation > 0 && reservation < MIN_MEMORY_BYTES) throw invalid('Minimum memory reservation allowed is 6MB');
  if (memory > 0 && reservation > 0 && memory < reservation) {
    throw invalid('Minimum memory limit can not be less than memory reservation limit, see usage');
  }
}

/** The kernel has given these limits up: nowhere on v2, and without effect on v1 since 5.4. */
function checkKernelMemory(request: Request, limits: HostLimits): void {
  const { kernelMemoryBytes: asked = 0, kernelMemoryTcpBytes: tcp = 0 } = request.resources;
  if (asked > 0 && !limits.kernelMemory) {
    request.drop(
      { kernelMemoryBytes: 0 },
      'kernel memory limit capabilities or the cgroup is not mounted. Limitation discarded.',
    );
  } else if (asked > 0 && asked < MIN_MEMORY_BYTES) {
    throw invalid('Minimum kernel memory limit allowed is 6MB');
  }
  if (tcp > 0 && !limits.kernelMemoryTcp) {
    request.drop(
      { kernelMemoryTcpBytes: 0 },
      'kernel memory TCP limit capabilities or the cgroup is not mounted. Limitation discarded.',
    );
  }
}

function checkOomKiller(request: Request, limits: HostLimits): void {
  if (request.resources.oomKillDisable && !limits.oomKillDisable) {
    request.drop({ oomKillDisable: false }, 'OomKillDisable. OomKillDisable discarded.');
  }
  const { oomKillDisable, memoryBytes } = request.resources;
  if (oomKillDisable && memoryBytes === 0) {
    request.warnings.push(
      'OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.',
    );
  }
}

function checkPids(request: Request, { limits }: ResourceHost): void {
  const { pidsLimit } = request.resources;
  if (pidsLimit === null || limits.pids) return;
  if (pidsLimit <= 0) request.resources = { ...request.resources, pidsLimit: null };
  else request.drop({ pidsLimit: null }, 'PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.');
}

function checkCpu(request: Request, { limits, cpuCount }: ResourceHost): void {
  const { nanoCpus, cpuPeriodUs, cpuQuotaUs } = request.resources;
  if (nanoCpus > 0) {
    if (cpuPeriodUs > 0) throw invalid('Conflicting options: Nano CPUs and CPU Period cannot both be set');
    if (cpuQuotaUs > 0) throw invalid('Conflicting options: Nano CPUs and CPU Quota cannot both be set');
    if (!limits.cpuCfs) {
      throw invalid(
        'NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted',
      );
    }
  }
  if (nanoCpus !== 0 && (nanoCpus < 0 || nanoCpus > cpuCount * NANO)) {
    throw invalid(
      `range of CPUs is from 0.01 to ${String(cpuCount)}.00, as there are only ${String(cpuCount)} CPUs available`,
    );
  }
  if (request.resources.cpuShares > 0 && !limits.cpuShares) {
    request.drop({ cpuShares: 0 }, 'CPU shares or the cgroup is not mounted. Shares discarded.');
  }
  if ((cpuPeriodUs !== 0 || cpuQuotaUs !== 0) && !limits.cpuCfs) {
    request.drop({ cpuPeriodUs: 0, cpuQuotaUs: 0 }, 'CPU CFS scheduler. CPU period/quota discarded.');
  }
  const { cpuPeriodUs: period, cpuQuotaUs: quota } = request.resources;
  if (period !== 0 && (period < MIN_CFS_US || period > MAX_CFS_PERIOD_US)) {
    throw invalid('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)');
  }
  if (quota > 0 && quota < MIN_CFS_US) throw invalid('CPU cfs quota can not be less than 1ms (i.e. 1000)');
}

function checkCpusets(request: Request, { limits }: ResourceHost): void {
  const { cpusetCpus, cpusetMems } = request.resources;
  if ((cpusetCpus !== '' || cpusetMems !== '') && !limits.cpuset) {
    request.drop({ cpusetCpus: '', cpusetMems: '' }, 'cpuset or the cgroup is not mounted. Cpuset discarded.');
  }
  checkCpuset(['cpus', 'CPUs'], request.resources.cpusetCpus, limits.cpus);
  checkCpuset(['mems', 'memory nodes'], request.resources.cpusetMems, limits.memoryNodes);
}

/** `available` is '' where the host does not say. */
function checkCpuset([name, plural]: readonly ['cpus' | 'mems', string], requested: string, available: string): void {
  if (requested === '') return;
  if (!CPUSET.test(requested)) {
    throw invalid(`Invalid value ${requested} for cpuset ${name}: invalid format: ${requested}`);
  }
  if (available === '') return;
  const there = new Set(numbersIn(available));
  if (!numbersIn(requested).every((number) => there.has(number))) {
    throw invalid(`Requested ${plural} are not available - requested ${requested}, available: ${available}`);
  }
}

function numbersIn(list: string): readonly number[] {
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
  });
}

function checkBlockIo(request: Request, { limits }: ResourceHost): void {
  if (request.resources.blkioWeight > 0 && !limits.blkioWeight) {
    request.drop({ blkioWeight: 0 }, 'Block I/O weight or the cgroup is not mounted. Weight discarded.');
  }
  const { blkioWeight: weight } = request.resources;
  if (weight !== 0 && (weight < 10 || weight > 1000)) throw invalid('Range of blkio weight is from 10 to 1000');
  const lists = [
    ['blkioWeightDevices', limits.blkioWeightDevice, 'weight_device', 'Weight-device'],
    ['blkioReadBps', limits.blkioReadBps, 'BPS Block I/O read limit', 'Block I/O BPS read limit'],
    ['blkioWriteBps', limits.blkioWriteBps, 'BPS Block I/O write limit', 'Block I/O BPS write limit'],
    ['blkioReadIops', limits.blkioReadIops, 'IOPS Block read limit', 'Block I/O IOPS read limit'],
    ['blkioWriteIops', limits.blkioWriteIops, 'IOPS Block write limit', 'Block I/O IOPS write limit'],
  ] as const;
  for (const [field, isSupported, what, discarded] of lists) {
    if (isSupported || (request.resources[field] ?? []).length === 0) continue;
    const said = field === 'blkioWeightDevices' ? `Block I/O ${what}` : what;
    request.drop({ [field]: [] }, `${said} or the cgroup is not mounted. ${discarded} discarded.`);
  }
}

function invalid(message: string): InvalidArgumentError {
  return new InvalidArgumentError(message);
}
