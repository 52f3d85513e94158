/** The listening side of a SOCK_SEQPACKET unix socket, as conmon has it: Node cannot make one. */
import { closeSync, openSync, constants } from 'node:fs';
import { basename, dirname } from 'node:path';
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');
const socket = libc.func('int socket(int domain, int type, int protocol)');
const bind = libc.func('int bind(int fd, void *address, uint32_t length)');
const listen = libc.func('int listen(int fd, int backlog)');
const accept4 = libc.func('int accept4(int fd, void *address, void *length, int flags)');
const send = libc.func('int64_t send(int fd, void *bytes, size_t length, int flags)');
const recv = libc.func('int64_t recv(int fd, void *bytes, size_t length, int flags)');

/** SOCK_SEQPACKET | SOCK_CLOEXEC */
const SEQPACKET_CLOEXEC = 5 | 0o2000000;
const CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const O_PATH = 0o10000000;

/** Listens on `path`, however long. */
export class SeqpacketPeer implements Disposable {
  readonly #fd: number;

  constructor(path: string) {
    const directory = openSync(dirname(path), O_PATH | constants.O_DIRECTORY);
    const name = Buffer.from(`/proc/self/fd/${String(directory)}/${basename(path)}\0`);
    const address = Buffer.concat([Buffer.from([1, 0]), name]);
    this.#fd = socket(1, SEQPACKET_CLOEXEC, 0);
    const bound = bind(this.#fd, address, address.length) === 0 && listen(this.#fd, 4) === 0;
    closeSync(directory);
    if (!bound) throw new Error(`cannot listen on ${path}`);
  }

  /** The connection that waits; Node's `connect` has returned by then. */
  accept(): SeqpacketConnection {
    return new SeqpacketConnection(accept4(this.#fd, null, null, CLOEXEC));
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** One accepted connection. */
export class SeqpacketConnection implements Disposable {
  readonly #fd: number;
  #isOpen = true;

  constructor(fd: number) {
    this.#fd = fd;
  }

  send(text: string): void {
    send(this.#fd, Buffer.from(text), Buffer.byteLength(text), 0);
  }

  /** The next packet, empty at the end, or null when nothing has come. */
  receive(): string | null {
    const bytes = Buffer.alloc(65536);
    const length: number = recv(this.#fd, bytes, bytes.length, MSG_DONTWAIT);
    return length < 0 ? null : bytes.toString('utf8', 0, length);
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) closeSync(this.#fd);
    this.#isOpen = false;
  }
}
