/** socket(2), bind(2), listen(2), accept4(2) for the internet's families; see {@link InternetCalls}. */
import type { BindRequest, InternetCalls } from '../internet.ts';
import type { Fd } from '../kernel.ts';
import { AF_INET, AF_INET6, encodeAddress } from './addresses.ts';
import { receive, receiveFrom, send, sendTo } from './internet-datagrams.ts';
import type { Pointer } from './libc.ts';
import { asFd, check, closeQuietly, errnoError, lastErrno, libc, readProc } from './libc.ts';
import { openReadySet } from './ready-set.ts';

const socket = libc.bind<(domain: number, type: number, protocol: number) => number>(
  'int socket(int domain, int type, int protocol)',
);
const bindSocket = libc.bind<(fd: number, address: Pointer, length: number) => number>(
  'int bind(int fd, void *address, uint32_t length)',
);
const listenOn = libc.bind<(fd: number, backlog: number) => number>('int listen(int fd, int backlog)');
const accept4 = libc.bind<(fd: number, address: null, length: null, flags: number) => number>(
  'int accept4(int fd, void *address, void *length, int flags)',
);
const connect = libc.bind<(fd: number, address: Pointer, length: number) => number>(
  'int connect(int fd, void *address, uint32_t length)',
);
const setsockopt = libc.bind<(fd: number, level: number, name: number, value: Pointer, length: number) => number>(
  'int setsockopt(int fd, int level, int name, void *value, uint32_t length)',
);
const ifNameToIndex = libc.bind<(name: string) => number>('unsigned int if_nametoindex(const char *name)');
const closeFd = libc.bind<(fd: number) => number>('int close(int fd)');
const fcntl = libc.bind<(fd: number, command: number, argument: number) => number>(
  'int fcntl(int fd, int command, long argument)',
);
const getrlimit = libc.bind<(resource: number, limit: Pointer) => number>('int getrlimit(int resource, void *limit)');

/** SOCK_STREAM or SOCK_DGRAM, and IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP. */
const KINDS = { tcp: [1, 6], udp: [2, 17], sctp: [1, 132] } as const;
/** SOCK_CLOEXEC | SOCK_NONBLOCK */
const FLAGS = 0o2000000 | 0o4000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const IPPROTO_IP = 0;
const IP_PKTINFO = 8;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;
const RLIMIT_NOFILE = 7;
const F_DUPFD_CLOEXEC = 1030;
/** The table has as much from the start, or soon. */
const FEW_DESCRIPTORS = 256;
/** Nobody is there (any more): not a failure of accepting. */
const NO_CONNECTION: ReadonlySet<string> = new Set(['EAGAIN', 'ECONNABORTED', 'EINTR', 'EPROTO', 'ENETDOWN']);

const OFF = int(0);
const ON = int(1);

/** Internet sockets of this process. */
export function createInternetCalls(): InternetCalls {
  return {
    bind,
    listen: (fd, backlog) => void check(listenOn(fd, backlog), 'listen'),
    accept,
    connectDatagrams: (address, port) => connectTo('udp', address, port),
    connectStream: (address, port) => connectTo('tcp', address, port),
    receiveFrom,
    sendTo,
    receive,
    send,
    close,
    openReadySet,
    expect: growDescriptors,
    descriptorLimit,
  };
}

function bind(request: BindRequest): Fd {
  const address = socketAddress(request.address, request.port);
  const fd = open(request.protocol, address.readUInt16LE(0));
  try {
    prepare(fd, address.readUInt16LE(0) === AF_INET6, request);
    if (bindSocket(fd, address, address.length) >= 0) return fd;
    throw errnoError('bind', lastErrno(), `${request.address}:${String(request.port)}`);
  } catch (error) {
    closeQuietly(fd);
    throw error;
  }
}

function prepare(fd: Fd, ipv6: boolean, { protocol, bothFamilies = false, destinations = false }: BindRequest): void {
  // Two UDP sockets with it would share the port in silence.
  if (protocol === 'tcp') set(fd, SOL_SOCKET, SO_REUSEADDR, ON);
  if (ipv6 && bothFamilies === isIpv6OnlyByDefault()) set(fd, IPPROTO_IPV6, IPV6_V6ONLY, bothFamilies ? OFF : ON);
  if (!destinations) return;
  if (ipv6) set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, ON);
  else set(fd, IPPROTO_IP, IP_PKTINFO, ON);
}

let ipv6OnlyByDefault: boolean | null = null;

/** Asked once: a call less for each of thousands of sockets. */
function isIpv6OnlyByDefault(): boolean {
  ipv6OnlyByDefault ??= readProc('/proc/sys/net/ipv6/bindv6only').trim() === '1';
  return ipv6OnlyByDefault;
}

function accept(fd: Fd): Fd | null {
  const connection = accept4(fd, null, null, FLAGS);
  if (connection >= 0) return asFd(connection);
  const error = errnoError('accept4', lastErrno());
  if (NO_CONNECTION.has(error.code)) return null;
  throw error;
}

function connectTo(protocol: 'tcp' | 'udp', address: string, port: number): Fd {
  const peer = socketAddress(address, port);
  const fd = open(protocol, peer.readUInt16LE(0));
  if (connect(fd, peer, peer.length) >= 0) return fd;
  const error = errnoError('connect', lastErrno(), `${address}:${String(port)}`);
  if (error.code === 'EINPROGRESS') return fd;
  closeQuietly(fd);
  throw error;
}

function close(fds: Iterable<Fd>): void {
  for (const fd of fds) closeFd(fd);
}

function open(protocol: BindRequest['protocol'], family: number): Fd {
  const [type, number] = KINDS[protocol];
  return asFd(check(socket(family, type | FLAGS, number), 'socket', protocol));
}

function set(fd: Fd, level: number, name: number, value: Buffer): void {
  check(setsockopt(fd, level, name, value, value.length), 'setsockopt');
}

/** The one before, since ports are taken by the thousand on the same address. */
let last: { readonly text: string; readonly bytes: Buffer } | null = null;

/**
 * struct sockaddr_in and sockaddr_in6, good until the next call:
 *
 *     0 family   2 port (network order)   4 IPv4 address
 *                                         4 flow   8 IPv6 address   24 scope
 */
function socketAddress(text: string, port: number): Buffer {
  // The number of a zone may be another's by the next call.
  if (last?.text !== text || text.includes('%')) {
    const [plain = text, zone] = text.split('%');
    const address = encodeAddress(plain);
    const bytes = Buffer.alloc(address.length === 4 ? 16 : 28);
    bytes.writeUInt16LE(address.length === 4 ? AF_INET : AF_INET6, 0);
    address.copy(bytes, address.length === 4 ? 4 : 8);
    if (zone !== undefined && address.length === 16) bytes.writeUInt32LE(interfaceIndex(zone), 24);
    last = { text, bytes };
  }
  last.bytes.writeUInt16BE(port, 2);
  return last.bytes;
}

/** Of a link's name or number, in the namespace that the thread is in. */
function interfaceIndex(zone: string): number {
  const index = /^\d+$/.test(zone) ? Number(zone) : ifNameToIndex(zone);
  if (index === 0) throw errnoError('if_nametoindex', lastErrno(), zone);
  return index;
}

/** The highest number so far asked for; the table never shrinks. */
let grownTo = FEW_DESCRIPTORS;

function growDescriptors(count: number): void {
  const fd = socket(AF_INET, KINDS.udp[0] | FLAGS, 0);
  if (fd < 0) return;
  // Numbers are given out from the lowest: these come behind the ones there are.
  if (fd + count > grownTo) {
    const highest = fcntl(fd, F_DUPFD_CLOEXEC, fd + count);
    if (highest >= 0) {
      grownTo = highest;
      closeFd(highest);
    }
  }
  closeFd(fd);
}

/** struct rlimit: soft and hard limit, 8 bytes each. */
function descriptorLimit(): number {
  const limit = Buffer.alloc(16);
  check(getrlimit(RLIMIT_NOFILE, limit), 'getrlimit');
  return Number(limit.readBigUInt64LE(0));
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value, 0);
  return bytes;
}
