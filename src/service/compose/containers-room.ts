/** The containers room with its options out of the configuration; see compose.ts. */
import { readFileSync } from 'node:fs';
import { cpus, hostname, totalmem } from 'node:os';
import { join } from 'node:path';
import { InvalidArgumentError, messageOf } from '../../base/errors.ts';
import type { Config } from '../../config/config.ts';
import { createContainers, type EngineContainers } from '../../engine/containers/index.ts';
import type { ContainersOptions } from '../../engine/containers/options.ts';
import { checkCgroupParent } from '../../engine/containers/validation.ts';
import type { Images } from '../../engine/images/types.ts';
import { LinuxFiles } from '../../engine/kernel/linux/files.ts';
import type { LogDriver } from '../../engine/logging/driver.ts';
import { fluentdLogDriver } from '../../engine/logging/fluentd/driver.ts';
import { gelfLogDriver } from '../../engine/logging/gelf/driver.ts';
import { jsonFileLogDriver } from '../../engine/logging/json-file/driver.ts';
import { createJournaldLogDriver } from '../../engine/logging/journald/driver.ts';
import { localLogDriver } from '../../engine/logging/local/driver.ts';
import { noneLogDriver } from '../../engine/logging/none/driver.ts';
import type { LogShipping } from '../../engine/logging/shipping.ts';
import { syslogLogDriver } from '../../engine/logging/syslog/driver.ts';
import type { Networks } from '../../engine/network/types.ts';
import type { AppArmor } from '../../engine/runtime/apparmor.ts';
import type { CdiDevices } from '../../engine/runtime/cdi.ts';
import type { CgroupHost } from '../../engine/runtime/cgroups.ts';
import { knowsLogLabels } from '../../engine/runtime/conmon/command.ts';
import type { Monitor } from '../../engine/runtime/monitor.ts';
import { grantRealtime } from '../../engine/runtime/realtime.ts';
import { createSeccomp } from '../../engine/runtime/seccomp/index.ts';
import { createProcessLister } from '../../engine/runtime/process-list.ts';
import { createUsageSource } from '../../engine/runtime/usage.ts';
import type { SecretSource } from '../../engine/secrets/types.ts';
import type { Units } from '../../engine/runtime/units.ts';
import type { StorageDriver } from '../../engine/storage/driver.ts';
import type { OtherStorage } from '../../engine/storage/others.ts';
import type { TreeCopier } from '../../engine/storage/copying.ts';
import type { LayerPacker } from '../../engine/storage/packing.ts';
import type { SystemInfo } from '../../engine/system/types.ts';
import type { Volumes } from '../../engine/volumes/driver.ts';
import { cgroupDriverOf, defaultModesOf, capabilityMask, ulimitsOf } from './engine-options.ts';
import { bestPlatform } from './host-platform.ts';
import { initProgram, requiredProgram } from './programs.ts';
import type { Ground, LiveRuntimes } from './rooms.ts';
import { suseSecretsPolicy } from './suse-secrets.ts';

const DEFAULT_CGROUP_PARENTS = { cgroupfs: '/docker', systemd: 'docker.slice' } as const;

/** Every way to keep logs. */
export function openLogDrivers(): readonly LogDriver[] {
  const writesFields = knowsLogLabels(requiredProgram('conmon'));
  return [
    jsonFileLogDriver,
    localLogDriver,
    createJournaldLogDriver({ writesFields }),
    syslogLogDriver,
    gelfLogDriver,
    fluentdLogDriver,
    noneLogDriver,
  ];
}

/** The rooms below containers. */
export interface LowerRooms {
  readonly cgroups: CgroupHost;
  readonly runtimes: LiveRuntimes;
  readonly logDrivers: ReadonlyMap<string, LogDriver>;
  readonly logShipping: LogShipping;
  readonly storage: StorageDriver;
  readonly otherStorage: OtherStorage;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly images: Images;
  readonly secrets: SecretSource;
  readonly packer: LayerPacker;
  readonly copier: TreeCopier;
  readonly monitor: Monitor;
  readonly limits: SystemInfo['limits'];
  readonly userns: ContainersOptions['userns'];
  readonly apparmor: AppArmor;
  readonly units?: Units;
  readonly cdi: CdiDevices;
}

/** Opens the containers room; `recover` comes later, when its fronts' neighbours are in place. */
export function openContainers(ground: Ground, rooms: LowerRooms): EngineContainers {
  const { config, kernel, clock, events, logger, database, dataRoot, execRoot } = ground;
  const cgroupDriver = cgroupDriverOf(config, rooms.cgroups.version);
  const parent = config.get('cgroup-parent');
  checkCgroupParent(parent, cgroupDriver);
  const place = { driver: cgroupDriver, parent: parent === '' ? DEFAULT_CGROUP_PARENTS[cgroupDriver] : parent };
  grantRealtime(rooms.cgroups, place, {
    periodUs: config.get('cpu-rt-period'),
    runtimeUs: config.get('cpu-rt-runtime'),
  });
  return createContainers(
    {
      db: database,
      clock,
      kernel,
      files: new LinuxFiles(),
      storage: rooms.storage,
      otherStorage: rooms.otherStorage,
      images: rooms.images,
      packer: rooms.packer,
      copier: rooms.copier,
      networks: rooms.networks,
      volumes: rooms.volumes,
      secrets: rooms.secrets,
      logDrivers: rooms.logDrivers,
      logShipping: rooms.logShipping,
      monitor: rooms.monitor,
      runtimes: rooms.runtimes.byName,
      apparmor: rooms.apparmor,
      ...(rooms.units === undefined ? {} : { units: rooms.units }),
      cdi: rooms.cdi,
      seccomp: createSeccomp({ kernel, cachePath: join(execRoot, 'seccomp'), defaultProfile: seccompProfile(config) }),
      processes: createProcessLister(rooms.cgroups, kernel.processes),
      usage: createUsageSource(rooms.cgroups, BigInt(totalmem())),
      events,
      logger,
    },
    {
      ...changeableOptions(config, rooms, rooms.runtimes.defaultName),
      containersRoot: join(dataRoot, 'containers'),
      bundlesRoot: join(execRoot, 'containers'),
      cgroup: { version: rooms.cgroups.version, ...place },
      userns: rooms.userns,
      initPath: initProgram(config.get('init-path')),
      capabilityMask: capabilityMask(),
      hostPlatform: bestPlatform(),
      hostname: hostname(),
      cpuCount: cpus().length,
      // The network room switches forwarding on before the first container can start.
      limits: { ...rooms.limits, ipv4Forwarding: rooms.limits.ipv4Forwarding || config.get('ip-forward') },
    },
  );
}

/** What stays as the daemon started. */
type FixedOptions = Pick<
  ContainersOptions,
  | 'containersRoot'
  | 'bundlesRoot'
  | 'cgroup'
  | 'initPath'
  | 'capabilityMask'
  | 'hostPlatform'
  | 'hostname'
  | 'cpuCount'
  | 'limits'
  | 'userns'
>;

/** The options that a reload can change. InvalidArgumentError in Docker's words. */
export function changeableOptions(
  config: Config,
  { cgroups, logDrivers }: Pick<LowerRooms, 'cgroups' | 'logDrivers'>,
  defaultRuntime: string,
): Omit<ContainersOptions, keyof FixedOptions> {
  const logDriver = logDrivers.get(config.get('log-driver'));
  if (logDriver === undefined) {
    throw new InvalidArgumentError(`logger: no log driver named '${config.get('log-driver')}' is registered`);
  }
  logDriver.validate(config.get('log-opt'));
  const modes = defaultModesOf(config, cgroups.version);
  return {
    defaultRuntime,
    hostCredentialsRoot: suseSecretsPolicy(config).root,
    defaultLogDriver: logDriver.name,
    defaultLogOptions: config.get('log-opt'),
    defaultShmSizeBytes: config.get('default-shm-size'),
    defaultIpcMode: modes.ipc,
    defaultCgroupnsMode: modes.cgroupns,
    defaultUlimits: ulimitsOf(config),
    defaultStopTimeoutSeconds: config.get('default-stop-timeout'),
    initByDefault: config.get('init'),
    experimental: config.get('experimental'),
    noNewPrivilegesByDefault: config.get('no-new-privileges'),
    dns: config.get('dns'),
    dnsSearch: config.get('dns-search'),
    dnsOptions: config.get('dns-opt'),
    hostGatewayAddresses: config.get('host-gateway-ip'),
    stopContainersOnShutdown: !config.get('live-restore'),
    shutdownTimeoutSeconds: config.get('shutdown-timeout'),
  };
}

/** Text of `--seccomp-profile`, `unconfined`, or null for the built-in one. */
function seccompProfile(config: Config): string | null {
  const named = config.get('seccomp-profile');
  if (named === '' || named === 'builtin') return null;
  if (named === 'unconfined') return named;
  try {
    return readFileSync(named, 'utf8');
  } catch (error) {
    throw new InvalidArgumentError(`opening seccomp profile (${named}) failed: ${messageOf(error)}`, { cause: error });
  }
}
