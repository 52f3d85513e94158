import { describe, expect, it } from 'vitest';
import { InvalidArgumentError, NotImplementedError } from '../../../../src/base/errors.ts';
import { withinHostLimits } from '../../../../src/engine/containers/host-limits.ts';
import type { ContainersOptions } from '../../../../src/engine/containers/options.ts';
import type { HostOptions, Resources } from '../../../../src/engine/containers/spec-types.ts';
import { validateSpec } from '../../../../src/engine/containers/validation.ts';
import { exampleOptions } from '../../../support/containers-fixture.ts';
import { exampleSpec, type SpecChange } from '../../../support/container-spec.ts';

const OPTIONS = exampleOptions('/nonexistent');
const MIB = 1024 * 1024;
const PLAIN = exampleSpec().host.resources;

const host = (change: Partial<HostOptions>): SpecChange => ({ host: change });
const limit = (change: Partial<Resources>): SpecChange => host({ resources: { ...PLAIN, ...change } });
const check = (change: SpecChange, options: Partial<ContainersOptions> = {}): void =>
  validateSpec(exampleSpec(change), { ...OPTIONS, ...options });
const shared = (change: Partial<HostOptions>): SpecChange =>
  host({ network: { kind: 'container', ref: 'other' }, ...change });
const port = { container: { port: 80, protocol: 'tcp' }, hostIp: '', hostPortStart: 0, hostPortEnd: 0 } as const;

describe('a request', () => {
  it.each<[string, SpecChange]>([
    ['plain', {}],
    ['memory and swap', limit({ memoryBytes: 64 * MIB, memorySwapBytes: 128 * MIB, memoryReservationBytes: 32 * MIB })],
    ['memory without bound for swap', limit({ memoryBytes: 64 * MIB, memorySwapBytes: -1 })],
    ['processors', limit({ nanoCpus: 1.5e9, cpusetCpus: '0-1', cpusetMems: '0' })],
    ['quota', limit({ cpuPeriodUs: 100_000, cpuQuotaUs: 50_000 })],
    [
      'security options',
      host({ securityOptions: ['no-new-privileges', 'seccomp=unconfined', 'label:disable', 'apparmor=x'] }),
    ],
    [
      'limits',
      host({
        ulimits: [
          { name: 'nofile', soft: 1, hard: 2 },
          { name: 'core', soft: -1, hard: -1 },
        ],
      }),
    ],
    ['retries', host({ restartPolicy: { name: 'on-failure', maximumRetryCount: 3 } })],
    ['extra hosts', host({ extraHosts: ['a:192.0.2.1', 'b:host-gateway'] })],
  ])('%s is good', (_title, change) => {
    expect(() => check(change)).not.toThrow();
  });

  it.each<[SpecChange, string]>([
    [{ workingDirectory: 'a' }, "the working directory 'a' is invalid, it needs to be an absolute path"],
    [{ env: [''] }, 'invalid environment variable: '],
    [{ env: ['=x'] }, 'invalid environment variable: =x'],
    [{ stopSignal: 'NOPE' }, 'invalid signal: NOPE'],
    [{ hostname: 'x'.repeat(65) }, 'invalid hostname format: '],
    [
      host({ restartPolicy: { name: 'always', maximumRetryCount: 1 } }),
      "invalid restart policy: maximum retry count can only be used with 'on-failure'",
    ],
    [
      host({ restartPolicy: { name: 'no', maximumRetryCount: -1 } }),
      "invalid restart policy: maximum retry count can only be used with 'on-failure' and cannot be negative",
    ],
    [
      host({ restartPolicy: { name: 'on-failure', maximumRetryCount: -1 } }),
      'invalid restart policy: maximum retry count cannot be negative',
    ],
    [
      host({ autoRemove: true, restartPolicy: { name: 'always', maximumRetryCount: 0 } }),
      "can't create 'AutoRemove' container with restart policy",
    ],
    [{ hostname: 'a', host: { utsMode: { kind: 'host' } } }, 'conflicting options: hostname and the UTS mode'],
    [{ hostname: 'a', ...shared({}) }, 'conflicting options: hostname and the network mode'],
    [shared({ dns: ['192.0.2.1'] }), 'conflicting options: dns and the network mode'],
    [shared({ extraHosts: ['a:192.0.2.1'] }), 'conflicting options: custom host-to-IP mapping and the network mode'],
    [shared({ publishAllPorts: true }), 'conflicting options: port publishing and the container type network mode'],
    [shared({ portBindings: [port] }), 'conflicting options: port publishing and the container type network mode'],
    [host({ extraHosts: ['a'] }), 'bad format for add-host: "a"'],
    [host({ ulimits: [{ name: 'nope', soft: 1, hard: 1 }] }), 'invalid ulimit type: nope'],
    [
      host({ ulimits: [{ name: 'nofile', soft: 2, hard: 1 }] }),
      'ulimit soft limit must be less than or equal to hard limit: 2 > 1',
    ],
    [host({ shmSizeBytes: -1 }), 'SHM size can not be less than 0'],
    [host({ oomScoreAdj: 1001 }), 'Invalid value 1001, range for oom score adj is [-1000, 1000]'],
    [host({ securityOptions: ['nope'] }), 'invalid --security-opt 1: "nope"'],
    [host({ securityOptions: ['nope=x'] }), 'invalid --security-opt 2: "nope=x"'],
    [host({ securityOptions: ['no-new-privileges=maybe'] }), 'invalid --security-opt 2: "no-new-privileges=maybe"'],
    [limit({ memoryBytes: 6 * MIB - 1 }), 'Minimum memory limit allowed is 6MB'],
    [
      limit({ memoryBytes: 64 * MIB, memorySwapBytes: 32 * MIB }),
      'Minimum memoryswap limit should be larger than memory limit, see usage',
    ],
    [
      limit({ memorySwapBytes: 32 * MIB }),
      'You should always set the Memory limit when using Memoryswap limit, see usage',
    ],
    [limit({ memorySwappiness: 101 }), 'Invalid value: 101, valid memory swappiness range is 0-100'],
    [limit({ memoryReservationBytes: 1 }), 'Minimum memory reservation allowed is 6MB'],
    [
      limit({ memoryBytes: 32 * MIB, memoryReservationBytes: 64 * MIB }),
      'Minimum memory limit can not be less than memory reservation limit, see usage',
    ],
    [limit({ nanoCpus: 1, cpuPeriodUs: 1000 }), 'Conflicting options: Nano CPUs and CPU Period cannot both be set'],
    [limit({ nanoCpus: 1, cpuQuotaUs: 1000 }), 'Conflicting options: Nano CPUs and CPU Quota cannot both be set'],
    [limit({ nanoCpus: 3e9 }), 'range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available'],
    [
      limit({ cpuPeriodUs: 999 }),
      'CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)',
    ],
    [limit({ cpuQuotaUs: 999 }), 'CPU cfs quota can not be less than 1ms (i.e. 1000)'],
    [limit({ cpusetCpus: '0-' }), 'Invalid value 0- for cpuset cpus'],
    [limit({ cpusetMems: 'x' }), 'Invalid value x for cpuset mems'],
    [limit({ cpusetMems: '7' }), 'Requested memory nodes are not available - requested 7, available: 0'],
    [limit({ blkioWeight: 9 }), 'Range of blkio weight is from 10 to 1000'],
  ])('%j is refused', (change, message) => {
    expect(() => check(change)).toThrow(InvalidArgumentError);
    expect(() => check(change)).toThrow(message);
  });

  it('for what this engine does not offer is told so', () => {
    expect(() => check(host({ securityOptions: ['writable-cgroups=true'] }))).toThrow(NotImplementedError);
  });

  it('for a share of processors needs a kernel that can', () => {
    expect(() => check(limit({ nanoCpus: 1e9 }), { limits: { ...OPTIONS.limits, cpuCfs: false } })).toThrow(
      'NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted',
    );
  });
});

describe('what the host cannot enforce', () => {
  const asked: Resources = {
    ...PLAIN,
    memoryBytes: 64 * MIB,
    memorySwapBytes: 128 * MIB,
    memoryReservationBytes: 32 * MIB,
    memorySwappiness: 10,
    oomKillDisable: true,
    pidsLimit: 5,
    cpuShares: 5,
    cpuQuotaUs: 5000,
    cpusetCpus: '0',
    blkioWeight: 100,
  };

  it('is nothing on a host that can', () => {
    expect(withinHostLimits(asked, OPTIONS.limits)).toEqual({ resources: asked, warnings: [] });
  });

  it.each([
    ['memory', { memoryBytes: 0, memorySwapBytes: -1, memoryReservationBytes: 0 }, 3],
    ['swap', { memorySwapBytes: -1 }, 1],
    ['memorySwappiness', { memorySwappiness: null }, 1],
    ['oomKillDisable', { oomKillDisable: false }, 1],
    ['pids', { pidsLimit: null }, 1],
    ['cpuShares', { cpuShares: 0 }, 1],
    ['cpuCfs', { cpuPeriodUs: 0, cpuQuotaUs: 0 }, 1],
    ['cpuset', { cpusetCpus: '', cpusetMems: '' }, 1],
    ['blkioWeight', { blkioWeight: 0 }, 1],
  ] as const)('%s is left out, and said', (name, change, warnings) => {
    const result = withinHostLimits(asked, { ...OPTIONS.limits, [name]: false });
    expect(result.resources).toEqual({ ...asked, ...change });
    expect(result.warnings).toHaveLength(warnings);
    expect(result.warnings[0]).toMatch(/^Your kernel does not support /);
  });

  it('an OOM killer off without a limit is advised against', () => {
    const { warnings } = withinHostLimits({ ...PLAIN, oomKillDisable: true }, OPTIONS.limits);
    expect(warnings).toEqual([expect.stringContaining('OOM killer is disabled for the container')]);
  });
});
