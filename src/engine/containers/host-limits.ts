/** What the host cannot enforce is taken out of a request and said, in Docker's words; pure. */
import type { HostLimits } from './options.ts';
import type { Resources } from './spec-types.ts';

export function withinHostLimits(
  resources: Resources,
  limits: HostLimits,
): { readonly resources: Resources; readonly warnings: readonly string[] } {
  const warnings: string[] = [];
  let result = resources;
  const drop = (change: Partial<Resources>, warning: string): void => {
    result = { ...result, ...change };
    warnings.push(`Your kernel does not support ${warning}`);
  };
  if (resources.memoryBytes > 0 && !limits.memory) {
    drop(
      { memoryBytes: 0, memorySwapBytes: -1 },
      'memory limit capabilities or the cgroup is not mounted. Limitation discarded.',
    );
  } else if (resources.memoryBytes > 0 && resources.memorySwapBytes !== -1 && !limits.swap) {
    drop({ memorySwapBytes: -1 }, 'swap limit capabilities or the cgroup is not mounted. Memory limited without swap.');
  }
  if (resources.memoryReservationBytes > 0 && !limits.memory) {
    drop(
      { memoryReservationBytes: 0 },
      'memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.',
    );
  }
  const swappiness = resources.memorySwappiness;
  if (swappiness !== null && swappiness !== -1 && !limits.memorySwappiness) {
    drop(
      { memorySwappiness: null },
      'memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.',
    );
  }
  if (resources.oomKillDisable && !limits.oomKillDisable) {
    drop({ oomKillDisable: false }, 'OomKillDisable. OomKillDisable discarded.');
  }
  if (resources.blkioWeight > 0 && !limits.blkioWeight) {
    drop({ blkioWeight: 0 }, 'Block I/O weight or the cgroup is not mounted. Weight discarded.');
  }
  if (resources.pidsLimit !== null && resources.pidsLimit > 0 && !limits.pids) {
    drop({ pidsLimit: null }, 'PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.');
  }
  if (resources.cpuShares > 0 && !limits.cpuShares) {
    drop({ cpuShares: 0 }, 'CPU shares or the cgroup is not mounted. Shares discarded.');
  }
  if ((resources.cpuPeriodUs > 0 || resources.cpuQuotaUs > 0) && !limits.cpuCfs) {
    drop({ cpuPeriodUs: 0, cpuQuotaUs: 0 }, 'CPU CFS scheduler. CPU period/quota discarded.');
  }
  if ((resources.cpusetCpus !== '' || resources.cpusetMems !== '') && !limits.cpuset) {
    drop({ cpusetCpus: '', cpusetMems: '' }, 'cpuset or the cgroup is not mounted. Cpuset discarded.');
  }
  return { resources: result, warnings: [...warnings, ...adviceOn(result)] };
}

function adviceOn(resources: Resources): readonly string[] {
  return resources.oomKillDisable && resources.memoryBytes === 0
    ? [
        'OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.',
      ]
    : [];
}
