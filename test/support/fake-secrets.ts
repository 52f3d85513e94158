import type { Clock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { createSecrets, type SecretsDependencies } from '../../src/engine/secrets/index.ts';
import { Keyring } from '../../src/engine/secrets/keyring.ts';
import type { Secrets, SecretSource } from '../../src/engine/secrets/types.ts';
import { Database } from '../../src/engine/state/database.ts';

/** The secrets room in memory, key and all. */
export function secretsInMemory(clock: Clock, change: Partial<SecretsDependencies> = {}): Secrets & SecretSource {
  const ring = Keyring.parse(Keyring.invent(), 'memory');
  return createSecrets({
    database: Database.open(':memory:'),
    clock,
    events: { publish: () => undefined },
    users: { secretUsersOf: () => [] },
    logger: silentLogger,
    keys: { path: 'memory', read: () => ring, make: () => ring },
    ...change,
  });
}
