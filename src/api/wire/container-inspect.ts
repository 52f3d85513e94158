/** `GET /containers/{id}/json`. What the client gave is echoed as given; the rest is the engine's knowledge. */
import { formatTimestamp } from '../../base/clock.ts';
import { SHORT_ID_LENGTH } from '../../base/ids.ts';
import type { JsonValue } from '../../base/json.ts';
import { DEFAULT_PATHS, type ContainerView, type MountPoint, type NetworkMode } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import { CONTAINER_CONFIG, type ContainerConfig } from './container-config.ts';
import { networkSettingsDocument, type NetworkLookup } from './container-network.ts';
import { restartCountOf, stateDocument } from './container-state.ts';
import { decodeAs, encodeAs } from './go-struct.ts';
import { HOST_CONFIG, type HostConfigDocument } from './host-config.ts';
import { namespaceModeText } from './namespaces.ts';
import { portText } from './ports.ts';

export interface InspectFacts {
  readonly version: ApiVersion;
  readonly findNetwork: NetworkLookup;
  /** Words of `GraphDriver.Data`. */
  readonly storage: Readonly<Record<string, string>>;
  readonly sizes: { readonly writableBytes: number; readonly rootBytes: number } | null;
}

const DEFAULT_SHM_BYTES = 64 * 1024 * 1024;
export function inspectDocument(view: ContainerView, facts: InspectFacts): JsonValue {
  const { sizes, version } = facts;
  const dataWords = Object.entries(facts.storage);
  return {
    Id: view.id,
    Created: formatTimestamp(view.createdAt),
    Path: view.path,
    Args: view.args,
    State: { ...stateDocument(view.state) },
    Image: view.imageId,
    ResolvConfPath: view.resolvConfPath,
    HostnamePath: view.hostnamePath,
    HostsPath: view.hostsPath,
    LogPath: view.logPath ?? '',
    Name: `/${view.name}`,
    RestartCount: restartCountOf(view.state),
    Driver: view.storageDriver,
    Platform: 'linux',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: '',
    ExecIDs: view.execIds.length === 0 ? null : view.execIds,
    HostConfig: hostConfigDocument(view, version),
    GraphDriver: { Data: dataWords.length === 0 ? null : Object.fromEntries(dataWords), Name: view.storageDriver },
    ...(sizes === null ? {} : { SizeRw: sizes.writableBytes, SizeRootFs: sizes.rootBytes }),
    Mounts: view.mounts.map(mountPointDocument),
    Config: configDocument(view, version),
    NetworkSettings: networkSettingsDocument(view, facts.findNetwork, version),
  };
}

export function mountPointDocument(mount: MountPoint): JsonValue {
  return {
    Type: mount.kind,
    ...(mount.name === null ? {} : { Name: mount.name }),
    Source: mount.source,
    Destination: mount.destination,
    ...(mount.driver === null ? {} : { Driver: mount.driver }),
    Mode: mount.mode,
    RW: !mount.readOnly,
    Propagation: mount.propagation,
  };
}

/** The name in `HostConfig.NetworkMode`. */
export function networkModeText(mode: NetworkMode): string {
  switch (mode.kind) {
    case 'network':
      return mode.name;
    case 'container':
      return `container:${mode.ref}`;
    case 'host':
    case 'none':
      return mode.kind;
  }
}

function configDocument(view: ContainerView, version: ApiVersion): JsonValue {
  const given: ContainerConfig = decodeAs(CONTAINER_CONFIG, view.frontDocument?.['Config'] ?? {});
  const { spec } = view;
  const merged: ContainerConfig = {
    ...given,
    Hostname:
      spec.hostname === '' && spec.host.network.kind === 'network' ? view.id.slice(0, SHORT_ID_LENGTH) : spec.hostname,
    Domainname: spec.domainname,
    User: spec.user,
    Tty: spec.terminal,
    OpenStdin: spec.openStdin,
    StdinOnce: spec.stdinOnce,
    Image: spec.image,
    WorkingDir: spec.workingDirectory,
    // Labels are never null in a container, whatever was sent.
    Labels: spec.labels,
    Env: spec.env.length === 0 ? (given.Env ?? null) : spec.env,
    Cmd: spec.command ?? given.Cmd ?? null,
    Entrypoint: spec.entrypoint,
    StopSignal: spec.stopSignal ?? '',
    StopTimeout: spec.stopTimeoutSeconds,
    Healthcheck: spec.healthcheck === null ? null : withoutUndefined(spec.healthcheck),
    ExposedPorts: Object.fromEntries(spec.exposedPorts.map((port) => [portText(port), {}])),
    Volumes: spec.volumes.length === 0 ? null : Object.fromEntries(spec.volumes.map((v) => [v, {}])),
  };
  const document = { ...(encodeAs(CONTAINER_CONFIG, merged) as Record<string, JsonValue>) };
  // From 1.44 the MAC is the endpoint's.
  if (version.atLeast('1.44')) delete document['MacAddress'];
  return document;
}

/** The given document with dockerd's defaults put where the client left a choice to the engine. */
function hostConfigDocument(view: ContainerView, version: ApiVersion): JsonValue {
  const given: HostConfigDocument = decodeAs(HOST_CONFIG, view.frontDocument?.['HostConfig'] ?? {});
  const { host } = view.spec;
  const isPrivileged = host.privileged;
  const merged: HostConfigDocument = {
    ...given,
    NetworkMode: networkModeText(host.network),
    LogConfig: { Type: view.logDriver, Config: view.logOptions },
    RestartPolicy: { Name: host.restartPolicy.name, MaximumRetryCount: host.restartPolicy.maximumRetryCount },
    IpcMode: namespaceModeText(view.ipcMode),
    CgroupnsMode: namespaceModeText(view.cgroupnsMode),
    ShmSize: host.shmSizeBytes ?? DEFAULT_SHM_BYTES,
    Runtime: view.runtime,
    ConsoleSize: given.ConsoleSize ?? [0, 0],
    MemorySwap: memorySwapOf(given),
    MemorySwappiness: given.MemorySwappiness === -1 ? null : (given.MemorySwappiness ?? null),
    PidsLimit: (given.PidsLimit ?? 0) <= 0 ? null : (given.PidsLimit ?? null),
    MaskedPaths: given.MaskedPaths ?? (isPrivileged ? null : DEFAULT_PATHS.masked),
    ReadonlyPaths: given.ReadonlyPaths ?? (isPrivileged ? null : DEFAULT_PATHS.readonly),
  };
  const document = { ...(encodeAs(HOST_CONFIG, merged) as Record<string, JsonValue>) };
  if (version.before('1.43')) delete document['Annotations'];
  return document;
}

/** Docker's rule: memory without swap limit means as much swap again. */
function memorySwapOf({ Memory: memory = 0, MemorySwap: swap = 0 }: HostConfigDocument): number {
  return memory > 0 && swap === 0 ? memory * 2 : swap;
}

/** exactOptionalPropertyTypes: a copy without keys that are undefined. */
function withoutUndefined<T extends object>(value: T): { [K in keyof T]: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as {
    [K in keyof T]: NonNullable<T[K]>;
  };
}
