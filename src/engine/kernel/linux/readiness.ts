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
  let handle: ReturnType<typeof koffi.node.poll> | null;
  try {
    handle = koffi.node.poll(fd, { readable: true }, onReadable);
  } catch (error) {
    throw errnoError('epoll_ctl', lastErrno(), null, error instanceof Error ? error.message : String(error));
  }
  return {
    unref: () => handle?.unref(),
    [Symbol.dispose]: () => {
      handle?.close();
      handle = null;
    },
  };
}
