/**
 * The engine's only door. Fronts (api, dbus) import from here and nowhere else below engine/.
 */
export type { Engine } from './engine.ts';
export type {
  AttachOptions,
  Attachment,
  ClientStreams,
  ContainerChange,
  Containers,
  ContainerView,
  ExecSpec,
  ExecView,
  LogsOptions,
  LogsView,
  MountPoint,
  WaitCondition,
  WaitResult,
} from './containers/types.ts';
export type {
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
export { DEFAULT_PATHS } from './containers/default-paths.ts';
export type { EngineEvent, Events, EventType } from './events/types.ts';
export type { ImageFilter, ImageHistoryRow, ImageRemoval, Images, ImageView, Progress } from './images/types.ts';
export { EVERY_IMAGE, layerBytesOf } from './images/types.ts';
export type { LogRecord } from './logging/driver.ts';
export type {
  ContainerPort,
  EndpointState,
  EndpointWish,
  NetworkMode,
  NetworkView,
  PortBinding,
  PortProtocol,
  PublishedPort,
} from './network/types.ts';
export type { HealthcheckConfig, ImageConfig, ImageRunConfig, Platform } from './oci/image-spec.ts';
export type { OutputSink, OutputStream } from './oci/streams.ts';
export type { Prune, PrunePreview, PruneRequest, PruneResult, PruneType, PruneVictim } from './prune/types.ts';
export { PRUNE_NOTHING } from './prune/types.ts';
export type { RegistryAuth } from './registry/client.ts';
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
export type { SystemFacts, SystemInfo } from './system/types.ts';
export type { VolumeRecord, Volumes } from './volumes/driver.ts';
