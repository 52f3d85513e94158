/**
 * Exit files: conmon leaves the exit code in `<exits>/<container id>`, moved there by rename, so that it is whole when
 * seen. One inotify watch serves all containers.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, watch, type FSWatcher } from 'node:fs';
import type { Clock, Timestamp } from '../../../base/clock.ts';
import { errnoCodeOf } from '../../../base/errors.ts';

/**
 * File times come from the kernel's coarse clock, a tick (up to 10 ms) behind: taken as they are, a short process would
 * end before it began. A file as young as this tells no more than "now".
 */
const COARSE_NS = 20_000_000n;

/** What an exit file says. */
export interface ExitNote {
  readonly exitCode: number;
  readonly exitedAt: Timestamp;
}

/** What the exit file at `path` says; null when there is none (yet). */
export function readExit(path: string, clock: Clock): ExitNote | null {
  try {
    const exitCode = Number.parseInt(readFileSync(path, 'utf8'), 10);
    const writtenAt = statSync(path, { bigint: true }).mtimeNs as Timestamp;
    const now = clock.now();
    const exitedAt = now - writtenAt < COARSE_NS ? now : writtenAt;
    return Number.isNaN(exitCode) ? null : { exitCode, exitedAt };
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/** Watches a directory of exit files. */
export class ExitFiles implements Disposable {
  readonly path: string;
  readonly #clock: Clock;
  readonly #waiting = new Map<string, (note: ExitNote) => void>();
  #watcher: FSWatcher | null = null;

  constructor(path: string, clock: Clock) {
    this.path = path;
    this.#clock = clock;
    mkdirSync(path, { recursive: true, mode: 0o700 });
  }

  /** Calls `seen` once, when the exit file is there (at once when it is already). Dispose to stop waiting. */
  expect(id: string, seen: (note: ExitNote) => void): Disposable {
    this.#watcher ??= this.#startWatching();
    this.#waiting.set(id, seen);
    // After the watch began: a file that came in between is seen by one of the two.
    this.#check(id);
    return {
      [Symbol.dispose]: () => {
        if (this.#waiting.get(id) === seen) this.#waiting.delete(id);
      },
    };
  }

  /** Null when there is none (yet). */
  read(id: string): ExitNote | null {
    return readExit(`${this.path}/${id}`, this.#clock);
  }

  /** Also `<id>.XXXXXX`, which a monitor that was killed at its work was about to rename. */
  remove(id: string): void {
    // Somebody may have cleared the whole runtime directory.
    if (!existsSync(this.path)) return;
    for (const name of readdirSync(this.path)) {
      if (name === id || name.startsWith(`${id}.`)) rmSync(`${this.path}/${name}`, { force: true });
    }
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
    this.#watcher = null;
    this.#waiting.clear();
  }

  #startWatching(): FSWatcher {
    const watcher = watch(this.path, { persistent: false }, (_kind, name) => {
      if (name === null) for (const id of this.#waiting.keys()) this.#check(id);
      else this.#check(name);
    });
    // Every waiter also hears of its monitor's end by pidfd, so that a broken watch delays and loses nothing.
    watcher.on('error', () => watcher.close());
    return watcher;
  }

  #check(id: string): void {
    const seen = this.#waiting.get(id);
    if (seen === undefined) return;
    const note = this.read(id);
    if (note === null) return;
    this.#waiting.delete(id);
    seen(note);
  }
}
