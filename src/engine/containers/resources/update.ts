/** What an update makes of limits that exist; dockerd's rules and words. Pure. */
import { ConflictError } from '../../../base/errors.ts';
import type { LinuxResources } from '../../oci/runtime-spec.ts';
import { limitsOf } from '../spec/resources.ts';
import type { Resources } from '../spec-types.ts';

/** Limits that an update can change; 0 and '' leave one as it is. */
const NUMBERS = [
  'blkioWeight',
  'cpuShares',
  'nanoCpus',
  'cpuPeriodUs',
  'cpuQuotaUs',
  'cpuRealtimePeriodUs',
  'cpuRealtimeRuntimeUs',
  'memoryBytes',
  'memorySwapBytes',
  'memoryReservationBytes',
  'kernelMemoryBytes',
  'kernelMemoryTcpBytes',
] as const;

/** Limits that had been without bound are told to a runtime so. */
const UNLIMITED = -1;

/** The limits after the update. `pidsLimit`: null leaves it, 0 takes it away. ConflictError for what does not go together. */
export function updatedResources(present: Resources, asked: Resources): Resources {
  const conflicts: readonly (readonly [boolean, string])[] = [
    [asked.nanoCpus > 0 && present.cpuPeriodUs > 0, 'Nano CPUs cannot be updated as CPU Period has already been set'],
    [asked.nanoCpus > 0 && present.cpuQuotaUs > 0, 'Nano CPUs cannot be updated as CPU Quota has already been set'],
    [asked.cpuPeriodUs > 0 && present.nanoCpus > 0, 'CPU Period cannot be updated as NanoCPUs has already been set'],
    [asked.cpuQuotaUs > 0 && present.nanoCpus > 0, 'CPU Quota cannot be updated as NanoCPUs has already been set'],
  ];
  const conflict = conflicts.find(([holds]) => holds);
  if (conflict !== undefined) throw new ConflictError(`Conflicting options: ${conflict[1]}`);
  // Also for one without a limit, whose swap limit is 0.
  if (asked.memoryBytes !== 0 && asked.memorySwapBytes === 0 && asked.memoryBytes > present.memorySwapBytes) {
    throw new ConflictError(
      'Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time',
    );
  }
  const numbers = Object.fromEntries(
    NUMBERS.flatMap((name) => ((asked[name] ?? 0) === 0 ? [] : [[name, asked[name]]])),
  );
  return {
    ...present,
    ...numbers,
    ...(asked.cpusetCpus === '' ? {} : { cpusetCpus: asked.cpusetCpus }),
    ...(asked.cpusetMems === '' ? {} : { cpusetMems: asked.cpusetMems }),
    ...(asked.pidsLimit === null ? {} : { pidsLimit: asked.pidsLimit > 0 ? asked.pidsLimit : null }),
  };
}

/**
 * What a running container's runtime is told: only what changes, since it writes all it is given; memory and swap
 * together, since the kernel's v2 knows swap alone and v1 wants the two in an order.
 */
export function changedLimits(asked: Resources, updated: Resources): LinuxResources {
  const concernsMemory = asked.memoryBytes !== 0 || asked.memorySwapBytes !== 0;
  const changes = limitsOf({
    ...asked,
    ...(concernsMemory ? { memoryBytes: updated.memoryBytes, memorySwapBytes: updated.memorySwapBytes } : {}),
    // Of a quota and its period the runtimes write both.
    ...(asked.cpuQuotaUs !== 0 || asked.cpuPeriodUs !== 0
      ? { cpuQuotaUs: updated.cpuQuotaUs, cpuPeriodUs: updated.cpuPeriodUs }
      : {}),
    pidsLimit: null,
  });
  return asked.pidsLimit === null
    ? changes
    : { ...changes, pids: { limit: asked.pidsLimit > 0 ? asked.pidsLimit : UNLIMITED } };
}
