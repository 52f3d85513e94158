/** Readiness of any descriptor on the event loop: the one place that uses koffi's poll handles (uv_poll). */
import koffi from 'koffi';
import { lastErrno, errnoError } from './libc.ts';

/** A running watch; dispose to end it. The descriptor must stay open until then. */
export interface Watch extends Disposable {
  /** Lets the process end although the watch runs. */
  unref(): void;
}

/**
 * Calls `onReadable` whenever `fd` can be read without blocking (level-triggered), end of file included. Puts the
 * open file description into non-blocking mode, as libuv does for all it polls.
 */
export function watchReadable(fd: number, onReadable: () => void): Watch {
  return startPolling(fd, onReadable);
}

/** What a descriptor is ready for. */
export interface Ready {
  readonly readable: boolean;
  readonly writable: boolean;
}

/** A watch for reading, and for writing while that is wanted. */
export interface ReadyWatch extends Disposable {
  wantWritable(wanted: boolean): void;
}

/** Calls `onReady` as {@link watchReadable} does, and also when `fd` takes bytes, while that is wanted. */
export function watchReady(fd: number, onReady: (ready: Ready) => void): ReadyWatch {
  // koffi passes a status first, which its types do not tell; it is not 0 for a descriptor in error, which reading tells.
  const callback = (status: number, events: Ready | undefined): void => {
    onReady(status === 0 && events !== undefined ? events : { readable: true, writable: false });
  };
  return startPolling(fd, callback as unknown as PollCallback);
}

type PollCallback = (event: unknown) => void;
type PollHandle = ReturnType<typeof koffi.node.poll>;

/**
 * Handles of this thread that run. At its end Node turns the event loop once more to close what is open, when nothing of
 * ours may be called any more: an event of a handle that still runs then aborts the process.
 */
const running = new Set<PollHandle>();
let closesAtExit = false;

function closeAtExit(handle: PollHandle): void {
  running.add(handle);
  if (closesAtExit) return;
  closesAtExit = true;
  process.once('exit', () => {
    for (const each of running) each.close();
    running.clear();
  });
}

function startPolling(fd: number, callback: PollCallback): Watch & ReadyWatch {
  let handle: PollHandle | null;
  try {
    handle = koffi.node.poll(fd, { readable: true }, callback);
    closeAtExit(handle);
  } catch (error) {
    throw errnoError('epoll_ctl', lastErrno(), null, error instanceof Error ? error.message : String(error));
  }
  return {
    unref: () => handle?.unref(),
    wantWritable: (wanted) => handle?.start({ readable: true, writable: wanted }, callback),
    [Symbol.dispose]: () => {
      if (handle === null) return;
      running.delete(handle);
      handle.close();
      handle = null;
    },
  };
}
