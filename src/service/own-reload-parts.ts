/** What a reload changes in the daemon itself: its certificate and its log. */
import { isDeepStrictEqual } from 'node:util';
import type { ApiServer } from '../api/server.ts';
import type { TlsIdentity } from '../api/http/tls-front.ts';
import type { Logger } from '../base/logger.ts';
import type { LiveConfig } from './live-config.ts';
import { levelOf, type LogControl } from './log.ts';
import type { ReloadPart } from './reload.ts';
import { loadTlsIdentity } from './tls.ts';

/** Certificate and authorities are read again from the same files, whether the configuration changed or not. */
export function tlsPart(api: Pick<ApiServer, 'useTls'>, start: TlsIdentity, logger: Logger): ReloadPart {
  let inUse = start;
  return {
    async prepare(next) {
      const before = inUse;
      const renewed = (await loadTlsIdentity(next)) ?? before;
      const use = (identity: TlsIdentity) => async () => {
        await api.useTls(identity);
        inUse = identity;
      };
      const isNew = !isDeepStrictEqual(renewed, before);
      return {
        apply: async () => {
          await use(renewed)();
          if (isNew) logger.info('The TLS certificates have changed: new connections get the new ones');
        },
        undo: use(before),
      };
    },
  };
}

/** A level set at run time (`systemctl service-log-level`) stays, unless the configured one changed. */
export function levelPart(config: LiveConfig, log: LogControl): ReloadPart {
  return {
    prepare(next) {
      const before = log.level();
      const wanted = levelOf(next);
      const changed = wanted !== levelOf(config.snapshot);
      return {
        apply: () => {
          if (changed) log.setLevel(wanted);
        },
        undo: () => log.setLevel(before),
      };
    },
  };
}
