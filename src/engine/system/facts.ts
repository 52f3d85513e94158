import { readdir, readFile } from 'node:fs/promises';
import { cpus, hostname, machine, release, totalmem } from 'node:os';
import type { CdiDevices } from '../runtime/cdi.ts';
import { limitWarnings } from './limits.ts';
import type { SystemFacts, SystemInfo } from './types.ts';

/** What only the composition root knows: options, and answers of other rooms. */
export interface FactSources {
  /** Values that no request changes; asked anew each time, since a reload may. */
  readonly configured: () => Omit<
    SystemInfo,
    | 'hostname'
    | 'kernelVersion'
    | 'operatingSystem'
    | 'osVersion'
    | 'machine'
    | 'cpuCount'
    | 'memoryBytes'
    | 'limits'
    | 'cdiDirectories'
    | 'cdiDevices'
    | 'runtimeVersion'
    | 'monitorVersion'
    | 'fileDescriptorCount'
    | 'warnings'
    | 'storageStatus'
    | 'firewall'
  >;
  readonly storageStatus: () => SystemInfo['storageStatus'] | Promise<SystemInfo['storageStatus']>;
  readonly firewall: () => SystemInfo['firewall'];
  /** Asked anew each time: controllers and sysctls come and go. */
  readonly limits: () => Promise<SystemInfo['limits']>;
  /** CDI devices that are there now, and what is wrong with their descriptions. */
  readonly cdi: CdiDevices;
  /** Versions of the runtime and monitor programs; asked once, when first needed. */
  readonly versions: () => Promise<{ readonly runtime: string; readonly monitor: string }>;
  /** Warnings of the host's set-up that the composition root found (fallback runtime, vfs …). */
  readonly warnings: readonly string[];
  /** Those of what may change under the engine; asked each time. Absent: none. */
  readonly hostWarnings?: () => readonly string[];
}

/** Facts about engine and host for `docker info` and `docker version`. */
export function createSystemFacts(sources: FactSources): SystemFacts {
  return {
    async versions() {
      const { experimental, defaultRuntime } = sources.configured();
      const { runtime, monitor } = await sources.versions();
      return {
        machine: machine(),
        kernelVersion: release(),
        experimental,
        defaultRuntime,
        runtimeVersion: runtime,
        monitorVersion: monitor,
      };
    },
    async info() {
      const configured = sources.configured();
      const [release_, storageStatus, limits, cdi, versions, descriptors] = await Promise.all([
        osRelease(),
        sources.storageStatus(),
        sources.limits(),
        sources.cdi.list(),
        sources.versions(),
        readdir('/proc/self/fd').then((names) => names.length),
      ]);
      return {
        ...configured,
        hostname: hostname(),
        kernelVersion: release(),
        operatingSystem: release_.name,
        osVersion: release_.version,
        machine: machine(),
        cpuCount: cpus().length,
        memoryBytes: totalmem(),
        limits,
        cdiDirectories: sources.cdi.directories,
        cdiDevices: cdi.names,
        runtimeVersion: versions.runtime,
        monitorVersion: versions.monitor,
        fileDescriptorCount: descriptors,
        storageStatus,
        firewall: sources.firewall(),
        warnings: [
          ...limitWarnings(limits, configured.cgroupVersion),
          ...storageWarnings(configured.storageDriver, storageStatus),
          ...cdi.warnings,
          ...sources.warnings,
          ...(sources.hostWarnings?.() ?? []),
        ],
      };
    },
  };
}

/** dockerd's. */
function storageWarnings(driver: string, status: SystemInfo['storageStatus']): readonly string[] {
  if (!status.some(([name]) => name === 'Data loop file')) return [];
  return [
    `WARNING: ${driver}: usage of loopback devices is strongly discouraged for production use.\n` +
      '         Use `--storage-opt dm.thinpooldev` to specify a custom block storage device.',
  ];
}

async function osRelease(): Promise<{ readonly name: string; readonly version: string }> {
  // Loaded with the first `docker info`: nothing at start-up needs it.
  // By its default export, the only one that a bundled CommonJS package has.
  const { default: ini } = await import('ini');
  const values = ini.parse(await readText('/etc/os-release')) as Readonly<Record<string, string | undefined>>;
  return { name: values['PRETTY_NAME'] ?? 'Linux', version: values['VERSION_ID'] ?? '' };
}

/** The text of a small file of the kernel or of /etc; '' when it is not there. */
async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
