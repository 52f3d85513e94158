/**
 * A unix stream socket whose bytes carry descriptors (SCM_RIGHTS), which Node's own sockets drop.
 *
 *   struct msghdr, 56 bytes:  name 8 | namelen 4 + pad 4 | iov 8 | iovlen 8 | control 8 | controllen 8 | flags 4 + pad 4
 *   struct iovec, 16 bytes:   base 8 | length 8
 *   control data:             see writeRights
 */
import koffi from 'koffi';
import { KernelError } from '../kernel.ts';
import type { DescriptorReceiver, DescriptorStream } from '../descriptors.ts';
import type { Pointer } from './libc.ts';
import { closeQuietly, errnoError, errnoName, lastErrno, libc } from './libc.ts';
import type { ReadyWatch } from './readiness.ts';
import { watchReady } from './readiness.ts';
import { connectUnixSocket, openUnixSocket, SCM_RIGHTS, sendmsg, SOL_SOCKET, writeRights } from './unix-socket.ts';

const recvmsg = libc.bind<(fd: number, header: Pointer, flags: number) => number>(
  'long recvmsg(int fd, void *header, int flags)',
);

/** The kernel's own limit (SCM_MAX_FD). */
const MAX_FDS = 253;
/** MSG_DONTWAIT | MSG_CMSG_CLOEXEC */
const RECEIVE_FLAGS = 0x40 | 0x40000000;
/** MSG_DONTWAIT | MSG_NOSIGNAL */
const SEND_FLAGS = 0x40 | 0x4000;
/** Descriptors were lost: this process may have no more of them. */
const MSG_CTRUNC = 0x8;
const CONTROL_BYTES = 16 + 4 * MAX_FDS + 4;
const CHUNK_BYTES = 256 * 1024;
/** Chunks read before the event loop gets its turn. */
const CHUNKS_A_TURN = 16;
/** Small messages that leave by one call. */
const MAX_IOVECS = 32;

/** Connects to a path, or to a NUL and an abstract name. */
export function connectStream(address: string): DescriptorStream {
  const fd = openUnixSocket('stream');
  try {
    connectUnixSocket(fd, address);
  } catch (error) {
    closeQuietly(fd);
    throw error;
  }
  return new LinuxDescriptorStream(fd);
}

interface Queued {
  bytes: Buffer;
  fds: readonly number[];
}

/** Owns a connected socket. */
export class LinuxDescriptorStream implements DescriptorStream {
  readonly #fd: number;
  #queue: Queued[] = [];
  #queuedBytes = 0;
  #watch: ReadyWatch | null = null;
  #receiver: DescriptorReceiver | null = null;
  #isOpen = true;
  #isFinishing = false;
  #isFlushDue = false;
  #isBlocked = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  open(receiver: DescriptorReceiver): void {
    this.#receiver = receiver;
    this.#watch = watchReady(this.#fd, (ready) => {
      if (ready.writable) this.#flush();
      if (ready.readable && this.#isOpen) this.#receive();
    });
  }

  send(bytes: Buffer, fds: readonly number[] = []): void {
    if (!this.#isOpen || this.#isFinishing || fds.length > MAX_FDS || bytes.length === 0) {
      fds.forEach(closeQuietly);
      return;
    }
    this.#queue.push({ bytes, fds });
    this.#queuedBytes += bytes.length;
    if (this.#isFlushDue || this.#isBlocked) return;
    // What is sent within one turn leaves by one call.
    this.#isFlushDue = true;
    queueMicrotask(() => {
      this.#isFlushDue = false;
      this.#flush();
    });
  }

  finish(): void {
    if (!this.#isOpen) return;
    this.#isFinishing = true;
    this.#receiver = null;
    this.#flush();
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#receiver = null;
    this.#watch?.[Symbol.dispose]();
    closeQuietly(this.#fd);
    for (const { fds } of this.#queue) fds.forEach(closeQuietly);
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  #receive(): void {
    for (let chunk = 0; chunk < CHUNKS_A_TURN && this.#isOpen; chunk++) {
      const length = receiveChunk(this.#fd);
      if (length < 0) {
        const errno = lastErrno();
        if (!isTransient(errno)) this.#end(errnoError('recvmsg', errno));
        return;
      }
      const fds = receivedFds();
      if ((incoming.readInt32LE(48) & MSG_CTRUNC) !== 0) {
        fds.forEach(closeQuietly);
        this.#end(new KernelError('recvmsg', 'EMFILE', null, 'descriptors that were sent to us are lost (EMFILE)'));
        return;
      }
      if (length === 0) {
        this.#end(null);
        return;
      }
      if (this.#receiver === null) fds.forEach(closeQuietly);
      else this.#receiver.data(Buffer.from(chunkBuffer.subarray(0, length)), fds);
      if (length < CHUNK_BYTES && fds.length === 0) return;
    }
  }

  #flush(): void {
    while (this.#isOpen && this.#queue.length > 0) {
      const count = batchOf(this.#queue);
      const length = sendBatch(this.#fd, this.#queue, count);
      if (length < 0) {
        const errno = lastErrno();
        if (isTransient(errno)) this.#block(true);
        else this.#end(errnoError('sendmsg', errno));
        return;
      }
      this.#sent(length);
    }
    this.#block(false);
    if (this.#isFinishing) this[Symbol.dispose]();
  }

  /** Takes `length` bytes off the queue; descriptors left with the first of them. */
  #sent(length: number): void {
    this.#queuedBytes -= length;
    let left = length;
    while (left > 0) {
      const first = this.#queue[0];
      if (first === undefined) return;
      first.fds.forEach(closeQuietly);
      first.fds = [];
      if (left < first.bytes.length) {
        first.bytes = first.bytes.subarray(left);
        return;
      }
      left -= first.bytes.length;
      this.#queue.shift();
    }
  }

  #block(isBlocked: boolean): void {
    if (this.#isBlocked === isBlocked || !this.#isOpen) return;
    this.#isBlocked = isBlocked;
    this.#watch?.wantWritable(isBlocked);
  }

  #end(error: Error | null): void {
    const receiver = this.#receiver;
    this[Symbol.dispose]();
    receiver?.end(error);
  }
}

/** How many messages from the head go by one call: descriptors only ever go with the first. */
function batchOf(queue: readonly Queued[]): number {
  let count = 1;
  while (count < MAX_IOVECS && count < queue.length && queue[count]?.fds.length === 0) count++;
  return count;
}

/**
 * Where headers are laid out: header at 0, then its iovecs, then its control data. One block each, used by every call of
 * this file: a block that only the kernel's structures point to would be collected.
 */
const VECTORS_AT = 56;
const CONTROL_AT = VECTORS_AT + 16 * MAX_IOVECS;
const outgoing = Buffer.alloc(CONTROL_AT + CONTROL_BYTES);
const incoming = Buffer.alloc(CONTROL_AT + CONTROL_BYTES);
/** Each chunk is copied out before the next call. */
const chunkBuffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);

function sendBatch(fd: number, queue: readonly Queued[], count: number): number {
  for (let index = 0; index < count; index++) {
    const bytes = queue[index]?.bytes ?? chunkBuffer.subarray(0, 0);
    outgoing.writeBigUInt64LE(koffi.address(bytes), VECTORS_AT + 16 * index);
    outgoing.writeBigUInt64LE(BigInt(bytes.length), VECTORS_AT + 16 * index + 8);
  }
  const fds = queue[0]?.fds ?? [];
  layOutHeader(outgoing, count, fds.length === 0 ? 0 : writeRights(outgoing, CONTROL_AT, fds));
  return sendmsg(fd, outgoing, SEND_FLAGS);
}

function receiveChunk(fd: number): number {
  incoming.writeBigUInt64LE(koffi.address(chunkBuffer), VECTORS_AT);
  incoming.writeBigUInt64LE(BigInt(CHUNK_BYTES), VECTORS_AT + 8);
  layOutHeader(incoming, 1, CONTROL_BYTES);
  return recvmsg(fd, incoming, RECEIVE_FLAGS);
}

function layOutHeader(area: Buffer, iovecs: number, controlLength: number): void {
  const base = koffi.address(area);
  area.fill(0, 0, VECTORS_AT);
  area.writeBigUInt64LE(base + BigInt(VECTORS_AT), 16);
  area.writeBigUInt64LE(BigInt(iovecs), 24);
  if (controlLength === 0) return;
  area.writeBigUInt64LE(base + BigInt(CONTROL_AT), 32);
  area.writeBigUInt64LE(BigInt(controlLength), 40);
}

function receivedFds(): number[] {
  const fds: number[] = [];
  const end = CONTROL_AT + Number(incoming.readBigUInt64LE(40));
  for (let at = CONTROL_AT; at + 16 <= end;) {
    const size = Number(incoming.readBigUInt64LE(at));
    if (size < 16) break;
    if (incoming.readInt32LE(at + 8) === SOL_SOCKET && incoming.readInt32LE(at + 12) === SCM_RIGHTS) {
      for (let fd = at + 16; fd + 4 <= at + size; fd += 4) fds.push(incoming.readInt32LE(fd));
    }
    at += (size + 7) & ~7;
  }
  return fds;
}

function isTransient(errno: number): boolean {
  const name = errnoName(errno);
  return name === 'EAGAIN' || name === 'EINTR';
}
