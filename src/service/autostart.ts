/**
 * The flag by which a boot knows that the engine has work although only docker.socket is enabled: docker-autostart.service
 * starts docker.service when the file is there (ConditionPathExists). Without it containers with a restart policy would
 * wait for somebody's first `docker ps`.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Events } from '../engine/events/types.ts';

/** Work that may be gone after an event is looked for when things have calmed down: it costs a look at every container. */
const CALM_MS = 500;

const CONTENT = 'The Docker engine has work at boot. docker.service keeps this file; see docker-autostart.service.\n';

export interface AutostartOptions {
  readonly path: string;
  readonly events: Pick<Events, 'listen'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether there is anything that the engine would start or do by itself after a boot. */
  readonly hasWork: () => boolean;
}

/**
 * Keeps the file in step with `hasWork`. It is written at once, and to the disk, when a container has started, so that
 * a power failure a moment later finds it; it goes when all has calmed down. No write happens unless that changes.
 * Disposing stops the watch and leaves the file right.
 */
export function keepAutostartFlag(options: AutostartOptions): Disposable & { readonly refresh: () => void } {
  const { path, events, clock, logger } = options;
  let isSet = existsSync(path);
  let timer: Disposable | null = null;
  const refresh = (): void => {
    timer?.[Symbol.dispose]();
    timer = null;
    const wanted = options.hasWork();
    if (wanted === isSet) return;
    try {
      if (wanted) writeDurably(path);
      else rmSync(path, { force: true });
      isSet = wanted;
    } catch (error) {
      logger.warn('the flag that starts the engine at boot could not be changed', { path, reason: messageOf(error) });
    }
  };
  refresh();
  const listening = events.listen(({ type, action }) => {
    if (type !== 'container') return;
    if (action === 'start' && !isSet) refresh();
    else if (CHANGING_ACTIONS.has(action)) timer ??= clock.after(CALM_MS, refresh);
  });
  return {
    refresh,
    [Symbol.dispose]: () => {
      listening[Symbol.dispose]();
      refresh();
    },
  };
}

const CHANGING_ACTIONS: ReadonlySet<string> = new Set(['start', 'die', 'stop', 'destroy', 'update']);

function writeDurably(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const fd = openSync(path, 'w', 0o644);
  try {
    writeSync(fd, CONTENT);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
