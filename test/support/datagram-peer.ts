/** The receiving end of unix datagrams, as systemd and journald have it; Node cannot make one. */
import { closeSync, fstatSync, readSync } from 'node:fs';
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');
const socket = libc.func('int socket(int domain, int type, int protocol)');
const bind = libc.func('int bind(int fd, void *address, uint32_t length)');
const recvmsg = libc.func('int64_t recvmsg(int fd, void *message, int flags)');

/** SOCK_DGRAM | SOCK_CLOEXEC */
const DATAGRAM_CLOEXEC = 2 | 0o2000000;
/** MSG_DONTWAIT | MSG_CMSG_CLOEXEC */
const AT_ONCE = 0x40 | 0x40000000;

/** Listens on a path, or on an abstract name written with `@`. */
export class DatagramPeer implements Disposable {
  readonly #fd: number;

  constructor(address: string) {
    const isAbstract = address.startsWith('@');
    const name = Buffer.from(isAbstract ? `\0${address.slice(1)}` : `${address}\0`);
    const sockaddr = Buffer.concat([Buffer.from([1, 0]), name]);
    this.#fd = socket(1, DATAGRAM_CLOEXEC, 0);
    if (bind(this.#fd, sockaddr, sockaddr.length) !== 0) throw new Error(`cannot bind ${address}`);
  }

  /** The next message, whether it came as bytes or as a file; null when nothing has come. */
  receive(): Buffer | null {
    const payload = Buffer.alloc(1024 * 1024);
    const vector = Buffer.alloc(16);
    vector.writeBigUInt64LE(koffi.address(payload), 0);
    vector.writeBigUInt64LE(BigInt(payload.length), 8);
    const control = Buffer.alloc(24);
    const message = Buffer.alloc(56);
    message.writeBigUInt64LE(koffi.address(vector), 16);
    message.writeBigUInt64LE(1n, 24);
    message.writeBigUInt64LE(koffi.address(control), 32);
    message.writeBigUInt64LE(24n, 40);
    const length: number = recvmsg(this.#fd, message, AT_ONCE);
    if (length < 0) return null;
    if (message.readBigUInt64LE(40) === 0n) return Buffer.from(payload.subarray(0, length));
    const fd = control.readInt32LE(16);
    const content = Buffer.alloc(fstatSync(fd).size);
    readSync(fd, content, 0, content.length, 0);
    closeSync(fd);
    return content;
  }

  /** All messages that have come, as text. */
  texts(): readonly string[] {
    const texts: string[] = [];
    for (let next = this.receive(); next !== null; next = this.receive()) texts.push(next.toString());
    return texts;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
