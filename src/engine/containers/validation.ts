/** What can be said against a request without touching anything; Docker's words. */
import { InvalidArgumentError, NotImplementedError } from '../../base/errors.ts';
import { parseExtraHost } from './files.ts';
import type { ContainersOptions } from './options.ts';
import { parseSignal } from './signals.ts';
import { capabilitiesOf } from './spec/capabilities.ts';
import { parseDeviceRule } from './spec/devices.ts';
import type { ContainerSpec, Resources, RestartPolicy, Ulimit } from './spec-types.ts';

/** Below this a runtime cannot even start a process. */
const MIN_MEMORY_BYTES = 6 * 1024 * 1024;
const MIN_CFS_US = 1_000;
const MAX_CFS_PERIOD_US = 1_000_000;
const NANO = 1_000_000_000;
/** A kernel list such as `0-2,7`. */
const CPUSET = /^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$/;
/** systemd.slice(5): each dash is a step down the tree, so there is none at an end and no two beside each other. */
const SLICE = /^[\w:.\\@]+(-[\w:.\\@]+)*\.slice$/;
const RLIMITS: ReadonlySet<string> = new Set(
  'as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(' '),
);

/** Throws InvalidArgumentError for what can never work, NotImplementedError for what this engine does not offer. */
export function validateSpec(spec: ContainerSpec, options: ContainersOptions): void {
  validateProcess(spec);
  validateRestart(spec.host.restartPolicy, spec.host.autoRemove);
  validateSharing(spec);
  validateResources(spec.host.resources, options);
  validateSecurity(spec, options);
  const { host } = spec;
  checkCgroupParent(host.cgroupParent, options.cgroup.driver);
  for (const line of host.extraHosts) {
    if (parseExtraHost(line, '127.0.0.1') === null) throw invalid(`bad format for add-host: "${line}"`);
  }
  for (const ulimit of host.ulimits) validateUlimit(ulimit);
  for (const rule of host.deviceCgroupRules) parseDeviceRule(rule);
  if (host.shmSizeBytes !== null && host.shmSizeBytes < 0) throw invalid('SHM size can not be less than 0');
  if (host.oomScoreAdj < -1000 || host.oomScoreAdj > 1000) {
    throw invalid(`Invalid value ${String(host.oomScoreAdj)}, range for oom score adj is [-1000, 1000]`);
  }
}

/** With the systemd driver a parent is a slice. InvalidArgumentError in Docker's words; '' is fine. */
export function checkCgroupParent(parent: string, driver: 'cgroupfs' | 'systemd'): void {
  if (parent === '' || driver === 'cgroupfs' || SLICE.test(parent)) return;
  throw invalid('cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"');
}

function validateProcess(spec: ContainerSpec): void {
  if (spec.workingDirectory !== '' && !spec.workingDirectory.startsWith('/')) {
    throw invalid(`the working directory '${spec.workingDirectory}' is invalid, it needs to be an absolute path`);
  }
  for (const line of spec.env) {
    if (line === '' || line.startsWith('=')) throw invalid(`invalid environment variable: ${line}`);
  }
  if (spec.stopSignal !== null) parseSignal(spec.stopSignal);
  if (spec.hostname.length > 64) throw invalid(`invalid hostname format: ${spec.hostname}`);
}

function validateRestart(policy: RestartPolicy, autoRemove: boolean): void {
  if (policy.maximumRetryCount !== 0 && policy.name !== 'on-failure') {
    const negative = policy.maximumRetryCount < 0 ? ' and cannot be negative' : '';
    throw invalid(`invalid restart policy: maximum retry count can only be used with 'on-failure'${negative}`);
  }
  if (policy.maximumRetryCount < 0) throw invalid('invalid restart policy: maximum retry count cannot be negative');
  if (autoRemove && policy.name !== 'no') throw invalid("can't create 'AutoRemove' container with restart policy");
}

/** Options that contradict a shared namespace. */
function validateSharing(spec: ContainerSpec): void {
  const { host } = spec;
  if (host.utsMode.kind === 'host' && spec.hostname !== '') {
    throw invalid('conflicting options: hostname and the UTS mode');
  }
  if (host.network.kind !== 'container') return;
  if (spec.hostname !== '') throw invalid('conflicting options: hostname and the network mode');
  if (host.dns.length > 0) throw invalid('conflicting options: dns and the network mode');
  if (host.extraHosts.length > 0) {
    throw invalid('conflicting options: custom host-to-IP mapping and the network mode');
  }
  if (host.portBindings.length > 0 || host.publishAllPorts) {
    throw invalid('conflicting options: port publishing and the container type network mode');
  }
}

function validateResources(resources: Resources, options: ContainersOptions): void {
  validateMemory(resources);
  validateCpu(resources, options);
  const weight = resources.blkioWeight;
  if (weight !== 0 && (weight < 10 || weight > 1000)) throw invalid('Range of blkio weight is from 10 to 1000');
}

function validateMemory(resources: Resources): void {
  const { memoryBytes: memory, memorySwapBytes: swap, memoryReservationBytes: reservation } = resources;
  if (memory !== 0 && memory < MIN_MEMORY_BYTES) throw invalid('Minimum memory limit allowed is 6MB');
  if (memory > 0 && swap > 0 && swap < memory) {
    throw invalid('Minimum memoryswap limit should be larger than memory limit, see usage');
  }
  if (memory === 0 && swap > 0) {
    throw invalid('You should always set the Memory limit when using Memoryswap limit, see usage');
  }
  const swappiness = resources.memorySwappiness;
  if (swappiness !== null && (swappiness < -1 || swappiness > 100)) {
    throw invalid(`Invalid value: ${String(swappiness)}, valid memory swappiness range is 0-100`);
  }
  if (reservation > 0 && reservation < MIN_MEMORY_BYTES) throw invalid('Minimum memory reservation allowed is 6MB');
  if (memory > 0 && reservation > 0 && memory < reservation) {
    throw invalid('Minimum memory limit can not be less than memory reservation limit, see usage');
  }
}

function validateCpu(resources: Resources, { cpuCount, limits }: ContainersOptions): void {
  const { nanoCpus, cpuPeriodUs: period, cpuQuotaUs: quota } = resources;
  if (nanoCpus !== 0) {
    if (period > 0) throw invalid('Conflicting options: Nano CPUs and CPU Period cannot both be set');
    if (quota > 0) throw invalid('Conflicting options: Nano CPUs and CPU Quota cannot both be set');
    if (!limits.cpuCfs) {
      throw invalid(
        'NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted',
      );
    }
    if (nanoCpus < 0 || nanoCpus > cpuCount * NANO) {
      throw invalid(
        `range of CPUs is from 0.01 to ${cpuCount.toFixed(2)}, as there are only ${String(cpuCount)} CPUs available`,
      );
    }
  }
  if (period !== 0 && (period < MIN_CFS_US || period > MAX_CFS_PERIOD_US)) {
    throw invalid('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)');
  }
  if (quota > 0 && quota < MIN_CFS_US) throw invalid('CPU cfs quota can not be less than 1ms (i.e. 1000)');
  validateCpuset(['cpus', 'CPUs'], resources.cpusetCpus, limits.cpus);
  validateCpuset(['mems', 'memory nodes'], resources.cpusetMems, limits.memoryNodes);
}

/** `available` is '' where the host does not say. */
function validateCpuset(
  [name, plural]: readonly ['cpus' | 'mems', string],
  requested: string,
  available: string,
): void {
  if (requested === '') return;
  if (!CPUSET.test(requested)) throw invalid(`Invalid value ${requested} for cpuset ${name}`);
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

function validateSecurity(spec: ContainerSpec, { capabilityMask }: ContainersOptions): void {
  const { host } = spec;
  capabilitiesOf({
    privileged: host.privileged,
    add: host.capabilitiesAdd,
    drop: host.capabilitiesDrop,
    capabilityMask,
  });
  for (const option of host.securityOptions) validateSecurityOption(option);
}

function validateSecurityOption(option: string): void {
  if (option === 'no-new-privileges' || option === 'disable') return;
  const [, key, value] = /^([^=:]+)[=:](.*)$/s.exec(option) ?? [];
  if (key === undefined || value === undefined) throw invalid(`invalid --security-opt 1: "${option}"`);
  switch (key) {
    case 'label':
    case 'apparmor':
    case 'seccomp':
      return;
    case 'no-new-privileges':
      if (!/^(1|t|true|0|f|false)$/i.test(value)) throw invalid(`invalid --security-opt 2: "${option}"`);
      return;
    case 'writable-cgroups':
      throw new NotImplementedError('--security-opt writable-cgroups is not supported by this engine');
    default:
      throw invalid(`invalid --security-opt 2: "${option}"`);
  }
}

function validateUlimit({ name, soft, hard }: Ulimit): void {
  if (!RLIMITS.has(name)) throw invalid(`invalid ulimit type: ${name}`);
  if (hard !== -1 && (soft > hard || soft === -1)) {
    throw invalid(`ulimit soft limit must be less than or equal to hard limit: ${String(soft)} > ${String(hard)}`);
  }
}

function invalid(message: string): InvalidArgumentError {
  return new InvalidArgumentError(message);
}
