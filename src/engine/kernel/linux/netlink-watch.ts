/** What the kernel tells on its own: netlink's multicast groups. */
import koffi from 'koffi';
import type { Link, LinkNotice } from '../kernel.ts';
import { check, closeQuietly, errnoError, lastErrno, libc } from './libc.ts';
import type { Pointer } from './libc.ts';
import { decodeLink } from './links.ts';
import { decodeMessages } from './netlink-codec.ts';
import type { Message } from './netlink-codec.ts';
import { watchReadable } from './readiness.ts';

const socket = libc.bind<(domain: number, type: number, protocol: number) => number>(
  'int socket(int domain, int type, int protocol)',
);
const bind = libc.bind<(fd: number, address: Pointer, length: number) => number>(
  'int bind(int fd, void *address, uint32_t length)',
);
const recv = libc.bind<(fd: number, bytes: Pointer, length: number, flags: number) => number>(
  'int64_t recv(int fd, void *bytes, size_t length, int flags)',
);

const setsockopt = libc.bind<(fd: number, level: number, name: number, value: Pointer, length: number) => number>(
  'int setsockopt(int fd, int level, int name, void *value, uint32_t length)',
);

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const BPF_LD_W_ABS = 0x20;
const BPF_JEQ = 0x15;
const BPF_RET = 0x06;
/** Of nlmsg_pid in the header. */
const PORT_OFFSET = 12;
const AF_NETLINK = 16;
/** SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK */
const RAW_CLOEXEC_NONBLOCK = 3 | 0o2000000 | 0o4000;
const MSG_DONTWAIT = 0x40;
const NETLINK_ROUTE = 0;
const RTMGRP_LINK = 1;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const AF_UNSPEC = 0;
const EINTR = 4;
const EAGAIN = 11;
const ENOBUFS = 105;
const RECEIVE_BYTES = 64 * 1024;
/** So many datagrams in a row, then others have their turn; the watch is level-triggered. */
const DATAGRAMS_A_TURN = 64;

/**
 * Listens to multicast groups (a bit mask) of a netlink protocol in the network namespace the thread is in. `onMessages`
 * gets what came, and null when something was lost because we were too slow. It does not keep the process alive. What
 * comes about by requests of the sockets `exceptPorts` is not even put into the queue.
 */
export function watchNetlink(
  protocol: number,
  groups: number,
  onMessages: (messages: readonly Message[] | null) => void,
  { exceptPorts = [] }: { readonly exceptPorts?: readonly number[] } = {},
): Disposable {
  const fd = check(socket(AF_NETLINK, RAW_CLOEXEC_NONBLOCK, protocol), 'socket');
  try {
    if (exceptPorts.length > 0) dropFrom(fd, exceptPorts);
    const address = groupAddress(groups);
    check(bind(fd, address, address.length), 'bind');
    let open = true;
    const watch = watchReadable(fd, () => {
      for (let turn = 0; open && turn < DATAGRAMS_A_TURN; turn++) {
        const messages = receive(fd);
        if (messages === 'nothing') return;
        onMessages(messages);
      }
    });
    watch.unref();
    return {
      [Symbol.dispose]: () => {
        if (!open) return;
        open = false;
        watch[Symbol.dispose]();
        closeQuietly(fd);
      },
    };
  } catch (error) {
    closeQuietly(fd);
    throw error;
  }
}

/** See {@link Kernel.watchLinks}. */
export function watchLinks(listener: (notice: LinkNotice | null) => void): Disposable {
  return watchNetlink(NETLINK_ROUTE, RTMGRP_LINK, (messages) => {
    if (messages === null) listener(null);
    else for (const notice of messages.map(noticeOf)) if (notice !== null) listener(notice);
  });
}

function noticeOf(message: Message): LinkNotice | null {
  if (message.type !== RTM_NEWLINK && message.type !== RTM_DELLINK) return null;
  // A bridge's own words about its ports (AF_BRIDGE) come by the same group: a port that leaves is not a link that goes.
  if (message.body.readUInt8(0) !== AF_UNSPEC) return null;
  const link: Link = decodeLink(message);
  return { gone: message.type === RTM_DELLINK, link };
}

/** struct sockaddr_nl: family u16 · pad u16 · port u32 (0: the kernel chooses) · groups u32. */
function groupAddress(groups: number): Buffer {
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK, 0);
  address.writeUInt32LE(groups, 8);
  return address;
}

/**
 * A filter of classic BPF: load the datagram's first port, as the network has it; equal to one of them: keep 0 bytes of it.
 * struct sock_filter: code u16 · jump if true u8 · jump if not u8 · value u32; struct sock_fprog: count u16 · padding ·
 * pointer.
 */
function dropFrom(fd: number, ports: readonly number[]): void {
  const swapped = ports.map((port) => Buffer.from([port, port >>> 8, port >>> 16, port >>> 24]).readUInt32BE(0));
  const program = [
    [BPF_LD_W_ABS, 0, 0, PORT_OFFSET],
    ...swapped.map((port, index) => [BPF_JEQ, swapped.length - index, 0, port] as const),
    [BPF_RET, 0, 0, 0xffffffff],
    [BPF_RET, 0, 0, 0],
  ] as const;
  const code = Buffer.alloc(program.length * 8);
  program.forEach(([opcode, jumpTrue, jumpFalse, value], index) => {
    code.writeUInt16LE(opcode, index * 8);
    code.writeUInt8(jumpTrue, index * 8 + 2);
    code.writeUInt8(jumpFalse, index * 8 + 3);
    code.writeUInt32LE(value, index * 8 + 4);
  });
  const head = Buffer.alloc(16);
  head.writeUInt16LE(program.length, 0);
  head.writeBigUInt64LE(koffi.address(code), 8);
  check(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, head, head.length), 'setsockopt');
}

const inbox = Buffer.allocUnsafeSlow(RECEIVE_BYTES);

/** One datagram's messages; null when the kernel had to drop some. */
function receive(fd: number): readonly Message[] | null | 'nothing' {
  for (;;) {
    const length = recv(fd, inbox, inbox.length, MSG_DONTWAIT);
    if (length >= 0) return decodeMessages(Buffer.from(inbox.subarray(0, length)));
    const errno = lastErrno();
    if (errno === EAGAIN) return 'nothing';
    if (errno === ENOBUFS) return null;
    if (errno !== EINTR) throw errnoError('recv', errno);
  }
}
