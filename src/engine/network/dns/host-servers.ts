/** The host's resolver configuration, as it is now. */
import { readFileSync, realpathSync, watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';
import { parseResolvConf } from '../resolv-conf.ts';
import type { ResolvConf } from '../resolv-conf.ts';

/** Follows the file by inotify: it is replaced, written in place, or a link that leads elsewhere. */
export class HostResolvConf implements Disposable {
  readonly #path: string;
  #watchers: readonly FSWatcher[] = [];
  #current: ResolvConf | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** Read again only after something has happened to the file. */
  get current(): ResolvConf {
    if (this.#current !== null) return this.#current;
    this.#watchAnew();
    const conf = parseResolvConf(readOrEmpty(this.#path));
    // What cannot be watched is read each time.
    if (this.#watchers.length > 0) this.#current = conf;
    return conf;
  }

  [Symbol.dispose](): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
    this.#current = null;
  }

  /** Folders, since a file that is replaced takes its own watch with it. */
  #watchAnew(): void {
    this[Symbol.dispose]();
    const places = new Map([this.#path, realPath(this.#path)].map((path) => [dirname(path), basename(path)]));
    const forget = (): void => {
      this.#current = null;
    };
    try {
      this.#watchers = [...places].map(([folder, name]) =>
        watch(folder, { persistent: false }, (_event, changed) => {
          if (changed === null || changed === name || changed === basename(this.#path)) forget();
        }).on('error', forget),
      );
    } catch {
      this[Symbol.dispose]();
    }
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
