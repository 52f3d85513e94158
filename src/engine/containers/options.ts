import type { Clock } from '../../base/clock.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { Logger } from '../../base/logger.ts';
import type { Events } from '../events/types.ts';
import type { Images } from '../images/types.ts';
import type { FileCalls } from '../kernel/files.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { LogDriver } from '../logging/driver.ts';
import type { LogShipping } from '../logging/shipping.ts';
import type { Networks } from '../network/types.ts';
import type { Platform } from '../oci/image-spec.ts';
import type { AppArmor } from '../runtime/apparmor.ts';
import type { CdiDevices } from '../runtime/cdi.ts';
import type { Monitor } from '../runtime/monitor.ts';
import type { OciRuntime } from '../runtime/runtime.ts';
import type { ProcessLister } from '../runtime/process-list.ts';
import type { UsageSource } from '../runtime/usage.ts';
import type { Units } from '../runtime/units.ts';
import type { SeccompService } from '../runtime/seccomp.ts';
import type { SecretSource } from '../secrets/types.ts';
import type { Database } from '../state/database.ts';
import type { StorageDriver } from '../storage/driver.ts';
import type { OtherStorage } from '../storage/others.ts';
import type { TreeCopier } from '../storage/copying.ts';
import type { LayerPacker } from '../storage/packing.ts';
import type { Volumes } from '../volumes/driver.ts';
import type { Ulimit } from './spec-types.ts';
import type { UsernsOptions } from './userns/choice.ts';

/** Everything the containers room works with. */
export interface ContainersDependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly kernel: Pick<Kernel, 'mounts' | 'userNamespaces'>;
  readonly files: Pick<
    FileCalls,
    'openBeneath' | 'openWithin' | 'mknod' | 'listXattrs' | 'getXattr' | 'setXattr' | 'setTimes'
  >;
  readonly storage: StorageDriver;
  /** Those that containers stood on before the driver was changed. */
  readonly otherStorage: OtherStorage;
  readonly images: Pick<Images, 'get' | 'find' | 'provide' | 'collectChain' | 'commit'>;
  readonly packer: Pick<LayerPacker, 'capture' | 'changes' | 'contents' | 'usage'>;
  readonly copier: TreeCopier;
  readonly networks: Pick<
    Networks,
    'validate' | 'prepare' | 'complete' | 'tearDown' | 'restore' | 'get' | 'connect' | 'disconnect' | 'renamed'
  >;
  readonly volumes: Pick<
    Volumes,
    'get' | 'list' | 'create' | 'remove' | 'hold' | 'release' | 'usersOf' | 'mount' | 'unmount' | 'settle'
  >;
  readonly secrets: SecretSource;
  readonly logDrivers: ReadonlyMap<string, LogDriver>;
  readonly logShipping: Pick<LogShipping, 'ship' | 'rotated' | 'end' | 'settled' | 'forget'>;
  readonly monitor: Monitor;
  readonly runtimes: ReadonlyMap<string, OciRuntime>;
  /** systemd's, where it is PID 1. */
  readonly units?: Pick<Units, 'limit'>;
  readonly seccomp: SeccompService;
  readonly apparmor: AppArmor;
  readonly cdi: CdiDevices;
  readonly usage: UsageSource;
  readonly processes: ProcessLister;
  readonly events: Pick<Events, 'publish' | 'written'>;
  readonly logger: Logger;
}

/** What the host can enforce; see `SystemInfo.limits`. */
export interface HostLimits {
  readonly memory: boolean;
  readonly swap: boolean;
  readonly memoryReservation: boolean;
  readonly kernelMemory: boolean;
  readonly kernelMemoryTcp: boolean;
  readonly cpuRealtime: boolean;
  readonly cpuCfs: boolean;
  readonly cpuShares: boolean;
  readonly cpuset: boolean;
  readonly pids: boolean;
  readonly oomKillDisable: boolean;
  readonly memorySwappiness: boolean;
  readonly blkioWeight: boolean;
  readonly blkioWeightDevice: boolean;
  readonly blkioReadBps: boolean;
  readonly blkioWriteBps: boolean;
  readonly blkioReadIops: boolean;
  readonly blkioWriteIops: boolean;
  readonly cgroupNamespaces: boolean;
  /** Processors and memory nodes that control groups can hand out, as `0-3,6`; '' where that is not known. */
  readonly cpus: string;
  readonly memoryNodes: string;
  readonly ipv4Forwarding: boolean;
}

/** What compose decides; never a configuration key. */
export interface ContainersOptions {
  /** `<data-root>/containers`: one directory a container (log, hosts, root mount point). */
  readonly containersRoot: string;
  /** `<exec-root>/containers`: bundles and shared memory; may be gone after a reboot. */
  readonly bundlesRoot: string;
  /** Where the host's SUSE credentials are looked for (`/`), or null where containers do not get them. */
  readonly hostCredentialsRoot: string | null;
  readonly defaultRuntime: string;
  readonly defaultLogDriver: string;
  readonly defaultLogOptions: Readonly<Record<string, string>>;
  readonly cgroup: {
    readonly version: '1' | '2';
    readonly driver: 'cgroupfs' | 'systemd';
    /** `/docker` for cgroupfs, `docker.slice` for systemd. */
    readonly parent: string;
  };
  readonly defaultShmSizeBytes: number;
  readonly defaultIpcMode: 'private' | 'shareable';
  readonly defaultCgroupnsMode: 'private' | 'host';
  readonly userns: UsernsOptions;
  readonly defaultUlimits: readonly Ulimit[];
  /** Init binary of the host, or null where there is none. */
  readonly initPath: string | null;
  /** Put an init into containers that do not say (`--init` of the daemon). */
  readonly initByDefault: boolean;
  /** Offer what Docker calls experimental: checkpoints. */
  readonly experimental: boolean;
  /** No new privileges for containers that do not say (`--no-new-privileges` of the daemon). */
  readonly noNewPrivilegesByDefault: boolean;
  /** How long a stop waits for containers that do not say. */
  readonly defaultStopTimeoutSeconds: number;
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  /** What `host-gateway` means; empty: the default bridge's own addresses. */
  readonly hostGatewayAddresses: readonly string[];
  /** The capabilities that the daemon itself may hand on (its bounding set), as the kernel numbers them. */
  readonly capabilityMask: bigint;
  readonly hostPlatform: Platform;
  readonly hostname: string;
  readonly cpuCount: number;
  readonly limits: HostLimits;
  /** Stop what runs when the daemon is told to end (Docker's way unless `live-restore`). */
  readonly stopContainersOnShutdown: boolean;
  /** How long a container may take then that is to be waited for without end (`--stop-timeout -1`). */
  readonly shutdownTimeoutSeconds: number;
}

/** Where a container's files are. */
export interface ContainerPaths {
  readonly directory: string;
  readonly rootfs: string;
  readonly hostname: string;
  readonly hosts: string;
  readonly resolvConf: string;
  readonly bundle: string;
  readonly config: string;
  readonly shm: string;
  /** Parts of volumes, and images, that are mounted into the container. */
  readonly mounts: string;
  readonly secrets: string;
  /** Keeps the user namespace from its making until the runtime has joined it. */
  readonly userns: string;
}

export function pathsOf(
  options: Pick<ContainersOptions, 'containersRoot' | 'bundlesRoot'>,
  id: ContainerId,
): ContainerPaths {
  const directory = `${options.containersRoot}/${id}`;
  const bundle = `${options.bundlesRoot}/${id}`;
  return {
    directory,
    rootfs: `${directory}/rootfs`,
    hostname: `${directory}/hostname`,
    hosts: `${directory}/hosts`,
    resolvConf: `${directory}/resolv.conf`,
    bundle,
    config: `${bundle}/config.json`,
    shm: `${bundle}/shm`,
    mounts: `${directory}/mounts`,
    secrets: `${bundle}/secrets`,
    userns: `${bundle}/userns`,
  };
}
