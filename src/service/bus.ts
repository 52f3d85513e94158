/**
 * The bus in the daemon's life: the engine works without it. Whatever goes wrong while the front is made is said, and tried
 * again; whatever takes long goes on while the daemon is ready.
 */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';

/** How long READY waits for the front: who asks for the engine right after its start should find its objects. */
const PATIENCE_MS = 2_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;

/** A front that is up. */
interface OpenFront extends AsyncDisposable {
  readonly busyCount: number;
}

/** The front, be it up or not. */
export interface KeptBus extends AsyncDisposable {
  /** Calls and jobs under way. */
  readonly busyCount: number;
}

export interface KeepBusOptions {
  /** Makes the front; a bus that is not there is no error to it. */
  readonly open: () => Promise<OpenFront>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Settles when the front is up, has failed once, or takes too long; never rejects. */
export async function keepBus(options: KeepBusOptions): Promise<KeptBus> {
  const { clock } = options;
  const ending = new AbortController();
  const state: { front: OpenFront | null } = { front: null };
  const { promise: waitedEnough, resolve: goOn } = Promise.withResolvers<void>();
  const opening = keepOpening(options, ending.signal, goOn).then((front) => void (state.front = front));
  void opening.then(goOn);
  using _timer = clock.after(PATIENCE_MS, goOn);
  await waitedEnough;
  return {
    get busyCount() {
      return state.front?.busyCount ?? 0;
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      await opening;
      await state.front?.[Symbol.asyncDispose]();
    },
  };
}

/** The front; null when the end came before one could be made. */
async function keepOpening(
  { open, clock, logger }: KeepBusOptions,
  signal: AbortSignal,
  onFailure: () => void,
): Promise<OpenFront | null> {
  for (let waitMs = FIRST_RETRY_MS; ; waitMs = Math.min(2 * waitMs, LAST_RETRY_MS)) {
    try {
      return await open();
    } catch (error) {
      // With its stack: it is no fault of the bus.
      logger.error(`the D-Bus interface could not be made; trying again in ${String(waitMs / 1000)} s`, {
        error: error instanceof Error ? error.stack : String(error),
      });
      onFailure();
    }
    try {
      await clock.sleep(waitMs, signal);
    } catch {
      return null;
    }
  }
}
