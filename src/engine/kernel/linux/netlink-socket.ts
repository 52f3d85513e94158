/**
 * One rtnetlink socket. The kernel works a request off within sendto(2), so that its answer is there when the call
 * returns and no receive ever waits.
 */
import { errnoError, check, closeQuietly, lastErrno, libc } from './libc.ts';
import type { Pointer } from './libc.ts';
import type { Message } from './netlink-codec.ts';
import { decodeAttributes, decodeMessages, encodeMessage, textOf } from './netlink-codec.ts';

const socket = libc.bind<(domain: number, type: number, protocol: number) => number>(
  'int socket(int domain, int type, int protocol)',
);
const setsockopt = libc.bind<(fd: number, level: number, name: number, value: Pointer, length: number) => number>(
  'int setsockopt(int fd, int level, int name, void *value, uint32_t length)',
);
const sendto = libc.bind<
  (fd: number, bytes: Pointer, length: number, flags: number, address: Pointer, addressLength: number) => number
>('int64_t sendto(int fd, void *bytes, size_t length, int flags, void *address, uint32_t addressLength)');
const recv = libc.bind<(fd: number, bytes: Pointer, length: number, flags: number) => number>(
  'int64_t recv(int fd, void *bytes, size_t length, int flags)',
);

const AF_NETLINK = 16;
/** SOCK_RAW | SOCK_CLOEXEC */
const RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
const NETLINK_EXT_ACK = 11;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_DUMP = 0x300;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
const EINTR = 4;
/** The kernel fills at most 32 KiB a datagram of a dump. */
const RECEIVE_BYTES = 64 * 1024;
/** A dump during which tables changed is asked for again; a table that never rests is taken as it came. */
const DUMP_ATTEMPTS = 10;

/** Requests and dumps on one socket; `what` names the action in errors. */
export class NetlinkSocket implements Disposable {
  #fd: number;
  #sequence = 0;

  /** Opens the socket in the network namespace the thread is in now; it stays there. */
  constructor() {
    this.#fd = check(socket(AF_NETLINK, RAW_CLOEXEC, NETLINK_ROUTE), 'socket');
    const on = Buffer.from([1, 0, 0, 0]);
    // Error texts of the kernel are a comfort: without them errno has to do.
    setsockopt(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, on, on.length);
  }

  /** Sends a request and waits for its acknowledgement. */
  request(what: string, type: number, flags: number, body: readonly Buffer[], path: string | null): void {
    this.#exchange(what, type, flags | NLM_F_ACK, body, path);
  }

  /** Sends a request that is answered by one message. */
  get(what: string, type: number, body: readonly Buffer[], path: string | null): Message | null {
    return this.#exchange(what, type, NLM_F_ACK, body, path).messages[0] ?? null;
  }

  /** Asks for a whole table. */
  dump(what: string, type: number, body: readonly Buffer[]): readonly Message[] {
    for (let attempt = 1; ; attempt++) {
      const { messages, consistent } = this.#exchange(what, type, NLM_F_DUMP, body, null);
      if (consistent || attempt === DUMP_ATTEMPTS) return messages;
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd >= 0) closeQuietly(this.#fd);
    this.#fd = -1;
  }

  #exchange(
    what: string,
    type: number,
    flags: number,
    body: readonly Buffer[],
    path: string | null,
  ): { readonly messages: readonly Message[]; readonly consistent: boolean } {
    const sequence = ++this.#sequence;
    const bytes = encodeMessage(type, flags | NLM_F_REQUEST, sequence, body);
    check(sendto(this.#fd, bytes, bytes.length, 0, null, 0), 'sendto', path);
    const messages: Message[] = [];
    let consistent = true;
    for (;;) {
      for (const message of decodeMessages(this.#receive())) {
        if (message.sequence !== sequence) continue;
        if (message.flags & NLM_F_DUMP_INTR) consistent = false;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          throwIfFailed(message, what, path);
          return { messages, consistent };
        }
        messages.push(message);
      }
    }
  }

  /** One datagram, in a buffer of its own: the messages kept point into it. */
  #receive(): Buffer {
    for (;;) {
      const length = recv(this.#fd, inbox, inbox.length, 0);
      if (length >= 0) return Buffer.from(inbox.subarray(0, length));
      const errno = lastErrno();
      if (errno !== EINTR) throw errnoError('recv', errno);
    }
  }
}

const inbox = Buffer.allocUnsafeSlow(RECEIVE_BYTES);

/**
 * NLMSG_ERROR: errno i32 (negative; 0 acknowledges) · the request's header, and its body unless CAPPED · attributes if
 * ACK_TLVS. NLMSG_DONE: errno i32.
 */
function throwIfFailed(message: Message, what: string, path: string | null): void {
  const errno = message.body.length >= 4 ? -message.body.readInt32LE(0) : 0;
  if (errno === 0) return;
  let text: string | null = null;
  if (message.type === NLMSG_ERROR && message.flags & NLM_F_ACK_TLVS) {
    const echoed = message.flags & NLM_F_CAPPED ? 16 : message.body.readUInt32LE(4);
    text = textOf(decodeAttributes(message.body.subarray(4 + ((echoed + 3) & ~3))).get(NLMSGERR_ATTR_MSG));
  }
  throw errnoError(what, errno, path, text ?? undefined);
}
