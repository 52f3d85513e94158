import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../../src/base/errors.ts';
import type { HostLimits } from '../../../../../src/engine/containers/options.ts';
import { checkResources, type CheckedResources } from '../../../../../src/engine/containers/resources/rules.ts';
import type { Resources } from '../../../../../src/engine/containers/spec-types.ts';
import { exampleOptions } from '../../../../support/containers-fixture.ts';
import { exampleSpec } from '../../../../support/container-spec.ts';

const OPTIONS = exampleOptions('/nonexistent');
const MIB = 1024 * 1024;
const PLAIN = exampleSpec().host.resources;

const check = (change: Partial<Resources>, limits: Partial<HostLimits> = {}, update = false): CheckedResources =>
  checkResources({ ...PLAIN, ...change }, { ...OPTIONS, limits: { ...OPTIONS.limits, ...limits } }, { update });

describe('limits', () => {
  it.each<[string, Partial<Resources>]>([
    ['memory and swap', { memoryBytes: 64 * MIB, memorySwapBytes: 128 * MIB, memoryReservationBytes: 32 * MIB }],
    ['memory without bound for swap', { memoryBytes: 64 * MIB, memorySwapBytes: -1 }],
    ['processors', { nanoCpus: 1.5e9, cpusetCpus: '0-1', cpusetMems: '0' }],
    ['quota', { cpuPeriodUs: 100_000, cpuQuotaUs: 50_000 }],
    ['real-time scheduling', { cpuRealtimePeriodUs: 1_000_000, cpuRealtimeRuntimeUs: 950_000 }],
    ['kernel memory, where the kernel has it', { kernelMemoryBytes: 64 * MIB }],
  ])('%s are good', (_title, change) => {
    expect(check(change)).toEqual({ resources: { ...PLAIN, ...change }, warnings: [] });
  });

  it.each<[Partial<Resources>, string]>([
    [{ memoryBytes: 6 * MIB - 1 }, 'Minimum memory limit allowed is 6MB'],
    [
      { memoryBytes: 64 * MIB, memorySwapBytes: 32 * MIB },
      'Minimum memoryswap limit should be larger than memory limit, see usage',
    ],
    [{ memorySwapBytes: 32 * MIB }, 'You should always set the Memory limit when using Memoryswap limit, see usage'],
    [{ memorySwappiness: 101 }, 'Invalid value: 101, valid memory swappiness range is 0-100'],
    [{ memoryReservationBytes: 1 }, 'Minimum memory reservation allowed is 6MB'],
    [
      { memoryBytes: 32 * MIB, memoryReservationBytes: 64 * MIB },
      'Minimum memory limit can not be less than memory reservation limit, see usage',
    ],
    [{ nanoCpus: 1, cpuPeriodUs: 1000 }, 'Conflicting options: Nano CPUs and CPU Period cannot both be set'],
    [{ nanoCpus: 1, cpuQuotaUs: 1000 }, 'Conflicting options: Nano CPUs and CPU Quota cannot both be set'],
    [{ nanoCpus: 3e9 }, 'range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available'],
    [{ cpuPeriodUs: 999 }, 'CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)'],
    [{ cpuQuotaUs: 999 }, 'CPU cfs quota can not be less than 1ms (i.e. 1000)'],
    [{ cpusetCpus: '0-' }, 'Invalid value 0- for cpuset cpus: invalid format: 0-'],
    [{ cpusetMems: 'x' }, 'Invalid value x for cpuset mems'],
    [{ cpusetMems: '7' }, 'Requested memory nodes are not available - requested 7, available: 0'],
    [{ blkioWeight: 9 }, 'Range of blkio weight is from 10 to 1000'],
    [{ kernelMemoryBytes: 1 }, 'Minimum kernel memory limit allowed is 6MB'],
    [
      { cpuRealtimePeriodUs: 1000, cpuRealtimeRuntimeUs: 2000 },
      'cpu real-time runtime cannot be higher than cpu real-time period',
    ],
  ])('%j is refused', (change, message) => {
    expect(() => check(change)).toThrow(InvalidArgumentError);
    expect(() => check(change)).toThrow(message);
  });

  it('in an update may name swap alone: there is a memory limit already', () => {
    expect(check({ memorySwapBytes: 64 * MIB }, {}, true).warnings).toEqual([]);
  });

  it('on processors and on real-time scheduling need a kernel that can', () => {
    expect(() => check({ nanoCpus: 1e9 }, { cpuCfs: false })).toThrow(
      'NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted',
    );
    expect(() => check({ cpuRealtimeRuntimeUs: 1 }, { cpuRealtime: false })).toThrow(
      'kernel does not support CPU real-time scheduler',
    );
  });
});

describe('what the host cannot enforce', () => {
  const rate = [{ path: '/dev/sda', value: 1 }];
  const asked: Resources = {
    ...PLAIN,
    memoryBytes: 64 * MIB,
    memorySwapBytes: 128 * MIB,
    memoryReservationBytes: 32 * MIB,
    memorySwappiness: 10,
    kernelMemoryBytes: 64 * MIB,
    kernelMemoryTcpBytes: 64 * MIB,
    oomKillDisable: true,
    pidsLimit: 5,
    cpuShares: 5,
    cpuQuotaUs: 5000,
    cpusetCpus: '0',
    blkioWeight: 100,
    blkioWeightDevices: rate,
    blkioReadBps: rate,
    blkioWriteBps: rate,
    blkioReadIops: rate,
    blkioWriteIops: rate,
  };
  const whenWithout = (name: keyof HostLimits): CheckedResources => check(asked, { [name]: false });

  it('is nothing on a host that can', () => {
    expect(check(asked)).toEqual({ resources: asked, warnings: [] });
  });

  it.each([
    [
      'swap',
      { memorySwapBytes: -1 },
      'swap limit capabilities or the cgroup is not mounted. Memory limited without swap.',
    ],
    [
      'memoryReservation',
      { memoryReservationBytes: 0 },
      'memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.',
    ],
    [
      'memorySwappiness',
      { memorySwappiness: null },
      'memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.',
    ],
    [
      'kernelMemory',
      { kernelMemoryBytes: 0 },
      'kernel memory limit capabilities or the cgroup is not mounted. Limitation discarded.',
    ],
    [
      'kernelMemoryTcp',
      { kernelMemoryTcpBytes: 0 },
      'kernel memory TCP limit capabilities or the cgroup is not mounted. Limitation discarded.',
    ],
    ['oomKillDisable', { oomKillDisable: false }, 'OomKillDisable. OomKillDisable discarded.'],
    ['pids', { pidsLimit: null }, 'PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.'],
    ['cpuShares', { cpuShares: 0 }, 'CPU shares or the cgroup is not mounted. Shares discarded.'],
    ['cpuCfs', { cpuPeriodUs: 0, cpuQuotaUs: 0 }, 'CPU CFS scheduler. CPU period/quota discarded.'],
    ['cpuset', { cpusetCpus: '', cpusetMems: '' }, 'cpuset or the cgroup is not mounted. Cpuset discarded.'],
    ['blkioWeight', { blkioWeight: 0 }, 'Block I/O weight or the cgroup is not mounted. Weight discarded.'],
    [
      'blkioWeightDevice',
      { blkioWeightDevices: [] },
      'Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.',
    ],
    [
      'blkioReadBps',
      { blkioReadBps: [] },
      'BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.',
    ],
    [
      'blkioWriteBps',
      { blkioWriteBps: [] },
      'BPS Block I/O write limit or the cgroup is not mounted. Block I/O BPS write limit discarded.',
    ],
    [
      'blkioReadIops',
      { blkioReadIops: [] },
      'IOPS Block read limit or the cgroup is not mounted. Block I/O IOPS read limit discarded.',
    ],
    [
      'blkioWriteIops',
      { blkioWriteIops: [] },
      'IOPS Block write limit or the cgroup is not mounted. Block I/O IOPS write limit discarded.',
    ],
  ] as const)('%s is left out, and said', (name, change, warning) => {
    expect(whenWithout(name)).toEqual({
      resources: { ...asked, ...change },
      warnings: [`Your kernel does not support ${warning}`],
    });
  });

  it('memory takes swap along', () => {
    const { resources, warnings } = whenWithout('memory');
    expect(resources).toEqual({ ...asked, memoryBytes: 0, memorySwapBytes: -1 });
    expect(warnings[0]).toBe(
      'Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.',
    );
  });

  it('an OOM killer off without a limit is advised against', () => {
    expect(check({ oomKillDisable: true }).warnings).toEqual([
      expect.stringContaining('OOM killer is disabled for the container'),
    ]);
  });
});
