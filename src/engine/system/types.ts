/** What the engine says of itself and its host; the front turns it into Docker's `/info` and `/version`. */
export interface SystemInfo {
  readonly engineId: string;
  readonly engineVersion: string;
  readonly hostname: string;
  readonly kernelVersion: string;
  readonly operatingSystem: string;
  readonly osVersion: string;
  /** uname's machine: `x86_64`. */
  readonly machine: string;
  readonly cpuCount: number;
  readonly memoryBytes: number;
  readonly storageDriver: string;
  readonly storageStatus: readonly (readonly [string, string])[];
  readonly dataRoot: string;
  readonly debug: boolean;
  readonly logDriver: string;
  /** All that can be chosen. */
  readonly logDrivers: readonly string[];
  readonly cgroupDriver: 'cgroupfs' | 'systemd';
  readonly cgroupVersion: '1' | '2';
  /** Which limits the host can enforce. */
  readonly limits: {
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
    readonly bridgeNfIptables: boolean;
    readonly bridgeNfIp6tables: boolean;
  };
  readonly defaultRuntime: string;
  readonly runtimes: Readonly<Record<string, { readonly path: string; readonly runtimeArgs: readonly string[] }>>;
  readonly runtimeVersion: string;
  readonly monitorVersion: string;
  readonly initBinary: string;
  /** Where descriptions of CDI devices are looked for. */
  readonly cdiDirectories: readonly string[];
  /** CDI devices of this host, by qualified name. */
  readonly cdiDevices: readonly string[];
  readonly securityOptions: readonly string[];
  readonly insecureRegistries: readonly string[];
  readonly registryMirrors: readonly string[];
  readonly labels: readonly string[];
  readonly experimental: boolean;
  readonly liveRestore: boolean;
  readonly httpProxy: string;
  readonly httpsProxy: string;
  readonly noProxy: string;
  readonly startedAt: string;
  readonly fileDescriptorCount: number;
  readonly firewall: FirewallFacts;
  readonly warnings: readonly string[];
}

/** The packet filter, and the host's manager of it. */
export interface FirewallFacts {
  readonly backend: 'nftables' | 'iptables' | 'none';
  readonly hasFirewalld: boolean;
  /** When firewalld has last made all rules anew, as far as the engine has heard; RFC 3339. */
  readonly reloadedAt: string | null;
  /** Zones that networks name and firewalld does not have. */
  readonly missingZones: readonly string[];
}

/** Facts about engine and host. */
export interface SystemFacts {
  info(): Promise<SystemInfo>;
  /** The few of them that `docker version` shows: clients ask for it before each command. */
  versions(): Promise<VersionFacts>;
}

export type VersionFacts = Pick<
  SystemInfo,
  'machine' | 'kernelVersion' | 'experimental' | 'defaultRuntime' | 'runtimeVersion' | 'monitorVersion'
>;
