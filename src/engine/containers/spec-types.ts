import type { JsonObject } from '../../base/json.ts';
import type { ChainId } from '../oci/digest.ts';
import type { HealthcheckConfig, Platform } from '../oci/image-spec.ts';
import type { ContainerPort, EndpointWish, NetworkMode, PortBinding } from '../network/types.ts';

/** Where a mount's content comes from. */
export type MountRequest =
  | {
      readonly kind: 'bind';
      readonly source: string;
      readonly target: string;
      readonly readOnly: boolean;
      /** `rprivate` when not given. */
      readonly propagation: string | null;
      /** Make a missing source directory, as `-v` does and `--mount` does not. */
      readonly createSource: boolean;
      readonly recursive: boolean;
      /** Present and true: the ids on the disk are those inside, in a container with a user namespace. */
      readonly idmap?: boolean;
      /** How far read-only reaches: `possible` (when absent), not below the `source`, or `all` of it or an error. */
      readonly readOnlyReach?: 'possible' | 'source' | 'all';
      /** Words as given (`ro,z`), echoed in `Mounts[].Mode`. */
      readonly mode: string;
    }
  | {
      readonly kind: 'volume';
      /** Null: an anonymous one. */
      readonly name: string | null;
      readonly target: string;
      readonly readOnly: boolean;
      /** Do not fill an empty volume with what the image has at the target. */
      readonly noCopy: boolean;
      readonly driver: string | null;
      readonly labels: Readonly<Record<string, string>>;
      readonly options: Readonly<Record<string, string>>;
      /** What inside the volume; absent or '': all of it. */
      readonly subpath?: string;
      readonly mode: string;
    }
  | {
      readonly kind: 'image';
      /** Reference or id; it is not pulled. */
      readonly image: string;
      readonly target: string;
      /** What inside the image; '': all of it. */
      readonly subpath: string;
      /** Present: this, whatever `image` says (steps of builds). */
      readonly tree?: MountedTree;
    }
  | {
      readonly kind: 'tmpfs';
      readonly target: string;
      /** Mount options in words: `size=64m`, `mode=1777`. */
      readonly options: readonly string[];
    };

/** A tree that a step of a build mounts; what it writes to it, where it may, goes with the container at the latest. */
export type MountedTree =
  | { readonly kind: 'layers'; readonly top: ChainId; readonly writable: boolean }
  /** A directory that is not written to, with what is written in another; all of one file system. */
  | { readonly kind: 'overlay'; readonly lower: string; readonly upper: string; readonly work: string };

/** When the engine starts an ended container again by itself. */
export interface RestartPolicy {
  readonly name: 'no' | 'always' | 'unless-stopped' | 'on-failure';
  /** Only with `on-failure`; 0 is without end. */
  readonly maximumRetryCount: number;
}

/** Limits; 0, null or empty: none. */
export interface Resources {
  readonly memoryBytes: number;
  readonly memoryReservationBytes: number;
  /** Memory plus swap; -1 unlimited. */
  readonly memorySwapBytes: number;
  readonly memorySwappiness: number | null;
  readonly oomKillDisable: boolean;
  readonly nanoCpus: number;
  readonly cpuShares: number;
  readonly cpuPeriodUs: number;
  readonly cpuQuotaUs: number;
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  readonly pidsLimit: number | null;
  readonly blkioWeight: number;
  /** Real-time scheduling, of the v1 `cpu` controller in kernels with RT_GROUP_SCHED. */
  readonly cpuRealtimePeriodUs?: number;
  readonly cpuRealtimeRuntimeUs?: number;
  /** Only on v1, and only in kernels that still know it. */
  readonly kernelMemoryBytes?: number;
  readonly kernelMemoryTcpBytes?: number;
  readonly blkioWeightDevices?: readonly BlockDeviceLimit[];
  readonly blkioReadBps?: readonly BlockDeviceLimit[];
  readonly blkioWriteBps?: readonly BlockDeviceLimit[];
  readonly blkioReadIops?: readonly BlockDeviceLimit[];
  readonly blkioWriteIops?: readonly BlockDeviceLimit[];
}

/** A weight or a rate for one block device, by its path on the host. */
export interface BlockDeviceLimit {
  readonly path: string;
  readonly value: number;
}

/** Docker's `DeviceRequest`: devices by what they are, or by their CDI names. */
export interface DriverDeviceRequest {
  /** '' lets the capabilities decide. */
  readonly driver: string;
  /** -1: all. */
  readonly count: number;
  readonly ids: readonly string[];
  /** Any of these sets of words. */
  readonly capabilities: readonly (readonly string[])[];
  readonly options: Readonly<Record<string, string>>;
}

/** Another container of the default bridge, by which names this one knows it. */
export interface ContainerLink {
  /** Name or id as given. */
  readonly ref: string;
  readonly alias: string;
}

/** One rlimit. */
export interface Ulimit {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}

/** A device to hand in. */
export interface DeviceRequest {
  readonly pathOnHost: string;
  readonly pathInContainer: string;
  /** Letters of `rwm`. */
  readonly permissions: string;
}

/** Whose namespace: its own, the host's, or another container's. */
export type NamespaceMode =
  | { readonly kind: 'private' }
  | { readonly kind: 'shareable' }
  | { readonly kind: 'host' }
  | { readonly kind: 'none' }
  | { readonly kind: 'container'; readonly ref: string };

/** How a container relates to its host. */
export interface HostOptions {
  readonly mounts: readonly MountRequest[];
  readonly volumesFrom: readonly string[];
  readonly network: NetworkMode;
  /** By the networks' names. That of the mode's network may be missing: nothing more is asked of it then. */
  readonly endpoints: Readonly<Record<string, EndpointWish>>;
  /** Present and true: it was disconnected from the network of its mode. */
  readonly leftOwnNetwork?: boolean;
  readonly portBindings: readonly PortBinding[];
  readonly publishAllPorts: boolean;
  readonly dns: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly dnsSearch: readonly string[];
  /** `name:ip`, also `name:host-gateway`. */
  readonly extraHosts: readonly string[];
  readonly restartPolicy: RestartPolicy;
  readonly autoRemove: boolean;
  readonly logDriver: string | null;
  readonly logOptions: Readonly<Record<string, string>>;
  readonly privileged: boolean;
  readonly capabilitiesAdd: readonly string[];
  readonly capabilitiesDrop: readonly string[];
  /** `seccomp=…`, `apparmor=…`, `no-new-privileges`, `label=…` as given. */
  readonly securityOptions: readonly string[];
  readonly readonlyRootfs: boolean;
  /** Null: Docker's default list. */
  readonly maskedPaths: readonly string[] | null;
  readonly readonlyPaths: readonly string[] | null;
  readonly resources: Resources;
  readonly ulimits: readonly Ulimit[];
  readonly sysctls: Readonly<Record<string, string>>;
  /** Target → options text. */
  readonly tmpfs: Readonly<Record<string, string>>;
  readonly shmSizeBytes: number | null;
  readonly devices: readonly DeviceRequest[];
  readonly deviceCgroupRules: readonly string[];
  readonly groupAdd: readonly string[];
  readonly ipcMode: NamespaceMode | null;
  readonly pidMode: NamespaceMode;
  readonly utsMode: NamespaceMode;
  readonly cgroupnsMode: NamespaceMode | null;
  /** `host`, `auto`, `auto:size=N`; '' or absent: as the daemon is told. */
  readonly usernsMode?: string;
  readonly cgroupParent: string;
  readonly runtime: string | null;
  readonly init: boolean | null;
  readonly oomScoreAdj: number;
  readonly annotations: Readonly<Record<string, string>>;
  readonly links?: readonly ContainerLink[];
  readonly deviceRequests?: readonly DriverDeviceRequest[];
  /** Options of the storage driver for the container's own layer (`size`). */
  readonly storageOptions?: Readonly<Record<string, string>>;
}

/** What a user asks for at create, before the image's defaults are filled in. */
export interface ContainerSpec {
  /** The reference as given. */
  readonly image: string;
  readonly platform: Platform | null;
  /** Null: the image's; `[]`: cleared (and the image's command with it). */
  readonly entrypoint: readonly string[] | null;
  readonly command: readonly string[] | null;
  readonly env: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly user: string;
  readonly workingDirectory: string;
  readonly hostname: string;
  readonly domainname: string;
  readonly macAddress: string | null;
  readonly terminal: boolean;
  readonly openStdin: boolean;
  readonly stdinOnce: boolean;
  readonly exposedPorts: readonly ContainerPort[];
  /** Targets of anonymous volumes. */
  readonly volumes: readonly string[];
  readonly stopSignal: string | null;
  readonly stopTimeoutSeconds: number | null;
  readonly healthcheck: HealthcheckConfig | null;
  /** What a health check of kind CMD-SHELL is run by; absent or null: `/bin/sh -c`. */
  readonly shell?: readonly string[] | null;
  readonly networkDisabled: boolean;
  /** Terminal size `[height, width]` to start with, or null. */
  readonly consoleSize: readonly [number, number] | null;
  readonly host: HostOptions;
}

/**
 * The front's own words of a create request (Docker's `Config`, `HostConfig`, `NetworkingConfig`), kept beside the spec
 * so that inspect echoes them exactly (`null` stays `null`, `[]` stays `[]`). The engine never reads it.
 */
export type FrontDocument = JsonObject;

/** What an update asks for. */
export interface ContainerUpdate {
  /** 0 and '' leave a limit as it is; of `pidsLimit` null does, and 0 takes it away. */
  readonly resources: Resources;
  /** Null leaves it. */
  readonly restartPolicy: RestartPolicy | null;
}
