/** The containers room with its options out of the configuration; see compose.ts. */
import { readFileSync } from 'node:fs';
import { cpus, hostname } from 'node:os';
import { join } from 'node:path';
import { InvalidArgumentError, messageOf } from '../../base/errors.ts';
import type { Config } from '../../config/config.ts';
import { createContainers, type EngineContainers } from '../../engine/containers/index.ts';
import { checkCgroupParent } from '../../engine/containers/validation.ts';
import type { Images } from '../../engine/images/types.ts';
import { LinuxFiles } from '../../engine/kernel/linux/files.ts';
import type { LogDriver } from '../../engine/logging/driver.ts';
import { jsonFileLogDriver } from '../../engine/logging/json-file/driver.ts';
import { createJournaldLogDriver } from '../../engine/logging/journald/driver.ts';
import { noneLogDriver } from '../../engine/logging/none/driver.ts';
import type { Networks } from '../../engine/network/types.ts';
import type { CgroupHost } from '../../engine/runtime/cgroups.ts';
import type { RuntimeChoice } from '../../engine/runtime/choice.ts';
import { knowsLogLabels } from '../../engine/runtime/conmon/command.ts';
import type { Monitor } from '../../engine/runtime/monitor.ts';
import { createSeccomp } from '../../engine/runtime/seccomp/index.ts';
import type { StorageDriver } from '../../engine/storage/driver.ts';
import type { SystemInfo } from '../../engine/system/types.ts';
import type { Volumes } from '../../engine/volumes/driver.ts';
import { cgroupDriverOf, defaultModesOf, hostPlatform, capabilityMask, ulimitsOf } from './engine-options.ts';
import { initProgram, requiredProgram } from './programs.ts';
import type { Ground } from './rooms.ts';

const DEFAULT_CGROUP_PARENTS = { cgroupfs: '/docker', systemd: 'docker.slice' } as const;

/** Every way to keep logs. */
export function openLogDrivers(): readonly LogDriver[] {
  const writesFields = knowsLogLabels(requiredProgram('conmon'));
  return [jsonFileLogDriver, createJournaldLogDriver({ file: jsonFileLogDriver, writesFields }), noneLogDriver];
}

/** The rooms below containers. */
export interface LowerRooms {
  readonly cgroups: CgroupHost;
  readonly runtime: RuntimeChoice;
  readonly storage: StorageDriver;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly images: Images;
  readonly monitor: Monitor;
  readonly limits: SystemInfo['limits'];
}

/** Opens the containers room; `recover` comes later, when its fronts' neighbours are in place. */
export function openContainers(ground: Ground, rooms: LowerRooms): EngineContainers {
  const { config, kernel, clock, events, logger, database, dataRoot, execRoot } = ground;
  const logDrivers = new Map(openLogDrivers().map((driver) => [driver.name, driver]));
  const defaultLogDriver = logDrivers.get(config.get('log-driver'));
  if (defaultLogDriver === undefined) {
    throw new InvalidArgumentError(`logger: no log driver named '${config.get('log-driver')}' is registered`);
  }
  defaultLogDriver.validate(config.get('log-opt'));
  const modes = defaultModesOf(config, rooms.cgroups.version);
  const cgroupDriver = cgroupDriverOf(config, rooms.cgroups.version);
  const parent = config.get('cgroup-parent');
  checkCgroupParent(parent, cgroupDriver);
  return createContainers(
    {
      db: database,
      clock,
      kernel,
      files: new LinuxFiles(),
      storage: rooms.storage,
      images: rooms.images,
      networks: rooms.networks,
      volumes: rooms.volumes,
      logDrivers,
      monitor: rooms.monitor,
      runtimes: rooms.runtime.runtimes,
      seccomp: createSeccomp({ kernel, cachePath: join(execRoot, 'seccomp'), defaultProfile: seccompProfile(config) }),
      events,
      logger,
    },
    {
      containersRoot: join(dataRoot, 'containers'),
      bundlesRoot: join(execRoot, 'containers'),
      defaultRuntime: rooms.runtime.defaultName,
      defaultLogDriver: defaultLogDriver.name,
      defaultLogOptions: config.get('log-opt'),
      cgroup: {
        version: rooms.cgroups.version,
        driver: cgroupDriver,
        parent: parent === '' ? DEFAULT_CGROUP_PARENTS[cgroupDriver] : parent,
      },
      defaultShmSizeBytes: config.get('default-shm-size'),
      defaultIpcMode: modes.ipc,
      defaultCgroupnsMode: modes.cgroupns,
      defaultUlimits: ulimitsOf(config),
      initPath: initProgram(config.get('init-path')),
      initByDefault: config.get('init'),
      dns: config.get('dns'),
      dnsSearch: config.get('dns-search'),
      dnsOptions: config.get('dns-opt'),
      hostGatewayAddress: config.get('host-gateway-ip') === '' ? null : config.get('host-gateway-ip'),
      // Loading Docker's AppArmor profile comes with the host service.
      apparmorProfile: null,
      capabilityMask: capabilityMask(),
      hostPlatform: hostPlatform(),
      hostname: hostname(),
      cpuCount: cpus().length,
      // The network room switches forwarding on before the first container can start.
      limits: { ...rooms.limits, ipv4Forwarding: rooms.limits.ipv4Forwarding || config.get('ip-forward') },
      stopContainersOnShutdown: !config.get('live-restore'),
      shutdownTimeoutSeconds: config.get('shutdown-timeout'),
    },
  );
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
