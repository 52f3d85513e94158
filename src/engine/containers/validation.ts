/** What can be said against a request without touching anything; Docker's words. */
import { InvalidArgumentError } from '../../base/errors.ts';
import { parseExtraHost } from './setup/files.ts';
import type { ContainersOptions } from './options.ts';
import { securityWishesOf } from './setup/security.ts';
import { parseSignal } from './signals.ts';
import { capabilitiesOf } from './spec/capabilities.ts';
import { parseDeviceRule } from './spec/devices.ts';
import type { ContainerSpec, RestartPolicy, Ulimit } from './spec-types.ts';

/** systemd.slice(5): each dash is a step down the tree, so there is none at an end and no two beside each other. */
const SLICE = /^[\w:.\\@]+(-[\w:.\\@]+)*\.slice$/;
const RLIMITS: ReadonlySet<string> = new Set(
  'as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(' '),
);

/** Throws InvalidArgumentError, in Docker's words, for what can never work. */
export function validateSpec(spec: ContainerSpec, options: ContainersOptions): void {
  validateProcess(spec);
  validateRestart(spec.host.restartPolicy, spec.host.autoRemove);
  validateSharing(spec);
  validateSecurity(spec, options);
  const { host } = spec;
  checkCgroupParent(host.cgroupParent, options.cgroup.driver);
  for (const line of host.extraHosts) {
    checkExtraHost(line);
  }
  if (Object.hasOwn(host.annotations, '')) {
    throw invalid('invalid Annotations: the empty string is not permitted as an annotation key');
  }
  for (const ulimit of host.ulimits) validateUlimit(ulimit);
  for (const rule of host.deviceCgroupRules) parseDeviceRule(rule);
  if (host.shmSizeBytes !== null && host.shmSizeBytes < 0) throw invalid('SHM size can not be less than 0');
  if (host.oomScoreAdj < -1000 || host.oomScoreAdj > 1000) {
    throw invalid(`Invalid value ${String(host.oomScoreAdj)}, range for oom score adj is [-1000, 1000]`);
  }
}

function checkExtraHost(line: string): void {
  if (parseExtraHost(line, ['127.0.0.1']).length > 0) return;
  const cut = line.search(/[:=]/);
  throw invalid(
    cut < 1
      ? `bad format for add-host: ${JSON.stringify(line)}`
      : `invalid IP address in add-host: ${JSON.stringify(line.slice(cut + 1))}`,
  );
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

/** InvalidArgumentError in Docker's words. */
export function validateRestart(policy: RestartPolicy, autoRemove: boolean): void {
  if (policy.maximumRetryCount !== 0 && policy.name !== 'on-failure') {
    const negative = policy.maximumRetryCount < 0 ? ' and cannot be negative' : '';
    throw invalid(`invalid restart policy: maximum retry count can only be used with 'on-failure'${negative}`);
  }
  if (policy.maximumRetryCount < 0) throw invalid('invalid restart policy: maximum retry count cannot be negative');
  if (autoRemove && policy.name !== 'no') throw invalid("can't create 'AutoRemove' container with restart policy");
}

const MAC_CONFLICT = 'conflicting options: mac-address and the network mode';

function linksConflict(type: 'host' | 'container'): string {
  const how = type === 'host' ? 'host type networking' : 'container type network';
  return `conflicting options: ${how} can't be used with links. This would result in undefined behavior`;
}

/** Options that contradict a shared namespace. */
function validateSharing(spec: ContainerSpec): void {
  const { host } = spec;
  if (host.utsMode.kind === 'host' && spec.hostname !== '') {
    throw invalid('conflicting options: hostname and the UTS mode');
  }
  const hasLinks = (host.links ?? []).length > 0;
  if (host.network.kind === 'host' && hasLinks) throw invalid(linksConflict('host'));
  if (host.network.kind === 'host' && spec.macAddress !== null) throw invalid(MAC_CONFLICT);
  if (host.network.kind !== 'container') return;
  if (spec.hostname !== '') throw invalid('conflicting options: hostname and the network mode');
  if (hasLinks) throw invalid(linksConflict('container'));
  if (host.dns.length > 0) throw invalid('conflicting options: dns and the network mode');
  if (host.extraHosts.length > 0) {
    throw invalid('conflicting options: custom host-to-IP mapping and the network mode');
  }
  if (spec.macAddress !== null) throw invalid(MAC_CONFLICT);
  if (host.portBindings.length > 0 || host.publishAllPorts) {
    throw invalid('conflicting options: port publishing and the container type network mode');
  }
  if (spec.exposedPorts.length > 0) {
    throw invalid('conflicting options: port exposing and the container type network mode');
  }
}

function validateSecurity(spec: ContainerSpec, { capabilityMask }: ContainersOptions): void {
  const { host } = spec;
  capabilitiesOf({
    privileged: host.privileged,
    add: host.capabilitiesAdd,
    drop: host.capabilitiesDrop,
    capabilityMask,
  });
  securityWishesOf(host.securityOptions);
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
