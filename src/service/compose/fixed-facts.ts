import { randomUUID } from 'node:crypto';
import { formatTimestamp } from '../../base/clock.ts';
import type { CgroupHost } from '../../engine/runtime/cgroups.ts';
import type { RuntimeChoice } from '../../engine/runtime/choice.ts';
import type { StorageDriver } from '../../engine/storage/driver.ts';
import type { FactSources } from '../../engine/system/facts.ts';
import { cgroupDriverOf, proxiesOf } from './engine-options.ts';
import { openLogDrivers } from './containers-room.ts';
import { initProgram } from './programs.ts';
import type { Ground } from './rooms.ts';

const ENGINE_ID_KEY = 'engine-id';
/** dockerd always trusts registries on this machine. */
const ALWAYS_INSECURE = ['::1/128', '127.0.0.0/8'];

/** What `docker info` says and no request changes. */
export function fixedFacts(
  ground: Ground,
  cgroups: CgroupHost,
  runtime: RuntimeChoice,
  storage: StorageDriver,
): FactSources['fixed'] {
  const { config, version, dataRoot, clock } = ground;
  const proxies = proxiesOf(config);
  return {
    engineId: engineId(ground),
    engineVersion: version,
    storageDriver: storage.name,
    dataRoot,
    debug: config.get('debug'),
    logDriver: config.get('log-driver'),
    logDrivers: openLogDrivers().map(({ name }) => name),
    cgroupDriver: cgroupDriverOf(config, cgroups.version),
    cgroupVersion: cgroups.version,
    defaultRuntime: runtime.defaultName,
    runtimes: Object.fromEntries(
      [...runtime.runtimes].map(([name, { program }]) => [name, { path: program.path, runtimeArgs: [] }]),
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
    startedAt: formatTimestamp(clock.now()),
  };
}

/** Stays the same for the life of the data root. */
function engineId({ database }: Ground): string {
  database.run('INSERT OR IGNORE INTO fact VALUES (?, ?)', ENGINE_ID_KEY, randomUUID());
  return database.get('SELECT value FROM fact WHERE key = ?', ENGINE_ID_KEY)?.['value'] as string;
}
