/** Pipes and socket pairs to hand out, and descriptors of others as Node's streams. */
import { createReadStream, createWriteStream, fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { isatty, ReadStream, WriteStream } from 'node:tty';
import type { DescriptorCalls } from '../descriptors.ts';
import { KernelError } from '../kernel.ts';
import { connectStream } from './descriptor-stream.ts';
import type { Pointer } from './libc.ts';
import { check, closeQuietly, libc, viaNode } from './libc.ts';
import { makePipe } from './pipes.ts';
import { AF_UNIX } from './unix-socket.ts';

const socketpair = libc.bind<(domain: number, type: number, protocol: number, fds: Pointer) => number>(
  'int socketpair(int domain, int type, int protocol, void *fds)',
);

/** SOCK_STREAM | SOCK_CLOEXEC */
const STREAM = 1 | 0o2000000;

/** Descriptors of this process. */
export function createDescriptorCalls(): DescriptorCalls {
  return {
    connect: connectStream,
    openPipe() {
      const { read, write } = makePipe();
      return { fd: read, output: adopt(write, { readable: false, writable: true }) };
    },
    openSocketPair() {
      const [ours, theirs] = makeSocketPair();
      return { fd: theirs, stream: adopt(ours, { readable: true, writable: true }) };
    },
    read: readFrom,
    write: writeTo,
    close: closeQuietly,
  };
}

/** A connected pair of close-on-exec stream sockets. */
export function makeSocketPair(): readonly [number, number] {
  const fds = Buffer.alloc(8);
  check(socketpair(AF_UNIX, STREAM, 0, fds), 'socketpair');
  return [fds.readInt32LE(0), fds.readInt32LE(4)];
}

function readFrom(fd: number): Readable {
  switch (natureOf(fd)) {
    case 'pollable':
      return adopt(fd, { readable: true, writable: false });
    case 'terminal':
      return new ReadStream(fd);
    case 'file':
      return createReadStream('', { fd, autoClose: true });
  }
}

function writeTo(fd: number): Writable {
  switch (natureOf(fd)) {
    case 'pollable':
      return adopt(fd, { readable: false, writable: true });
    case 'terminal':
      return new WriteStream(fd);
    case 'file':
      return createWriteStream('', { fd, autoClose: true });
  }
}

/** Pipes, sockets and terminals wait on the event loop; what is always ready (files, /dev/null) goes through the pool. */
function natureOf(fd: number): 'pollable' | 'terminal' | 'file' {
  const stat = viaNode('fstat', null, () => fstatSync(fd));
  if (stat.isFIFO() || stat.isSocket()) return 'pollable';
  return isatty(fd) ? 'terminal' : 'file';
}

/** Node's own stream over a pipe or socket: libuv reads and writes it, with back-pressure. */
function adopt(fd: number, direction: { readonly readable: boolean; readonly writable: boolean }): Socket {
  try {
    return new Socket({ fd, allowHalfOpen: true, ...direction });
  } catch (error) {
    closeQuietly(fd);
    throw new KernelError('adopt', 'EINVAL', null, error instanceof Error ? error.message : String(error));
  }
}
