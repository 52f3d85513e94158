import { watch, type FSWatcher } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../../base/clock.ts';

/**
 * Calls back some time after anything happens in the directories of the configuration files: editors write a file in
 * several steps, and the last counts. A directory that does not exist is looked for again at each event, so that
 * daemon.json.d is seen as soon as somebody makes it. The watch keeps no process alive.
 */
export function watchConfigFiles(
  { sysconfigFile, configFile }: { readonly sysconfigFile: string; readonly configFile: string },
  clock: Clock,
  onEvent: () => void,
): Disposable {
  const directories = [...new Set([dirname(sysconfigFile), dirname(configFile), `${configFile}.d`])];
  const watchers = new Map<string, FSWatcher>();
  let timer: Disposable | null = null;
  let isClosed = false;
  const attach = (): void => {
    for (const directory of directories) {
      if (!watchers.has(directory)) attachTo(directory);
    }
  };
  const attachTo = (directory: string): void => {
    try {
      const watcher = watch(directory, { persistent: false }, soon);
      watcher.on('error', () => detach(directory));
      watchers.set(directory, watcher);
    } catch {
      // Not there (yet), or no watch to be had: the next event, reload or call looks again.
    }
  };
  const detach = (directory: string): void => {
    watchers.get(directory)?.close();
    watchers.delete(directory);
  };
  const soon = (): void => {
    if (isClosed) return;
    timer ??= clock.after(SETTLE_MS, () => {
      timer = null;
      // A directory that was replaced has a watch on the old one.
      for (const directory of directories) detach(directory);
      attach();
      onEvent();
    });
  };
  attach();
  return {
    [Symbol.dispose]: () => {
      isClosed = true;
      timer?.[Symbol.dispose]();
      for (const directory of directories) detach(directory);
    },
  };
}

/** Longer than an editor needs from its first write to its rename. */
const SETTLE_MS = 150;
