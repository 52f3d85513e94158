/** The secrets room, and what the log and a reload have to do with secrets; see compose.ts. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../base/logger.ts';
import { givenKeyFile, ownKeyFile, type KeySource } from '../../engine/secrets/key-file.ts';
import { createSecrets } from '../../engine/secrets/index.ts';
import type { BuildSecretSource, Secrets, SecretUsers } from '../../engine/secrets/types.ts';
import type { ReloadPart } from '../reload.ts';
import type { Ground } from './rooms.ts';
import { suseSecretsPolicy, type SuseSecretsPolicy } from './suse-secrets.ts';

/** What the unit may hand in with `LoadCredential=`. */
const CREDENTIAL = 'moored.secrets-key';

export function openSecrets(ground: Ground, users: SecretUsers): Secrets & BuildSecretSource {
  const { database, clock, events, logger, dataRoot } = ground;
  return createSecrets({
    database,
    clock,
    events,
    logger,
    users,
    keys: keysOf(dataRoot, process.env['CREDENTIALS_DIRECTORY']),
  });
}

/** Tells the log what containers get of the host, now and whenever a reload changes it. */
export function suseSecretsPart({ config, logger }: Ground): ReloadPart {
  let told = suseSecretsPolicy(config);
  tell(logger, told);
  return {
    prepare(next) {
      const policy = suseSecretsPolicy(next);
      return {
        apply: () => {
          if (policy.root !== told.root || policy.problem !== told.problem) tell(logger, policy);
          told = policy;
        },
        undo: () => undefined,
      };
    },
  };
}

function tell(logger: Logger, { root, reason, problem }: SuseSecretsPolicy): void {
  if (problem !== null) logger.error('SUSE secrets are off: their switch cannot be read', { reason: problem });
  else logger.info(`SUSE secrets are ${root === null ? 'not handed' : 'handed'} to containers`, { reason });
}

function keysOf(dataRoot: string, credentials: string | undefined): KeySource {
  const given = credentials === undefined ? null : join(credentials, CREDENTIAL);
  return given !== null && existsSync(given) ? givenKeyFile(given) : ownKeyFile(join(dataRoot, 'secrets', 'key'));
}
