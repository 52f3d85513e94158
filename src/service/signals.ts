import type { Logger } from '../base/logger.ts';

/** Signals that end the daemon in good order, with Go's words for them. */
const END_SIGNALS = { SIGTERM: 'terminated', SIGINT: 'interrupt', SIGQUIT: 'quit' } as const;
const NUMBERS = { SIGTERM: 15, SIGINT: 2, SIGQUIT: 3 } as const;
/** dockerd's: the next one after so many cuts the orderly end short. */
const FORCE_AFTER = 3;

export interface Signals {
  /** Why the daemon is to end; null while nobody has asked. */
  readonly reason: string | null;
  /** Settles with the first request to end. */
  readonly ended: Promise<string>;
  /** Asks for the end from within. */
  end(reason: string): void;
}

/**
 * Takes the signals over. The first that asks for the end settles `ended`; as dockerd does, a fourth forces it: `force`
 * is called with the exit code. SIGHUP calls `onReload`.
 */
export function takeSignals(
  logger: Logger,
  { onReload, force }: { readonly onReload: () => void; readonly force: (exitCode: number) => void },
): Signals {
  const { promise, resolve } = Promise.withResolvers<string>();
  let reason: string | null = null;
  let count = 0;
  const end = (why: string): void => {
    reason ??= why;
    resolve(reason);
  };
  for (const name of Object.keys(END_SIGNALS) as (keyof typeof END_SIGNALS)[]) {
    process.on(name, () => {
      logger.info(`Processing signal '${END_SIGNALS[name]}'`);
      count += 1;
      if (count > FORCE_AFTER) {
        logger.info(`Forcing docker daemon shutdown without cleanup; ${String(FORCE_AFTER)} interrupts received`);
        force(128 + NUMBERS[name]);
        return;
      }
      end(END_SIGNALS[name]);
    });
  }
  process.on('SIGHUP', onReload);
  return {
    get reason() {
      return reason;
    },
    ended: promise,
    end,
  };
}
