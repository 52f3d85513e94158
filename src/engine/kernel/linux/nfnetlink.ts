/**
 * Elements of nftables' sets, as nfnetlink takes them (linux/netfilter/nf_tables.h); pure but for the socket at the end.
 *
 * ```
 * batch:    BATCH_BEGIN · messages · BATCH_END, all in one datagram: one transaction
 * message:  netlink header · family u8 · version u8 · resource id u16 (big-endian) · table · set · elements
 * element:  key { value } · flags u32 (big-endian) · data { value }
 * value:    each field big-endian, padded with zeros to a multiple of 4 when there is more than one
 * interval: an element for its first value, and one with INTERVAL_END for the value after its last
 * ```
 */
import type { NftElement, NftElementChanges, NftField, NftTable } from '../kernel.ts';
import type { KernelError } from '../kernel.ts';
import { AF_INET, AF_INET6, encodeAddress } from './addresses.ts';
import { check, closeQuietly, errnoError, lastErrno, libc } from './libc.ts';
import type { Pointer } from './libc.ts';
import type { Message } from './netlink-codec.ts';
import { decodeMessages } from './netlink-codec.ts';

export const NETLINK_NETFILTER = 12;
/** Message types carry the subsystem in their upper byte. */
export const NFTABLES_SUBSYSTEM = 10;
/** family, version, resource id */
export const NFGENMSG_BYTES = 4;

const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const NFT_MSG_NEWSETELEM = 12;
const NFT_MSG_DELSETELEM = 14;
const ELEM_LIST_TABLE = 1;
const ELEM_LIST_SET = 2;
const ELEM_LIST_ELEMENTS = 3;
const LIST_ELEM = 1;
const ELEM_KEY = 1;
const ELEM_DATA = 2;
const ELEM_FLAGS = 3;
const DATA_VALUE = 1;
const INTERVAL_END = 1;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_CREATE = 0x400;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLA_F_NESTED = 0x8000;
const HEADER_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;
/** An attribute's length has 16 bits. */
const ELEMENTS_A_MESSAGE = 500;
/** At most: 4 · key 4+4+24 · data 4+4+20, or the two ends of an interval. */
const ELEMENT_BYTES = 80;
/** At most, without its elements: names have up to 255 letters. */
const MESSAGE_BYTES = 16 + 4 + 2 * 260 + 4;
const IP_PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;
const LAST_PORT = 65535;

/** The datagram of one transaction. */
export function encodeBatch(table: NftTable, { remove, add }: NftElementChanges): Buffer {
  const writer = new BatchWriter(table, remove.length + add.length);
  writer.edge(BATCH_BEGIN);
  for (const elements of messagesOf(remove)) writer.message(NFT_MSG_DELSETELEM, 0, elements);
  for (const elements of messagesOf(add)) writer.message(NFT_MSG_NEWSETELEM, NLM_F_CREATE, elements);
  writer.edge(BATCH_END);
  return writer.bytes();
}

/** Elements of one set at a time, as many as fit into a message. */
function messagesOf(elements: readonly NftElement[]): readonly (readonly NftElement[])[] {
  return [...Map.groupBy(elements, ({ set }) => set).values()].flatMap((own) =>
    Array.from({ length: Math.ceil(own.length / ELEMENTS_A_MESSAGE) }, (_, index) =>
      own.slice(index * ELEMENTS_A_MESSAGE, (index + 1) * ELEMENTS_A_MESSAGE),
    ),
  );
}

/** Writes into one buffer: with a buffer for each attribute it takes four times as long. */
class BatchWriter {
  readonly #table: NftTable;
  readonly #out: Buffer;
  #end = 0;
  #sequence = 0;
  /** Elements in a row have most addresses in common. */
  readonly #addresses = new Map<string, Buffer>();

  constructor(table: NftTable, count: number) {
    this.#table = table;
    this.#out = Buffer.alloc(MESSAGE_BYTES * (4 + Math.ceil(count / ELEMENTS_A_MESSAGE)) + count * ELEMENT_BYTES);
  }

  bytes(): Buffer {
    return this.#out.subarray(0, this.#end);
  }

  edge(type: number): void {
    const start = this.#header(type, 0);
    this.#generic(0, NFTABLES_SUBSYSTEM);
    this.#out.writeUInt32LE(this.#end - start, start);
  }

  message(type: number, flags: number, elements: readonly NftElement[]): void {
    const start = this.#header((NFTABLES_SUBSYSTEM << 8) | type, flags | NLM_F_ACK);
    this.#generic(this.#table.family === 'ip' ? AF_INET : AF_INET6, 0);
    this.#text(ELEM_LIST_TABLE, this.#table.name);
    this.#text(ELEM_LIST_SET, elements[0]?.set ?? '');
    const list = this.#open(ELEM_LIST_ELEMENTS | NLA_F_NESTED);
    for (const element of elements) this.#element(element);
    this.#close(list);
    this.#out.writeUInt32LE(this.#end - start, start);
  }

  #element({ key, lastPort, data }: NftElement): void {
    const element = this.#open(LIST_ELEM | NLA_F_NESTED);
    this.#value(ELEM_KEY, key);
    if (data !== undefined) this.#value(ELEM_DATA, data);
    this.#close(element);
    if (lastPort === undefined || lastPort === LAST_PORT) return;
    const end = this.#open(LIST_ELEM | NLA_F_NESTED);
    this.#value(ELEM_KEY, [{ port: lastPort + 1 }]);
    const flags = this.#open(ELEM_FLAGS);
    this.#end = this.#out.writeUInt32BE(INTERVAL_END, this.#end);
    this.#close(flags);
    this.#close(end);
  }

  #value(type: number, fields: readonly NftField[]): void {
    const outer = this.#open(type | NLA_F_NESTED);
    const inner = this.#open(DATA_VALUE);
    for (const field of fields) {
      this.#field(field);
      if (fields.length > 1) this.#pad();
    }
    this.#close(inner);
    this.#close(outer);
  }

  #field(field: NftField): void {
    if ('address' in field) {
      let bytes = this.#addresses.get(field.address);
      if (bytes === undefined) this.#addresses.set(field.address, (bytes = encodeAddress(field.address)));
      this.#end += bytes.copy(this.#out, this.#end);
    } else if ('protocol' in field) {
      this.#end = this.#out.writeUInt8(IP_PROTOCOLS[field.protocol], this.#end);
    } else {
      this.#end = this.#out.writeUInt16BE(field.port, this.#end);
    }
  }

  #header(type: number, flags: number): number {
    const start = this.#end;
    this.#out.writeUInt16LE(type, start + 4);
    this.#out.writeUInt16LE(flags | NLM_F_REQUEST, start + 6);
    this.#out.writeUInt32LE(++this.#sequence, start + 8);
    this.#end = start + HEADER_BYTES;
    return start;
  }

  #generic(family: number, resourceId: number): void {
    this.#out.writeUInt8(family, this.#end);
    this.#out.writeUInt16BE(resourceId, this.#end + 2);
    this.#end += NFGENMSG_BYTES;
  }

  #text(type: number, text: string): void {
    const start = this.#open(type);
    this.#end += this.#out.write(`${text}\0`, this.#end);
    this.#close(start);
  }

  /** Leaves room for an attribute's length; the type is there at once. */
  #open(type: number): number {
    const start = this.#end;
    this.#out.writeUInt16LE(type, start + 2);
    this.#end = start + ATTRIBUTE_HEADER_BYTES;
    return start;
  }

  #close(start: number): void {
    this.#out.writeUInt16LE(this.#end - start, start);
    this.#pad();
  }

  #pad(): void {
    this.#end = (this.#end + 3) & ~3;
  }
}

const socket = libc.bind<(domain: number, type: number, protocol: number) => number>(
  'int socket(int domain, int type, int protocol)',
);
const bind = libc.bind<(fd: number, address: Pointer, length: number) => number>(
  'int bind(int fd, void *address, uint32_t length)',
);
const getsockname = libc.bind<(fd: number, address: Pointer, length: Pointer) => number>(
  'int getsockname(int fd, void *address, void *length)',
);
const setsockopt = libc.bind<(fd: number, level: number, name: number, value: Pointer, length: number) => number>(
  'int setsockopt(int fd, int level, int name, void *value, uint32_t length)',
);
const send = libc.bind<(fd: number, bytes: Pointer, length: number, flags: number) => number>(
  'int64_t send(int fd, void *bytes, size_t length, int flags)',
);
const recv = libc.bind<(fd: number, bytes: Pointer, length: number, flags: number) => number>(
  'int64_t recv(int fd, void *bytes, size_t length, int flags)',
);

const AF_NETLINK = 16;
/** SOCK_RAW | SOCK_CLOEXEC */
const RAW_CLOEXEC = 3 | 0o2000000;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const MSG_DONTWAIT = 0x40;
const EINTR = 4;
const EAGAIN = 11;
/** A transaction is one datagram: this is room for 65,536 elements. */
const SEND_BYTES = 8 * 1024 * 1024;
/** Answers, one a message. */
const RECEIVE_BYTES = 1024 * 1024;

/** A socket for transactions, in the namespace the thread is in when it is made. */
export class NfnetlinkSocket implements Disposable {
  /** By which the kernel names it to those who listen. */
  readonly port: number;
  #fd: number;

  constructor() {
    this.#fd = check(socket(AF_NETLINK, RAW_CLOEXEC, NETLINK_NETFILTER), 'socket');
    try {
      const address = Buffer.alloc(12);
      address.writeUInt16LE(AF_NETLINK, 0);
      check(bind(this.#fd, address, address.length), 'bind');
      const length = Buffer.from([address.length, 0, 0, 0]);
      check(getsockname(this.#fd, address, length), 'getsockname');
      this.port = address.readUInt32LE(4);
      for (const [name, bytes] of [
        [SO_SNDBUFFORCE, SEND_BYTES],
        [SO_RCVBUFFORCE, RECEIVE_BYTES],
      ] as const) {
        const value = Buffer.alloc(4);
        value.writeUInt32LE(bytes, 0);
        // Without the right to it the default holds some thousands of elements all the same.
        setsockopt(this.#fd, SOL_SOCKET, name, value, value.length);
      }
    } catch (error) {
      closeQuietly(this.#fd);
      throw error;
    }
  }

  /** Works a batch off: it is done, or nothing of it is, when this returns. */
  transact(what: string, bytes: Buffer, path: string): void {
    check(send(this.#fd, bytes, bytes.length, 0), 'send', path);
    let failure: KernelError | null = null;
    for (let answer = this.#receive(); answer !== null; answer = this.#receive()) {
      for (const { type, body } of decodeMessages(answer)) {
        const errno = type === NLMSG_ERROR ? -body.readInt32LE(0) : 0;
        if (errno !== 0) failure ??= errnoError(what, errno, path);
      }
    }
    if (failure !== null) throw failure;
  }

  /**
   * Asks for a table, which the kernel gives by the datagram: it fills the next one when one is taken. Each one's messages
   * are good until the next is asked for.
   */
  *dump(what: string, bytes: Buffer): Generator<readonly Message[], void> {
    check(send(this.#fd, bytes, bytes.length, 0), 'send', what);
    for (let answer = this.#receive(); answer !== null; answer = this.#receive()) {
      const messages = decodeMessages(answer);
      const last = messages.find(({ type }) => type === NLMSG_ERROR || type === NLMSG_DONE);
      const errno = last !== undefined && last.body.length >= 4 ? -last.body.readInt32LE(0) : 0;
      if (errno !== 0) throw errnoError(what, errno);
      yield messages.filter((message) => message !== last);
      if (last !== undefined) return;
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd >= 0) closeQuietly(this.#fd);
    this.#fd = -1;
  }

  #receive(): Buffer | null {
    for (;;) {
      const length = recv(this.#fd, inbox, inbox.length, MSG_DONTWAIT);
      if (length >= 0) return inbox.subarray(0, length);
      const errno = lastErrno();
      if (errno === EAGAIN) return null;
      if (errno !== EINTR) throw errnoError('recv', errno);
    }
  }
}

const inbox = Buffer.allocUnsafeSlow(64 * 1024);
