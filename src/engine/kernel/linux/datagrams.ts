/** Unix datagrams, which Node cannot send: sd_notify(3), the journal's native protocol; and descriptors over them. */
import type { DatagramSocket, Fd } from '../kernel.ts';
import koffi from 'koffi';
import type { Pointer } from './libc.ts';
import { check, closeQuietly, libc, withFd } from './libc.ts';
import { memoryFile } from './memory-file.ts';
import { openUnixSocket, sendmsg, SOL_SOCKET, unixAddress, writeRights } from './unix-socket.ts';

const setsockopt = libc.bind<(fd: number, level: number, name: number, value: Pointer, length: number) => number>(
  'int setsockopt(int fd, int level, int name, void *value, uint32_t length)',
);
const sendto = libc.bind<
  (fd: number, bytes: Pointer, length: number, flags: number, address: Pointer, addressLength: number) => number
>('int64_t sendto(int fd, void *bytes, size_t length, int flags, void *address, uint32_t addressLength)');
const fcntl = libc.bind<(fd: number, command: number, argument: number) => number>(
  'int fcntl(int fd, int command, long argument)',
);

const SO_SNDBUF = 7;
/** What libsystemd asks for as well: a burst of lines fits, and messages up to this size go without a file. */
const SEND_BUFFER_BYTES = 8 * 1024 * 1024;
/** MSG_DONTWAIT | MSG_NOSIGNAL */
const AT_ONCE = 0x40 | 0x4000;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE: journald reads nothing that could change meanwhile. */
const ALL_SEALS = 0xf;

/** A close-on-exec datagram socket; see {@link DatagramSocket}. */
export function openDatagrams(): DatagramSocket {
  const fd = openUnixSocket('datagram');
  const size = Buffer.alloc(4);
  size.writeUInt32LE(SEND_BUFFER_BYTES);
  // The system's limit may cut it down: larger messages then take the way of a file.
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, size, size.length);
  let open = true;
  return {
    send(address, payload) {
      const to = destination(address, 'sendto');
      check(sendto(fd, payload, payload.length, AT_ONCE, to, to.length), 'sendto', address);
    },
    sendAsFile(address, payload) {
      withFd(memoryFile('message', payload, { sealable: true }), (file) => {
        check(fcntl(file, F_ADD_SEALS, ALL_SEALS), 'fcntl');
        sendDescriptor(fd, address, file);
      });
    },
    sendWith(address, payload, passed) {
      sendDescriptor(fd, address, passed, payload);
    },
    [Symbol.dispose]() {
      if (open) closeQuietly(fd);
      open = false;
    },
  };
}

/** Keeps a descriptor that was inherited from going to programs started from here. */
export function closeOnExec(fd: Fd): void {
  check(fcntl(fd, F_SETFD, FD_CLOEXEC), 'fcntl');
}

/** `@` at the start stands for the NUL of an abstract name. */
function destination(text: string, operation: string): Buffer {
  return unixAddress(text.replace(/^@/, '\0'), operation);
}

/**
 * struct msghdr with one descriptor, and a payload that may be empty.
 *
 *     0 name *   8 name length   16 iov *   24 iov length   32 control *   40 control length   48 flags
 *     iovec: 0 base *   8 length
 */
function sendDescriptor(fd: number, address: string, passed: number, payload: Buffer | null = null): void {
  const to = destination(address, 'sendmsg');
  const control = Buffer.alloc(24);
  writeRights(control, 0, [passed]);
  const message = Buffer.alloc(56);
  message.writeBigUInt64LE(koffi.address(to), 0);
  message.writeUInt32LE(to.length, 8);
  const vector = Buffer.alloc(16);
  if (payload !== null) {
    vector.writeBigUInt64LE(koffi.address(payload), 0);
    vector.writeBigUInt64LE(BigInt(payload.length), 8);
    message.writeBigUInt64LE(koffi.address(vector), 16);
    message.writeBigUInt64LE(1n, 24);
  }
  message.writeBigUInt64LE(koffi.address(control), 32);
  message.writeBigUInt64LE(BigInt(control.length), 40);
  check(sendmsg(fd, message, AT_ONCE), 'sendmsg', address);
}
