import type { ContainerId } from '../../base/ids.ts';
import { INFINITY } from '../runtime/units.ts';
import type { LinuxResources } from '../oci/runtime-spec.ts';

const PREFIX = 'org.systemd.property.';
const SECOND_US = 1_000_000;
const DEFAULT_CPU_PERIOD_US = 100_000;

/**
 * Annotations by which a runtime with the systemd driver sets properties of a container's scope. The runtime enforces
 * the limits by itself; some (crun 1.8, and both for memory on v1) do so behind systemd's back, and `systemctl show`
 * would know nothing of them. crun and runc both take a value as GVariant text: `uint64 N`, `'text'`.
 */
export function scopeAnnotations(
  containerName: string,
  { memory = {}, cpu = {}, pids }: Pick<LinuxResources, 'memory' | 'cpu' | 'pids'>,
): Readonly<Record<string, string>> {
  const { limit = 0, reservation = 0, swap = 0 } = memory;
  const { quota = 0, period = DEFAULT_CPU_PERIOD_US } = cpu;
  const numbers = {
    MemoryMax: limit,
    MemoryLow: reservation,
    // The runtime-spec counts memory and swap together, systemd apart: no swap at all is a limit, too.
    ...(limit > 0 && swap >= limit ? { MemorySwapMax: swap - limit } : {}),
    CPUQuotaPerSecUSec: quota > 0 ? Math.round((quota / period) * SECOND_US) : 0,
    CPUQuotaPeriodUSec: quota > 0 && period !== DEFAULT_CPU_PERIOD_US ? period : 0,
    TasksMax: pids?.limit ?? 0,
  };
  const limits = Object.entries(numbers).flatMap(([name, value]): readonly (readonly [string, string])[] =>
    value > 0 || name === 'MemorySwapMax' ? [[`${PREFIX}${name}`, `uint64 ${String(value)}`]] : [],
  );
  return { [`${PREFIX}Description`]: `'${scopeDescription(containerName)}'`, ...Object.fromEntries(limits) };
}

/** What an update changes in a container's scope: only what is named, and -1 is "without limit". */
export function scopeLimits({
  memory = {},
  cpu = {},
  pids,
}: Pick<LinuxResources, 'memory' | 'cpu' | 'pids'>): Readonly<Record<string, bigint>> {
  const { limit, reservation, swap } = memory;
  const { quota, period = DEFAULT_CPU_PERIOD_US } = cpu;
  const numbers = {
    MemoryMax: limit,
    MemoryLow: reservation,
    MemorySwapMax: swap === undefined || swap < 0 || limit === undefined ? swap : swap - limit,
    CPUQuotaPerSecUSec: quota === undefined || quota < 0 ? quota : Math.round((quota / period) * SECOND_US),
    CPUQuotaPeriodUSec: cpu.period,
    TasksMax: pids?.limit,
  };
  return Object.fromEntries(
    Object.entries(numbers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value < 0 ? INFINITY : BigInt(value)]],
    ),
  );
}

/** The unit that a runtime makes of `slice:docker:<id>`. */
export function scopeOf(id: ContainerId): string {
  return `docker-${id}.scope`;
}

/** What `systemctl status` calls a container's scope. */
export function scopeDescription(containerName: string): string {
  return `Docker container ${containerName}`;
}
