import { statfsSync } from 'node:fs';
import type { Clock } from '../../base/clock.ts';
import { UnavailableError } from '../../base/errors.ts';

/** How often the disk is asked: seldom enough not to be felt. */
const STEP_BYTES = 32 * 1024 * 1024;
/** How often where somebody else writes. */
const LOOK_EVERY_MS = 250;
/** What is left for the engine's own records and for containers: a part of the disk, and no more than this. */
const RESERVED_PART = 100;
const MOST_RESERVED_BYTES = 256 * 1024 * 1024;

/** Stops a tree that comes from outside before the disk is full for everybody else. */
export class DiskGuard {
  readonly #root: string;
  #untilNextLook = STEP_BYTES;

  constructor(root: string) {
    this.#root = root;
  }

  /** So many bytes are about to be written. UnavailableError when there is no room for more. */
  take(length: number): void {
    this.#untilNextLook -= length;
    if (this.#untilNextLook > 0) return;
    this.#untilNextLook = STEP_BYTES;
    if (isFull(this.#root)) throw noSpace();
  }
}

/**
 * Does a job that has others write below `root`: its signal is aborted when there is no room for more, and the job's end is
 * an UnavailableError then.
 */
export async function withRoomOnDisk<T>(
  { root, clock, signal }: { readonly root: string; readonly clock: Clock; readonly signal: AbortSignal },
  job: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const full = new AbortController();
  let timer = null as Disposable | null;
  const look = (): void => {
    if (isFull(root)) full.abort(noSpace());
    else timer = clock.after(LOOK_EVERY_MS, look);
  };
  look();
  try {
    full.signal.throwIfAborted();
    return await job(AbortSignal.any([signal, full.signal]));
  } catch (error) {
    signal.throwIfAborted();
    throw full.signal.aborted ? full.signal.reason : error;
  } finally {
    timer?.[Symbol.dispose]();
  }
}

function isFull(root: string): boolean {
  const { bavail, blocks, bsize } = statfsSync(root);
  const reserved = Math.min((blocks * bsize) / RESERVED_PART, MOST_RESERVED_BYTES);
  return bavail * bsize < reserved;
}

function noSpace(): UnavailableError {
  return new UnavailableError('no space left on device');
}
