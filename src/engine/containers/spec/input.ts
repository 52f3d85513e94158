import type { IdMapping } from '../../oci/id-mapping.ts';
import type { Mount } from '../../oci/mount.ts';
import type { LinuxDevice, LinuxSeccomp } from '../../oci/runtime-spec.ts';
import type { BlockDeviceLimits } from '../resources/block-devices.ts';
import type { ContainerSpec } from '../spec-types.ts';

/** A user as looked up in the container's own /etc/passwd and /etc/group. */
export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** Home directory, for `HOME`; `/` when unknown. */
  readonly home: string;
}

/** A mount already resolved to host paths, in the order in which they are to be made. */
export interface ResolvedMount {
  readonly destination: string;
  readonly mount: Mount;
  /** Present and true: what lies there has the ids inside, and is mapped in a user namespace. */
  readonly mapped?: boolean;
}

/** A device node and what may be done with it. */
export interface DeviceGrant {
  readonly device: LinuxDevice;
  /** Letters of `rwm`. */
  readonly permissions: string;
}

/** Which namespace: one of its own (null), the host's, or the one at a path. */
export type NamespaceChoice = { readonly path: string } | 'host' | null;

/** The namespaces of a container. */
export interface ResolvedNamespaces {
  readonly network: NamespaceChoice;
  readonly ipc: NamespaceChoice;
  readonly pid: NamespaceChoice;
  readonly uts: NamespaceChoice;
  readonly cgroup: 'host' | null;
  /** Null: the host's. It is joined by its file; the runtime wants its ids as well. */
  readonly user: { readonly path: string; readonly mapping: IdMapping } | null;
}

/** Everything that the pure translation to a runtime-spec needs: spec with image defaults filled in, and resolved facts. */
export interface RuntimeSpecInput {
  readonly containerId: string;
  readonly spec: ContainerSpec;
  /** First word and arguments. */
  readonly args: readonly string[];
  readonly hostname: string;
  readonly rootfsPath: string;
  readonly user: ResolvedUser;
  readonly mounts: readonly ResolvedMount[];
  readonly namespaces: ResolvedNamespaces;
  readonly cgroupsPath: string;
  readonly cgroupVersion: '1' | '2';
  readonly hostnamePath: string;
  readonly hostsPath: string;
  readonly resolvConfPath: string;
  /** Host directory or tmpfs for /dev/shm of shared ipc; null: its own tmpfs. */
  readonly shmPath: string | null;
  /** `--ipc none`: nothing is shared, not even within. */
  readonly noIpc: boolean;
  readonly shmSizeBytes: number;
  /** What seccompFor gave; null: unconfined. */
  readonly seccomp: LinuxSeccomp | null;
  readonly annotations: Readonly<Record<string, string>>;
  /** AppArmor profile to use, or null where the host has no AppArmor. */
  readonly apparmorProfile: string | null;
  /** Daemon's default ulimits merged with the container's. */
  readonly defaultUlimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  /** The capabilities that the daemon itself may hand on (its bounding set), as the kernel numbers them. */
  readonly capabilityMask: bigint;
  readonly noNewPrivileges: boolean;
  /** Device nodes to put in (`--device`, or the host's when privileged), see devices.ts. */
  readonly devices: readonly DeviceGrant[];
  /** Limits of single block devices. */
  readonly blockDevices?: BlockDeviceLimits;
  /** Variables of linked containers, which the container's own override. */
  readonly linkEnvironment?: readonly string[];
  /** /sys/fs/cgroup may be written to (Docker's `writable-cgroups`); privileged containers always can. */
  readonly writableCgroups?: boolean;
  /** Host's init binary to put in as /sbin/docker-init, or null. */
  readonly initPath: string | null;
}
