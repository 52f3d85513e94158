/** `/version` and `/info`. */
import { formatTimestamp, type Timestamp } from '../../base/clock.ts';
import type { JsonObject, JsonValue } from '../../base/json.ts';
import type { ContainerView, SystemInfo, VersionFacts } from '../../engine/index.ts';
import { MAX_API_VERSION, MIN_API_VERSION, type ApiVersion } from '../compat/version.ts';
import type { BuildFacts } from '../context.ts';
import { goArchitecture } from './platform.ts';

/** Docker Hub's address, that clients look credentials up by. */
const INDEX_SERVER = 'https://index.docker.io/v1/';

/** Client's name of the product; Docker's own CLI prints it above the components. */
const PLATFORM_NAME = 'moored';

/** `GET /version`. */
export function versionDocument(info: VersionFacts, build: BuildFacts): JsonValue {
  const architecture = goArchitecture(info.machine);
  return {
    Platform: { Name: PLATFORM_NAME },
    Components: [
      {
        Name: 'Engine',
        Version: build.version,
        Details: {
          ApiVersion: MAX_API_VERSION,
          Arch: architecture,
          BuildTime: build.buildTime,
          Experimental: String(info.experimental),
          GitCommit: build.gitCommit,
          // The CLI prints this line whatever stands in it.
          GoVersion: `none (Node.js ${process.version})`,
          KernelVersion: info.kernelVersion,
          MinAPIVersion: MIN_API_VERSION,
          Os: 'linux',
        },
      },
      { Name: 'conmon', Version: info.monitorVersion, Details: { GitCommit: '' } },
      { Name: info.defaultRuntime, Version: info.runtimeVersion, Details: { GitCommit: '' } },
    ],
    Version: build.version,
    ApiVersion: MAX_API_VERSION,
    MinAPIVersion: MIN_API_VERSION,
    GitCommit: build.gitCommit,
    GoVersion: `none (Node.js ${process.version})`,
    Os: 'linux',
    Arch: architecture,
    KernelVersion: info.kernelVersion,
    BuildTime: build.buildTime,
  };
}

export interface InfoFacts {
  readonly containers: readonly ContainerView[];
  readonly imageCount: number;
  readonly eventFollowers: number;
  readonly now: Timestamp;
  readonly version: ApiVersion;
  readonly build: BuildFacts;
  readonly networkDrivers: readonly string[];
  readonly volumeDrivers: readonly string[];
}

/** `GET /info`. */
export function infoDocument(info: SystemInfo, facts: InfoFacts): JsonObject {
  return {
    ID: info.engineId,
    ...countsOf(facts),
    Driver: info.storageDriver,
    DriverStatus: info.storageStatus.length === 0 ? null : info.storageStatus,
    Plugins: {
      Volume: facts.volumeDrivers,
      Network: facts.networkDrivers,
      Authorization: null,
      Log: info.logDrivers,
    },
    ...limitsOf(info, facts.version),
    Debug: info.debug,
    NFd: info.fileDescriptorCount,
    NGoroutines: 0,
    SystemTime: formatTimestamp(facts.now),
    LoggingDriver: info.logDriver,
    CgroupDriver: info.cgroupDriver,
    CgroupVersion: info.cgroupVersion,
    NEventsListener: facts.eventFollowers,
    KernelVersion: info.kernelVersion,
    OperatingSystem: info.operatingSystem,
    OSVersion: info.osVersion,
    OSType: 'linux',
    Architecture: info.machine,
    IndexServerAddress: INDEX_SERVER,
    RegistryConfig: registryConfigOf(info, facts.version),
    NCPU: info.cpuCount,
    MemTotal: info.memoryBytes,
    GenericResources: null,
    DockerRootDir: info.dataRoot,
    HttpProxy: info.httpProxy,
    HttpsProxy: info.httpsProxy,
    NoProxy: info.noProxy,
    Name: info.hostname,
    Labels: info.labels,
    ExperimentalBuild: info.experimental,
    ServerVersion: facts.build.version,
    Runtimes: runtimesOf(info),
    DefaultRuntime: info.defaultRuntime,
    Swarm: SWARM_INACTIVE,
    LiveRestoreEnabled: info.liveRestore,
    Isolation: '',
    InitBinary: info.initBinary,
    ...commitsOf(info, facts.version),
    SecurityOptions: info.securityOptions,
    CDISpecDirs: info.cdiDirectories,
    ...(facts.version.atLeast('1.50') && info.cdiDevices.length > 0
      ? { DiscoveredDevices: info.cdiDevices.map((name) => ({ Source: 'cdi', ID: name })) }
      : {}),
    ...(facts.version.atLeast('1.49') && info.firewall.backend !== 'none'
      ? { FirewallBackend: firewallOf(info.firewall) }
      : {}),
    Warnings: info.warnings.length === 0 ? null : info.warnings,
  };
}

/** In the words of Docker 28. */
function firewallOf({ backend, hasFirewalld, reloadedAt }: SystemInfo['firewall']): JsonObject {
  return {
    Driver: hasFirewalld ? `${backend}+firewalld` : backend,
    ...(reloadedAt === null ? {} : { Info: [['ReloadedAt', reloadedAt]] }),
  };
}

const SWARM_INACTIVE = {
  NodeID: '',
  NodeAddr: '',
  LocalNodeState: 'inactive',
  ControlAvailable: false,
  Error: '',
  RemoteManagers: null,
};

function countsOf({ containers, imageCount }: InfoFacts): Record<string, JsonValue> {
  const count = (statuses: readonly string[]): number =>
    containers.filter(({ state }) => statuses.includes(state.status)).length;
  return {
    Containers: containers.length,
    ContainersRunning: count(['running', 'restarting']),
    ContainersPaused: count(['paused']),
    ContainersStopped: count(['created', 'exited', 'removing', 'dead']),
    Images: imageCount,
  };
}

function limitsOf({ limits }: SystemInfo, version: ApiVersion): Record<string, JsonValue> {
  return {
    MemoryLimit: limits.memory,
    SwapLimit: limits.swap,
    ...(version.before('1.42')
      ? { KernelMemory: limits.kernelMemory, KernelMemoryTCP: limits.kernelMemoryTcp }
      : limits.kernelMemoryTcp
        ? { KernelMemoryTCP: true }
        : {}),
    CpuCfsPeriod: limits.cpuCfs,
    CpuCfsQuota: limits.cpuCfs,
    CPUShares: limits.cpuShares,
    CPUSet: limits.cpuset,
    PidsLimit: limits.pids,
    IPv4Forwarding: limits.ipv4Forwarding,
    ...(version.before('1.50')
      ? { BridgeNfIptables: limits.bridgeNfIptables, BridgeNfIp6tables: limits.bridgeNfIp6tables }
      : {}),
    OomKillDisable: limits.oomKillDisable,
  };
}

/** Entries with a mask are networks, the others hosts with their own index entry, as dockerd sorts them. */
function registryConfigOf(info: SystemInfo, version: ApiVersion): JsonValue {
  const isNetwork = (entry: string): boolean => /\/\d+$/.test(entry);
  const hosts = info.insecureRegistries.filter((entry) => !isNetwork(entry));
  const indexes = [
    { Name: 'docker.io', Mirrors: info.registryMirrors, Secure: true, Official: true },
    ...hosts.map((host) => ({ Name: host, Mirrors: [], Secure: false, Official: false })),
  ].sort((a, b) => (a.Name < b.Name ? -1 : 1));
  return {
    ...(version.before('1.49')
      ? { AllowNondistributableArtifactsCIDRs: [], AllowNondistributableArtifactsHostnames: [] }
      : {}),
    InsecureRegistryCIDRs: info.insecureRegistries.filter(isNetwork),
    IndexConfigs: Object.fromEntries(indexes.map((index) => [index.Name, index])),
    Mirrors: info.registryMirrors,
  };
}

function runtimesOf({ runtimes }: SystemInfo): JsonValue {
  return Object.fromEntries(
    Object.entries(runtimes).map(([name, { path, runtimeArgs }]) => [
      name,
      { path, ...(runtimeArgs.length === 0 ? {} : { runtimeArgs }) },
    ]),
  );
}

/** What the CLI prints as `containerd version`, `runc version`, `init version`; `Expected` went with 1.49. */
function commitsOf(info: SystemInfo, version: ApiVersion): Record<string, JsonValue> {
  const commit = (id: string): JsonValue => ({ ID: id, ...(version.before('1.49') ? { Expected: id } : {}) });
  return {
    ContainerdCommit: commit(''),
    RuncCommit: commit(info.runtimeVersion),
    InitCommit: commit(''),
  };
}
