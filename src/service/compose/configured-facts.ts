import { formatTimestamp } from '../../base/clock.ts';
import type { Config } from '../../config/config.ts';
import { maskedProxy } from '../../config/masked.ts';
import type { LogDriver } from '../../engine/logging/driver.ts';
import type { AppArmor } from '../../engine/runtime/apparmor.ts';
import type { CgroupHost } from '../../engine/runtime/cgroups.ts';
import type { StorageDriver } from '../../engine/storage/driver.ts';
import type { FactSources } from '../../engine/system/facts.ts';
import { engineId } from './engine-id.ts';
import { cgroupDriverOf, proxiesOf } from './engine-options.ts';
import { initProgram } from './programs.ts';
import { hubMirrorsOf, insecureRegistriesOf } from './registry-facts.ts';
import type { Ground, LiveRuntimes } from './rooms.ts';
import { suseSecretsPolicy } from './suse-secrets.ts';

/** The rooms that are asked. */
export interface FactRooms {
  readonly cgroups: CgroupHost;
  readonly runtimes: LiveRuntimes;
  readonly storage: StorageDriver;
  readonly apparmor: AppArmor;
  /** True where `--userns-remap` is in force. */
  readonly isRemapped: boolean;
}

/** What `docker info` says and no request changes; a reload may, so each call reads anew. */
export function configuredFacts(
  ground: Ground,
  { cgroups, runtimes, storage, apparmor, isRemapped }: FactRooms,
  logDrivers: readonly LogDriver[],
): FactSources['configured'] {
  const { config, version, dataRoot, clock } = ground;
  const constant = {
    engineId: engineId(ground.database),
    engineVersion: version,
    storageDriver: storage.name,
    dataRoot,
    // As dockerd: what keeps nothing is no driver.
    logDrivers: logDrivers.flatMap(({ name }) => (name === 'none' ? [] : [name])).sort(),
    cgroupDriver: cgroupDriverOf(config, cgroups.version),
    cgroupVersion: cgroups.version,
    startedAt: formatTimestamp(clock.now()),
  };
  return () => ({
    ...constant,
    ...changeable(config, runtimes),
    securityOptions: securityOptionsOf(config, { cgroups, apparmor, isRemapped }),
  });
}

function changeable(config: Config, runtimes: LiveRuntimes) {
  const proxies = proxiesOf(config);
  return {
    debug: config.get('debug'),
    logDriver: config.get('log-driver'),
    defaultRuntime: runtimes.defaultName,
    runtimes: Object.fromEntries(
      [...runtimes.byName].map(([name, { program }]) => [
        name,
        { path: program.path, runtimeArgs: program.extraArguments ?? [] },
      ]),
    ),
    initBinary: initProgram(config.get('init-path')) ?? '',
    insecureRegistries: insecureRegistriesOf(config),
    registryMirrors: hubMirrorsOf(config),
    labels: config.get('label'),
    experimental: config.get('experimental'),
    liveRestore: config.get('live-restore'),
    httpProxy: maskedProxy(proxies.http),
    httpsProxy: maskedProxy(proxies.https),
    noProxy: proxies.none,
  };
}

/** What protects containers here, in Docker's words and order. */
function securityOptionsOf(
  config: Config,
  { cgroups, apparmor, isRemapped }: Pick<FactRooms, 'cgroups' | 'apparmor' | 'isRemapped'>,
): readonly string[] {
  const profile = config.get('seccomp-profile');
  return [
    ...(apparmor.isSupported ? ['name=apparmor'] : []),
    // A path stands there as it was configured, `unconfined` too.
    `name=seccomp,profile=${profile === '' ? 'builtin' : profile}`,
    ...(isRemapped ? ['name=userns'] : []),
    ...(cgroups.version === '2' ? ['name=cgroupns'] : []),
    ...(config.get('no-new-privileges') ? ['name=no-new-privileges'] : []),
    ...(suseSecretsPolicy(config).root === null ? [] : ['name=suse-secrets']),
  ];
}
