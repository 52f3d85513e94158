/** `HostConfig` of inspect: what the client gave, with what dockerd fills in or takes out in its place. */
import type { JsonValue } from '../../base/json.ts';
import { DEFAULT_PATHS, type BlockDeviceLimit, type ContainerView, type Resources } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import { decodeAs, encodeAs } from './go-struct.ts';
import { HOST_CONFIG, type HostConfigDocument } from './host-config.ts';
import { linkText } from './links.ts';
import { givenNetworkModeText, namespaceModeText, networkNameOf } from './namespaces.ts';

const DEFAULT_SHM_BYTES = 64 * 1024 * 1024;

/** Names of containers by id; null for one that is gone. */
export type NameLookup = (id: string) => string | null;

export function hostConfigDocument(view: ContainerView, version: ApiVersion, nameOf: NameLookup): JsonValue {
  const given: HostConfigDocument = decodeAs(HOST_CONFIG, view.frontDocument?.['HostConfig'] ?? {});
  const { host } = view.spec;
  const isPrivileged = host.privileged;
  const merged: HostConfigDocument = {
    ...given,
    ...resourcesDocument(given, host.resources),
    NetworkMode: givenNetworkModeText(view),
    LogConfig: { Type: view.logDriver, Config: view.logOptions },
    RestartPolicy: { Name: host.restartPolicy.name, MaximumRetryCount: host.restartPolicy.maximumRetryCount },
    Links: linksDocument(view, nameOf),
    SecurityOpt: host.securityOptions.length === 0 ? (given.SecurityOpt ?? null) : host.securityOptions,
    IpcMode: namespaceModeText(view.ipcMode),
    ...(host.pidMode.kind === 'container' ? { PidMode: namespaceModeText(host.pidMode) } : {}),
    CgroupnsMode: namespaceModeText(view.cgroupnsMode),
    ShmSize: host.shmSizeBytes ?? DEFAULT_SHM_BYTES,
    Runtime: view.runtime,
    ConsoleSize: given.ConsoleSize ?? [0, 0],
    MaskedPaths: given.MaskedPaths ?? (isPrivileged ? null : DEFAULT_PATHS.masked),
    ReadonlyPaths: given.ReadonlyPaths ?? (isPrivileged ? null : DEFAULT_PATHS.readonly),
  };
  const document = { ...(encodeAs(HOST_CONFIG, merged) as Record<string, JsonValue>) };
  if (version.before('1.43')) delete document['Annotations'];
  return document;
}

/** Limits as they hold: after what the host could not enforce was taken out, and after updates. */
function resourcesDocument(given: HostConfigDocument, resources: Resources): HostConfigDocument {
  return {
    Memory: resources.memoryBytes,
    MemorySwap: resources.memorySwapBytes,
    MemoryReservation: resources.memoryReservationBytes,
    MemorySwappiness: resources.memorySwappiness,
    OomKillDisable: oomKillDisableOf(given, resources),
    KernelMemory: resources.kernelMemoryBytes ?? 0,
    KernelMemoryTCP: resources.kernelMemoryTcpBytes ?? 0,
    NanoCpus: resources.nanoCpus,
    CpuShares: resources.cpuShares,
    CpuPeriod: resources.cpuPeriodUs,
    CpuQuota: resources.cpuQuotaUs,
    CpuRealtimePeriod: resources.cpuRealtimePeriodUs ?? 0,
    CpuRealtimeRuntime: resources.cpuRealtimeRuntimeUs ?? 0,
    CpusetCpus: resources.cpusetCpus,
    CpusetMems: resources.cpusetMems,
    CpuPercent: 0,
    PidsLimit: resources.pidsLimit,
    BlkioWeight: resources.blkioWeight,
    BlkioWeightDevice: emptied(given.BlkioWeightDevice, resources.blkioWeightDevices),
    BlkioDeviceReadBps: emptied(given.BlkioDeviceReadBps, resources.blkioReadBps),
    BlkioDeviceWriteBps: emptied(given.BlkioDeviceWriteBps, resources.blkioWriteBps),
    BlkioDeviceReadIOps: emptied(given.BlkioDeviceReadIOps, resources.blkioReadIops),
    BlkioDeviceWriteIOps: emptied(given.BlkioDeviceWriteIOps, resources.blkioWriteIops),
  };
}

/** Null where nothing was said, and where the host cannot. */
function oomKillDisableOf({ OomKillDisable: given = null }: HostConfigDocument, resources: Resources): boolean | null {
  return given === true && !resources.oomKillDisable ? null : given;
}

/** As given, unless the host could not enforce it. */
function emptied<T>(
  given: readonly T[] | null | undefined,
  kept: readonly BlockDeviceLimit[] | undefined,
): readonly T[] | null {
  return (given ?? []).length > 0 && (kept ?? []).length === 0 ? [] : (given ?? null);
}

/** Of the default bridge; on users' networks they are the endpoint's. */
function linksDocument({ name, spec }: ContainerView, nameOf: NameLookup): readonly string[] | null {
  if (networkNameOf(spec.host.network) !== 'bridge') return null;
  const links = (spec.host.links ?? []).flatMap(({ ref, alias }) => {
    const target = nameOf(ref);
    return target === null ? [] : [linkText(target, name, alias)];
  });
  return links.length === 0 ? null : links.sort();
}
