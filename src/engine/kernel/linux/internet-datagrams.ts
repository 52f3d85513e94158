/** UDP by recvmsg(2) and sendmsg(2), with the address a datagram was sent to (IP_PKTINFO). */
import koffi from 'koffi';
import type { Datagram } from '../internet.ts';
import type { Fd } from '../kernel.ts';
import type { Pointer } from './libc.ts';
import { check, errnoError, lastErrno, libc } from './libc.ts';
import { sendmsg } from './unix-socket.ts';

const recvmsg = libc.bind<(fd: number, header: Pointer, flags: number) => number>(
  'int64_t recvmsg(int fd, void *header, int flags)',
);
const recvBytes = libc.bind<(fd: number, into: Pointer, length: number, flags: number) => number>(
  'int64_t recv(int fd, void *into, size_t length, int flags)',
);
const sendBytes = libc.bind<(fd: number, bytes: Pointer, length: number, flags: number) => number>(
  'int64_t send(int fd, void *bytes, size_t length, int flags)',
);

/** The longest there is. */
const DATAGRAM_BYTES = 65_535;
/** sockaddr_in6 */
const PEER_BYTES = 28;
/** One cmsghdr with in6_pktinfo, padded. */
const CONTROL_BYTES = 40;
/** MSG_DONTWAIT | MSG_NOSIGNAL */
const AT_ONCE = 0x40 | 0x4000;
const IPPROTO_IPV6 = 41;
/** The first byte of fe80::/10, and the bits of the second. */
const isLinkLocal = (address: Buffer): boolean => address[0] === 0xfe && ((address[1] ?? 0) & 0xc0) === 0x80;

/**
 * One message that all calls share.
 *
 *     msghdr: 0 name *   8 name length   16 iov *   24 iov length   32 control *   40 control length   48 flags
 *     iovec:  0 base *   8 length
 */
interface Message {
  readonly header: Buffer;
  readonly iovec: Buffer;
  readonly bytes: Buffer;
  readonly peer: Buffer;
  readonly control: Buffer;
}

let message: Message | null = null;

export function receiveFrom(fd: Fd): Datagram | null {
  const { header, bytes, peer, control, iovec } = sharedMessage();
  iovec.writeBigUInt64LE(koffi.address(bytes), 0);
  iovec.writeBigUInt64LE(BigInt(bytes.length), 8);
  header.writeUInt32LE(peer.length, 8);
  header.writeBigUInt64LE(BigInt(control.length), 40);
  const length = recvmsg(fd, header, AT_ONCE);
  if (isNothing(length)) return null;
  check(length, 'recvmsg');
  return {
    bytes: bytes.subarray(0, length),
    peer: Buffer.from(peer.subarray(0, header.readUInt32LE(8))),
    destination: answerControl(Buffer.from(control.subarray(0, Number(header.readBigUInt64LE(40))))),
  };
}

export function sendTo(fd: Fd, bytes: Buffer, to: Pick<Datagram, 'peer' | 'destination'>): void {
  const { header, peer, control, iovec } = sharedMessage();
  iovec.writeBigUInt64LE(koffi.address(bytes), 0);
  iovec.writeBigUInt64LE(BigInt(bytes.length), 8);
  to.peer.copy(peer);
  header.writeUInt32LE(to.peer.length, 8);
  to.destination.copy(control);
  header.writeBigUInt64LE(BigInt(to.destination.length), 40);
  check(sendmsg(fd, header, AT_ONCE), 'sendmsg');
}

export function receive(fd: Fd): Buffer | null {
  const { bytes } = sharedMessage();
  const length = recvBytes(fd, bytes, bytes.length, AT_ONCE);
  if (isNothing(length)) return null;
  return bytes.subarray(0, check(length, 'recv'));
}

export function send(fd: Fd, bytes: Buffer): void {
  check(sendBytes(fd, bytes, bytes.length, AT_ONCE), 'send');
}

function isNothing(result: number): boolean {
  return result < 0 && errnoError('recv', lastErrno()).code === 'EAGAIN';
}

/**
 * Turns what the kernel told of a datagram's arrival into what it takes for the answer's way.
 *
 *     cmsghdr: 0 length (8)   8 level   12 type   16 in_pktinfo:  interface (4), local address (4), address sent to (4)
 *                                                 16 in6_pktinfo: address (16), interface (4)
 */
function answerControl(control: Buffer): Buffer {
  if (control.length < 28) return Buffer.alloc(0);
  // The way back is routing's to choose, but for an address that means something on one link only.
  const isIpv6 = control.readInt32LE(8) === IPPROTO_IPV6;
  if (!isIpv6) control.writeInt32LE(0, 16);
  else if (!isLinkLocal(control.subarray(16, 32))) control.writeInt32LE(0, 32);
  return control;
}

function sharedMessage(): Message {
  if (message !== null) return message;
  message = {
    header: Buffer.alloc(56),
    iovec: Buffer.alloc(16),
    bytes: Buffer.alloc(DATAGRAM_BYTES),
    peer: Buffer.alloc(PEER_BYTES),
    control: Buffer.alloc(CONTROL_BYTES),
  };
  const { header, iovec, peer, control } = message;
  header.writeBigUInt64LE(koffi.address(peer), 0);
  header.writeBigUInt64LE(koffi.address(iovec), 16);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(koffi.address(control), 32);
  return message;
}
