import { InvalidArgumentError } from '../../base/errors.ts';
import type {
  BlockDeviceLimit,
  DeviceRequest,
  EndpointWish,
  HostOptions,
  Resources,
  RestartPolicy,
} from '../../engine/index.ts';
import type { HostConfigDocument } from './host-config.ts';
import { parseLink } from './links.ts';
import { mountsOf } from './mounts.ts';
import { parseNamespaceMode, parseNetworkMode } from './namespaces.ts';
import { portBindingsOf } from './ports.ts';

const RESTART_NAMES = ['no', 'always', 'on-failure', 'unless-stopped'] as const;

/** HostConfig → the engine's words. What cannot be said in them was refused before (unsupported-options.ts). */
export function hostOptionsOf(
  host: HostConfigDocument,
  endpoints: Readonly<Record<string, EndpointWish>>,
): HostOptions {
  return {
    mounts: mountsOf(host),
    volumesFrom: host.VolumesFrom ?? [],
    network: parseNetworkMode(host.NetworkMode ?? ''),
    endpoints,
    portBindings: portBindingsOf(host),
    publishAllPorts: host.PublishAllPorts ?? false,
    dns: host.Dns ?? [],
    dnsOptions: host.DnsOptions ?? [],
    dnsSearch: host.DnsSearch ?? [],
    extraHosts: host.ExtraHosts ?? [],
    restartPolicy: restartPolicyOf(host),
    autoRemove: host.AutoRemove ?? false,
    logDriver: emptyToNull(host.LogConfig?.Type),
    logOptions: host.LogConfig?.Config ?? {},
    ...securityOf(host),
    ...namespacesOf(host),
    resources: resourcesOf(host),
    ulimits: (host.Ulimits ?? []).map(({ Name = '', Soft = 0, Hard = 0 }) => ({ name: Name, soft: Soft, hard: Hard })),
    sysctls: host.Sysctls ?? {},
    tmpfs: host.Tmpfs ?? {},
    shmSizeBytes: host.ShmSize === undefined || host.ShmSize === 0 ? null : host.ShmSize,
    devices: devicesOf(host),
    deviceCgroupRules: host.DeviceCgroupRules ?? [],
    groupAdd: host.GroupAdd ?? [],
    cgroupParent: host.CgroupParent ?? '',
    runtime: emptyToNull(host.Runtime),
    init: host.Init ?? null,
    oomScoreAdj: host.OomScoreAdj ?? 0,
    annotations: host.Annotations ?? {},
    links: (host.Links ?? []).map(parseLink),
    deviceRequests: (host.DeviceRequests ?? []).map((request) => ({
      driver: request.Driver ?? '',
      count: request.Count ?? 0,
      ids: request.DeviceIDs ?? [],
      capabilities: (request.Capabilities ?? []).map((words) => words ?? []),
      options: request.Options ?? {},
    })),
    storageOptions: host.StorageOpt ?? {},
  };
}

function securityOf(
  host: HostConfigDocument,
): Pick<
  HostOptions,
  | 'privileged'
  | 'capabilitiesAdd'
  | 'capabilitiesDrop'
  | 'securityOptions'
  | 'readonlyRootfs'
  | 'maskedPaths'
  | 'readonlyPaths'
> {
  return {
    privileged: host.Privileged ?? false,
    capabilitiesAdd: host.CapAdd ?? [],
    capabilitiesDrop: host.CapDrop ?? [],
    securityOptions: host.SecurityOpt ?? [],
    readonlyRootfs: host.ReadonlyRootfs ?? false,
    maskedPaths: host.MaskedPaths ?? null,
    readonlyPaths: host.ReadonlyPaths ?? null,
  };
}

function namespacesOf(
  host: HostConfigDocument,
): Pick<HostOptions, 'ipcMode' | 'pidMode' | 'utsMode' | 'cgroupnsMode' | 'usernsMode'> {
  return {
    ipcMode: parseNamespaceMode(host.IpcMode ?? '', 'IPC', ['private', 'shareable', 'host', 'none', 'container']),
    pidMode: parseNamespaceMode(host.PidMode ?? '', 'PID', ['host', 'container']) ?? { kind: 'private' },
    utsMode: parseNamespaceMode(host.UTSMode ?? '', 'UTS', ['host']) ?? { kind: 'private' },
    usernsMode: host.UsernsMode ?? '',
    cgroupnsMode: parseNamespaceMode(host.CgroupnsMode ?? '', 'cgroup namespace', ['private', 'host']),
  };
}

/** Limits of a create or update request; 0, '' and null: not said. */
export function resourcesOf(host: HostConfigDocument): Resources {
  const pids = host.PidsLimit ?? 0;
  const swappiness = host.MemorySwappiness ?? -1;
  return {
    memoryBytes: host.Memory ?? 0,
    memoryReservationBytes: host.MemoryReservation ?? 0,
    memorySwapBytes: host.MemorySwap ?? 0,
    // -1 is Docker's other word for "as the kernel has it".
    memorySwappiness: swappiness === -1 ? null : swappiness,
    oomKillDisable: host.OomKillDisable ?? false,
    nanoCpus: host.NanoCpus ?? 0,
    cpuShares: host.CpuShares ?? 0,
    cpuPeriodUs: host.CpuPeriod ?? 0,
    cpuQuotaUs: host.CpuQuota ?? 0,
    cpusetCpus: host.CpusetCpus ?? '',
    cpusetMems: host.CpusetMems ?? '',
    // 0 and negative: no limit.
    pidsLimit: pids > 0 ? pids : null,
    blkioWeight: host.BlkioWeight ?? 0,
    cpuRealtimePeriodUs: host.CpuRealtimePeriod ?? 0,
    cpuRealtimeRuntimeUs: host.CpuRealtimeRuntime ?? 0,
    kernelMemoryBytes: host.KernelMemory ?? 0,
    kernelMemoryTcpBytes: host.KernelMemoryTCP ?? 0,
    blkioWeightDevices: (host.BlkioWeightDevice ?? []).map(({ Path = '', Weight = 0 }) => ({
      path: Path,
      value: Weight,
    })),
    blkioReadBps: ratesOf(host.BlkioDeviceReadBps),
    blkioWriteBps: ratesOf(host.BlkioDeviceWriteBps),
    blkioReadIops: ratesOf(host.BlkioDeviceReadIOps),
    blkioWriteIops: ratesOf(host.BlkioDeviceWriteIOps),
  };
}

function ratesOf(devices: HostConfigDocument['BlkioDeviceReadBps']): readonly BlockDeviceLimit[] {
  return (devices ?? []).map(({ Path = '', Rate = 0 }) => ({ path: Path, value: Rate }));
}

/** InvalidArgumentError in Docker's words for a policy that there is not. */
export function restartPolicyOf(host: Pick<HostConfigDocument, 'RestartPolicy'>): RestartPolicy {
  const { Name: given = '', MaximumRetryCount: maximumRetryCount = 0 } = host.RestartPolicy ?? {};
  const name = RESTART_NAMES.find((known) => known === (given === '' ? 'no' : given));
  if (name === undefined) {
    throw new InvalidArgumentError(
      `invalid restart policy: unknown policy '${given}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  }
  return { name, maximumRetryCount };
}

function devicesOf(host: HostConfigDocument): readonly DeviceRequest[] {
  return (host.Devices ?? []).map((device) => ({
    pathOnHost: device.PathOnHost ?? '',
    pathInContainer: emptyToNull(device.PathInContainer) ?? device.PathOnHost ?? '',
    permissions: emptyToNull(device.CgroupPermissions) ?? 'rwm',
  }));
}

function emptyToNull(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : text;
}
