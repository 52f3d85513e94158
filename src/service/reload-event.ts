import type { Config } from '../config/config.ts';
import type { SystemInfo } from '../engine/system/types.ts';

/** Attributes of the event `daemon reload`: dockerd's names, values as Go prints them there. */
export function reloadAttributes(config: Config, info: SystemInfo): Readonly<Record<string, string>> {
  const runtimes = Object.entries(info.runtimes).map(([name, { path }]) => `${name}:${path}`);
  return {
    debug: String(config.get('debug')),
    'default-cgroupns-mode': config.get('default-cgroupns-mode') || (info.cgroupVersion === '2' ? 'private' : 'host'),
    'default-ipc-mode': config.get('default-ipc-mode'),
    'default-runtime': info.defaultRuntime,
    'default-shm-size': String(config.get('default-shm-size')),
    features: 'map[]',
    'insecure-registries': JSON.stringify(config.get('insecure-registry')),
    labels: JSON.stringify(config.get('label')),
    'live-restore': String(config.get('live-restore')),
    'max-concurrent-downloads': String(config.get('max-concurrent-downloads')),
    'max-concurrent-uploads': String(config.get('max-concurrent-uploads')),
    'max-download-attempts': String(config.get('max-download-attempts')),
    name: info.hostname,
    'registry-mirrors': JSON.stringify(config.get('registry-mirror')),
    runtimes: runtimes.sort().join(' '),
    'shutdown-timeout': String(config.get('shutdown-timeout')),
  };
}
