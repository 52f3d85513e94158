/** A listening unix stream socket that nobody accepts on: what systemd keeps and passes on. Node accepts on all it makes. */
import { closeSync } from 'node:fs';
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');
const socket = libc.func('int socket(int domain, int type, int protocol)');
const bind = libc.func('int bind(int fd, void *address, uint32_t length)');
const listen = libc.func('int listen(int fd, int backlog)');

/** SOCK_STREAM | SOCK_CLOEXEC */
const STREAM_CLOEXEC = 1 | 0o2000000;

/** Listens on `path`; the file stays when the descriptor is closed. */
export class StreamListener implements Disposable {
  readonly fd: number;

  constructor(path: string) {
    const address = Buffer.concat([Buffer.from([1, 0]), Buffer.from(`${path}\0`)]);
    this.fd = socket(1, STREAM_CLOEXEC, 0);
    if (bind(this.fd, address, address.length) !== 0 || listen(this.fd, 16) !== 0)
      throw new Error(`cannot bind ${path}`);
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}
