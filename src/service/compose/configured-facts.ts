import { randomUUID } from 'node:crypto';
import { formatTimestamp } from '../../base/clock.ts';
import type { Config } from '../../config/config.ts';
import type { LogDriver } from '../../engine/logging/driver.ts';
import type { CgroupHost } from '../../engine/runtime/cgroups.ts';
import type { StorageDriver } from '../../engine/storage/driver.ts';
import type { FactSources } from '../../engine/system/facts.ts';
import { cgroupDriverOf, proxiesOf } from './engine-options.ts';
import { initProgram } from './programs.ts';
import type { Ground, LiveRuntimes } from './rooms.ts';

const ENGINE_ID_KEY = 'engine-id';
/** dockerd always trusts registries on this machine. */
const ALWAYS_INSECURE = ['::1/128', '127.0.0.0/8'];

/** What `docker info` says and no request changes; a reload may, so each call reads anew. */
export function configuredFacts(
  ground: Ground,
  cgroups: CgroupHost,
  runtimes: LiveRuntimes,
  storage: StorageDriver,
  logDrivers: readonly LogDriver[],
): FactSources['configured'] {
  const { config, version, dataRoot, clock } = ground;
  const constant = {
    engineId: engineId(ground),
    engineVersion: version,
    storageDriver: storage.name,
    dataRoot,
    logDrivers: logDrivers.map(({ name }) => name),
    cgroupDriver: cgroupDriverOf(config, cgroups.version),
    cgroupVersion: cgroups.version,
    startedAt: formatTimestamp(clock.now()),
  };
  return () => ({ ...constant, ...changeable(config, runtimes) });
}

function changeable(config: Config, runtimes: LiveRuntimes) {
  const proxies = proxiesOf(config);
  return {
    debug: config.get('debug'),
    logDriver: config.get('log-driver'),
    defaultRuntime: runtimes.defaultName,
    runtimes: Object.fromEntries(
      [...runtimes.byName].map(([name, { program }]) => [name, { path: program.path, runtimeArgs: [] }]),
    ),
    initBinary: initProgram(config.get('init-path')) ?? '',
    securityOptions: config.get('seccomp-profile') === 'unconfined' ? [] : ['name=seccomp,profile=builtin'],
    insecureRegistries: [...ALWAYS_INSECURE, ...config.get('insecure-registry')],
    registryMirrors: config.get('registry-mirror'),
    labels: config.get('label'),
    experimental: config.get('experimental'),
    liveRestore: config.get('live-restore'),
    httpProxy: proxies.http,
    httpsProxy: proxies.https,
    noProxy: proxies.none,
  };
}

/** Stays the same for the life of the data root. */
function engineId({ database }: Ground): string {
  database.run('INSERT OR IGNORE INTO fact VALUES (?, ?)', ENGINE_ID_KEY, randomUUID());
  return database.get('SELECT value FROM fact WHERE key = ?', ENGINE_ID_KEY)?.['value'] as string;
}
