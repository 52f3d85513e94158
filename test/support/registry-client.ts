import { silentLogger } from '../../src/base/logger.ts';
import type { RegistryClient } from '../../src/engine/registry/client.ts';
import { createRegistryClient, type RegistryClientOptions } from '../../src/engine/registry/distribution-client.ts';
import { SystemClock } from '../../src/base/clock.ts';

/** The real client with nothing configured, but for what is given. */
export function makeRegistryClient(options: Partial<RegistryClientOptions> = {}): RegistryClient & AsyncDisposable {
  return createRegistryClient({
    clock: new SystemClock(),
    logger: silentLogger,
    userAgent: 'docker/test',
    proxies: { http: '', https: '', none: '' },
    certificatesDirectory: null,
    insecureRegistries: [],
    mirrors: [],
    mirrorsByPrefix: [],
    addedRegistries: [],
    blockedRegistries: [],
    credentials: null,
    random: () => 0,
    ...options,
  });
}
