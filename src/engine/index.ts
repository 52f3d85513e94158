/**
 * The engine's only door. Fronts (api, dbus) import from here and nowhere else below engine/.
 */
export type { Engine } from './engine.ts';
export { BuildFailure } from './build/failure.ts';
export type {
  BuildCacheEntry,
  BuildMessage,
  BuildRequest,
  Builds,
  BuildSink,
  CachePruneRequest,
  ContextSource,
  StepLimits,
} from './build/types.ts';
export type {
  AttachOptions,
  Attachment,
  ClientStreams,
  CommitOptions,
  ContainerChange,
  Containers,
  ContainerView,
  ExecSpec,
  ExecView,
  ExtractOptions,
  HealthView,
  LogsOptions,
  LogsView,
  MountPoint,
  ProbeResult,
  WaitCondition,
  WaitResult,
} from './containers/types.ts';
export type {
  BlockDeviceLimit,
  ContainerLink,
  ContainerUpdate,
  ContainerSpec,
  DeviceRequest,
  FrontDocument,
  HostOptions,
  MountRequest,
  NamespaceMode,
  Resources,
  RestartPolicy,
  Ulimit,
} from './containers/spec-types.ts';
export type { ContainerState, LastExit } from './containers/state.ts';
export type { ContainerUsage, UsagePair } from './containers/usage.ts';
export { DEFAULT_PATHS } from './containers/default-paths.ts';
export type { CheckProgress, StoreCheck, StoreFinding, StoreReport } from './check/types.ts';
export type { EngineEvent, Events, EventType } from './events/types.ts';
export type { ImageGc, ImageGcPreview, ImageGcReason, ImageGcResult, ImageGcVictim } from './gc/types.ts';
export type {
  ImageFilter,
  ImageHistoryRow,
  ImageRemoval,
  Images,
  ImageView,
  Progress,
  RemoteImage,
} from './images/types.ts';
export { EVERY_IMAGE, layerBytesOf, layerUsers, sharedBytesOf } from './images/types.ts';
export type { LogRecord } from './logging/driver.ts';
export { FIREWALL_ZONE } from './network/firewall-zone.ts';
export type { DomainWish, HostResolver } from './network/host-resolver.ts';
export type {
  ContainerPort,
  EndpointState,
  EndpointWish,
  IpamPool,
  IpamPoolRequest,
  NetworkMode,
  NetworkRequest,
  NetworkView,
  PortBinding,
  PortProtocol,
  PublishedPort,
} from './network/types.ts';
export type { HealthcheckConfig, ImageConfig, ImageRunConfig, Platform } from './oci/image-spec.ts';
export { goArchitecture, parsePlatform } from './oci/parse-platform.ts';
export type { OutputSink, OutputStream } from './oci/streams.ts';
export type { PathArchive, PathStat } from './storage/copying.ts';
export type { TreeChange } from './storage/packing.ts';
export type {
  CacheRules,
  Prune,
  PrunePreview,
  PruneRequest,
  PruneResult,
  PruneType,
  PruneVictim,
} from './prune/types.ts';
export { PRUNE_NOTHING } from './prune/types.ts';
export type { RegistryAuth, SearchResult } from './registry/client.ts';
export type {
  MissedRule,
  OverlapRule,
  RunOptions,
  RunResult,
  ScheduleDefinition,
  ScheduleEvent,
  ScheduleOperation,
  ScheduleOrigin,
  ScheduleRun,
  Schedules,
  ScheduleTiming,
  ScheduleView,
} from './schedules/types.ts';
export type { ProcessTable } from './runtime/process-list.ts';
export type { BlockUsage, CpuUsage, DeviceCounter, InterfaceCounters, MemoryUsage } from './runtime/usage.ts';
export type { Secrets, SecretView } from './secrets/types.ts';
export type { SystemFacts, SystemInfo, VersionFacts } from './system/types.ts';
export type { VolumeRecord, Volumes } from './volumes/driver.ts';
