import type { LinuxResources } from '../../oci/runtime-spec.ts';
import type { BlockDeviceLimits } from '../resources/block-devices.ts';
import type { Resources } from '../spec-types.ts';

/** Period the kernel uses by default, and Docker with `--cpus`. */
const DEFAULT_CPU_PERIOD_US = 100_000;
const NANO = 1_000_000_000;

/** Limits in the runtime-spec's words; what is not limited is left out. */
export function limitsOf(resources: Resources, blockDevices: BlockDeviceLimits = {}): LinuxResources {
  const memory = memoryOf(resources);
  const cpu = cpuOf(resources);
  const blockIO = { ...(resources.blkioWeight === 0 ? {} : { weight: resources.blkioWeight }), ...blockDevices };
  return {
    ...(Object.keys(memory).length === 0 ? {} : { memory }),
    ...(Object.keys(cpu).length === 0 ? {} : { cpu }),
    ...(resources.pidsLimit === null || resources.pidsLimit === 0 ? {} : { pids: { limit: resources.pidsLimit } }),
    ...(Object.keys(blockIO).length === 0 ? {} : { blockIO }),
  };
}

function memoryOf(resources: Resources): NonNullable<LinuxResources['memory']> {
  const limit = resources.memoryBytes;
  // Docker's rule: memory without a word on swap allows as much swap again.
  const swap = limit > 0 && resources.memorySwapBytes === 0 ? limit * 2 : resources.memorySwapBytes;
  return {
    ...(limit === 0 ? {} : { limit }),
    ...(resources.memoryReservationBytes === 0 ? {} : { reservation: resources.memoryReservationBytes }),
    ...(swap === 0 ? {} : { swap }),
    ...(resources.memorySwappiness === null || resources.memorySwappiness === -1
      ? {}
      : { swappiness: resources.memorySwappiness }),
    ...(resources.oomKillDisable ? { disableOOMKiller: true } : {}),
    ...optional('kernel', resources.kernelMemoryBytes),
    ...optional('kernelTCP', resources.kernelMemoryTcpBytes),
  };
}

function cpuOf(resources: Resources): NonNullable<LinuxResources['cpu']> {
  const byNano = resources.nanoCpus > 0;
  const period = byNano ? DEFAULT_CPU_PERIOD_US : resources.cpuPeriodUs;
  const quota = byNano ? Math.floor((resources.nanoCpus * DEFAULT_CPU_PERIOD_US) / NANO) : resources.cpuQuotaUs;
  return {
    ...(resources.cpuShares === 0 ? {} : { shares: resources.cpuShares }),
    ...(quota === 0 ? {} : { quota }),
    ...(period === 0 ? {} : { period }),
    ...optional('realtimePeriod', resources.cpuRealtimePeriodUs),
    ...optional('realtimeRuntime', resources.cpuRealtimeRuntimeUs),
    ...(resources.cpusetCpus === '' ? {} : { cpus: resources.cpusetCpus }),
    ...(resources.cpusetMems === '' ? {} : { mems: resources.cpusetMems }),
  };
}

function optional<K extends string>(name: K, value = 0): Partial<Record<K, number>> {
  return value === 0 ? {} : ({ [name]: value } as Partial<Record<K, number>>);
}
