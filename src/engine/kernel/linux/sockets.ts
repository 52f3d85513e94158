/** Sockets that Node has no words for: SOCK_SEQPACKET, SO_PEERCRED. */
import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import type { Duplex } from 'node:stream';
import type { SocketCalls } from '../kernel.ts';
import { KernelError } from '../kernel.ts';
import { closeOnExec, openDatagrams } from './datagrams.ts';
import type { Pointer } from './libc.ts';
import { check, closeQuietly, errnoError, libc, viaNode } from './libc.ts';
import { makePipe } from './pipes.ts';
import { connectUnixSocket, openUnixSocket, SOL_SOCKET } from './unix-socket.ts';

const getsockopt = libc.bind<(fd: number, level: number, name: number, value: Pointer, length: Pointer) => number>(
  'int getsockopt(int fd, int level, int name, void *value, void *length)',
);

const SO_PEERCRED = 17;
/** sun_path less its NUL. */
const MAX_PATH_BYTES = 107;
const O_PATH = 0o10000000;

/** Sockets of this kernel. */
export function createSocketCalls(): SocketCalls {
  return { connectSeqpacket, peerCredentials, openDatagrams, closeOnExec };
}

async function connectSeqpacket(path: string): Promise<Duplex> {
  const fd = openUnixSocket('seqpacket');
  try {
    withShortPath(path, (short) => connectUnixSocket(fd, short, path));
    return adoptSocket(fd);
  } catch (error) {
    closeQuietly(fd);
    throw error;
  }
}

function withShortPath(path: string, job: (short: string) => void): void {
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES) {
    job(path);
    return;
  }
  const directory = viaNode('open', dirname(path), () => openSync(dirname(path), O_PATH | constants.O_DIRECTORY));
  try {
    const short = `/proc/self/fd/${String(directory)}/${basename(path)}`;
    if (Buffer.byteLength(short) > MAX_PATH_BYTES) throw new KernelError('connect', 'ENAMETOOLONG', path);
    job(short);
  } finally {
    closeSync(directory);
  }
}

/** Node's pipe handle, the part of it that is needed here. */
interface PipeHandle {
  open(fd: number): number;
}
type PipeHandleClass = new (type: 0) => PipeHandle;

let pipeHandleClass: PipeHandleClass | null = null;

/**
 * Node reads a stream socket or a pipe by descriptor but refuses a SEQPACKET one by its type. Its pipe handle takes
 * it all the same and reads it rightly (one read, one packet); the class is reached through a handle on a real pipe.
 */
function findPipeHandleClass(): PipeHandleClass {
  if (pipeHandleClass !== null) return pipeHandleClass;
  const { read, write } = makePipe();
  closeQuietly(write);
  const probe = new Socket({ fd: read, readable: true, writable: false });
  const handle = (probe as unknown as { readonly _handle: { readonly constructor: PipeHandleClass } })._handle;
  pipeHandleClass = handle.constructor;
  probe.destroy();
  return pipeHandleClass;
}

/** What a packet is read into; longer ones would be cut. conmon's have up to 8 KiB. */
const PACKET_BYTES = 64 * 1024;

/** All packets are read into one buffer: a fresh one for each costs more than all else that is done with it. */
function adoptSocket(fd: number): Duplex {
  const HandleClass = findPipeHandleClass();
  const handle = new HandleClass(0);
  const status = handle.open(fd);
  if (status !== 0) throw errnoError('uv_pipe_open', -status);
  const onread = {
    buffer: Buffer.allocUnsafeSlow(PACKET_BYTES),
    callback: (length: number, buffer: Buffer): boolean => {
      socket.emit('data', buffer.subarray(0, length));
      return true;
    },
  };
  // `handle` and `allowHalfOpen` are what net itself passes for accepted connections; `manualStart` waits for `resume`.
  const options = { handle, allowHalfOpen: true, readable: true, writable: true, manualStart: true, onread };
  const socket: Socket = new Socket(options as unknown as ConstructorParameters<typeof Socket>[0]);
  return socket;
}

function peerCredentials(fd: number): { readonly pid: number; readonly uid: number; readonly gid: number } {
  const value = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length, 0);
  check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, value, length), 'getsockopt');
  return { pid: value.readInt32LE(0), uid: value.readUInt32LE(4), gid: value.readUInt32LE(8) };
}
