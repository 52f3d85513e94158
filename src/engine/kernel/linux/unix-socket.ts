/** What all unix sockets of this folder have in common: making one, addresses, and descriptors beside the bytes. */
import type { Fd } from '../kernel.ts';
import { KernelError } from '../kernel.ts';
import type { Pointer } from './libc.ts';
import { asFd, check, libc } from './libc.ts';

const socket = libc.bind<(domain: number, type: number, protocol: number) => number>(
  'int socket(int domain, int type, int protocol)',
);
const connect = libc.bind<(fd: number, address: Pointer, length: number) => number>(
  'int connect(int fd, void *address, uint32_t length)',
);
export const sendmsg = libc.bind<(fd: number, header: Pointer, flags: number) => number>(
  'int64_t sendmsg(int fd, void *header, int flags)',
);

export const AF_UNIX = 1;
export const SOL_SOCKET = 1;
export const SCM_RIGHTS = 1;
/** SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET */
const TYPES = { stream: 1, datagram: 2, seqpacket: 5 } as const;
/** SOCK_CLOEXEC | SOCK_NONBLOCK */
const FLAGS = 0o2000000 | 0o4000;
/** sun_path, with the NUL at the end of a path. */
const MAX_NAME_BYTES = 108;

/** A close-on-exec socket that never blocks. */
export function openUnixSocket(type: keyof typeof TYPES): Fd {
  return asFd(check(socket(AF_UNIX, TYPES[type] | FLAGS, 0), 'socket'));
}

/**
 * Connects to a path, or to a NUL and an abstract name; decided at once (EAGAIN: the listener's backlog is full). `shown`:
 * what an error calls it.
 */
export function connectUnixSocket(fd: number, address: string, shown = printable(address)): void {
  const bytes = unixAddress(address, 'connect');
  check(connect(fd, bytes, bytes.length), 'connect', shown);
}

/**
 * struct sockaddr_un: family (2 bytes), then a path with a NUL at its end, or a NUL and an abstract name, which ends where
 * the structure does. KernelError for `operation` when it is too long.
 */
export function unixAddress(address: string, operation: string): Buffer {
  const isAbstract = address.startsWith('\0');
  const name = Buffer.from(isAbstract ? address : `${address}\0`);
  if (name.length > MAX_NAME_BYTES) throw new KernelError(operation, 'ENAMETOOLONG', printable(address));
  const bytes = Buffer.alloc(2 + name.length);
  bytes.writeUInt16LE(AF_UNIX, 0);
  name.copy(bytes, 2);
  return bytes;
}

/**
 * Writes one control message of descriptors at `at` and returns its length with its padding.
 *
 *     struct cmsghdr:  0 length   8 level   12 type   16 descriptors, 4 bytes each, padded to 8
 */
export function writeRights(area: Buffer, at: number, fds: readonly number[]): number {
  area.writeBigUInt64LE(BigInt(16 + 4 * fds.length), at);
  area.writeInt32LE(SOL_SOCKET, at + 8);
  area.writeInt32LE(SCM_RIGHTS, at + 12);
  fds.forEach((descriptor, index) => area.writeInt32LE(descriptor, at + 16 + 4 * index));
  return 16 + ((4 * fds.length + 7) & ~7);
}

function printable(address: string): string {
  return address.replace('\0', '@');
}
