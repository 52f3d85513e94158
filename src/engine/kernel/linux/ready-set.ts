/** epoll(7) as a {@link ReadySet}: one watch of the event loop for thousands of descriptors. */
import type { ReadySet } from '../internet.ts';
import type { Fd } from '../kernel.ts';
import type { Pointer } from './libc.ts';
import { asFd, check, closeQuietly, libc } from './libc.ts';
import { watchReadable, type Watch } from './readiness.ts';

const epollCreate = libc.bind<(flags: number) => number>('int epoll_create1(int flags)');
const epollCtl = libc.bind<(set: number, operation: number, fd: number, event: Pointer) => number>(
  'int epoll_ctl(int set, int operation, int fd, void *event)',
);
const epollWait = libc.bind<(set: number, events: Pointer, room: number, timeout: number) => number>(
  'int epoll_wait(int set, void *events, int room, int timeout)',
);

const EPOLL_CLOEXEC = 0o2000000;
const CTL_ADD = 1;
const CTL_DEL = 2;
const CTL_MOD = 3;
const EPOLLIN = 1;
/** A turn of the event loop takes at most so many; what is left is ready at the next. */
const EVENTS_AT_ONCE = 64;
/** struct epoll_event is packed on x86_64 alone: events (4), [padding 4,] data (8). */
const [DATA_AT, EVENT_BYTES] = process.arch === 'x64' ? [4, 12] : [8, 16];

export function openReadySet(): ReadySet {
  return new EpollSet(asFd(check(epollCreate(EPOLL_CLOEXEC), 'epoll_create1')));
}

class EpollSet implements ReadySet {
  readonly #fd: Fd;
  readonly #event = Buffer.alloc(EVENT_BYTES);
  readonly #events = Buffer.alloc(EVENT_BYTES * EVENTS_AT_ONCE);
  #watch: Watch | null = null;
  #open = true;

  constructor(fd: Fd) {
    this.#fd = fd;
  }

  add(fd: Fd, key: number): void {
    this.#control(CTL_ADD, fd, key, EPOLLIN);
  }

  pause(fd: Fd, key: number, paused: boolean): void {
    this.#control(CTL_MOD, fd, key, paused ? 0 : EPOLLIN);
  }

  remove(fd: Fd): void {
    this.#control(CTL_DEL, fd, 0, 0);
  }

  watch(onReady: (keys: readonly number[]) => void): void {
    this.#watch ??= watchReadable(this.#fd, () => {
      const keys = this.#ready();
      if (keys.length > 0) onReady(keys);
    });
    this.#watch.unref();
  }

  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = null;
    if (this.#open) closeQuietly(this.#fd);
    this.#open = false;
  }

  #control(operation: number, fd: Fd, key: number, events: number): void {
    this.#event.writeUInt32LE(events, 0);
    this.#event.writeUInt32LE(key, DATA_AT);
    check(epollCtl(this.#fd, operation, fd, this.#event), 'epoll_ctl');
  }

  #ready(): readonly number[] {
    if (!this.#open) return [];
    const count = check(epollWait(this.#fd, this.#events, EVENTS_AT_ONCE, 0), 'epoll_wait');
    return Array.from({ length: count }, (_, index) => this.#events.readUInt32LE(index * EVENT_BYTES + DATA_AT));
  }
}
