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
    readonly cpuCfs: boolean;
    readonly cpuShares: boolean;
    readonly cpuset: boolean;
    readonly pids: boolean;
    readonly oomKillDisable: boolean;
    readonly memorySwappiness: boolean;
    readonly blkioWeight: boolean;
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
  readonly warnings: readonly string[];
}

/** Facts about engine and host. */
export interface SystemFacts {
  info(): Promise<SystemInfo>;
}
