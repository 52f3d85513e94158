/**
 * One netlink socket. The kernel works a request off within sendto(2), so that its answer is there when the call
 * returns and no receive ever waits. What takes long in there is sent from a pool thread.
 */
import { errnoError, check, closeQuietly, errnoName, lastErrno, libc } from './libc.ts';
import type { Pointer } from './libc.ts';
import type { Message } from './netlink-codec.ts';
import { decodeAttributes, decodeMessages, encodeMessage, textOf } from './netlink-codec.ts';

const socket = libc.bind<(domain: number, type: number, protocol: number) => number>(
  'int socket(int domain, int type, int protocol)',
);
const setsockopt = libc.bind<(fd: number, level: number, name: number, value: Pointer, length: number) => number>(
  'int setsockopt(int fd, int level, int name, void *value, uint32_t length)',
);
type Sendto = (
  fd: number,
  bytes: Pointer,
  length: number,
  flags: number,
  address: Pointer,
  addressLength: number,
) => number;
const sendto = libc.bind<
  Sendto & { async(...call: [...Parameters<Sendto>, (failure: Error | null, result: number) => void]): void }
>('int64_t sendto(int fd, void *bytes, size_t length, int flags, void *address, uint32_t addressLength)');
const recv = libc.bind<(fd: number, bytes: Pointer, length: number, flags: number) => number>(
  'int64_t recv(int fd, void *bytes, size_t length, int flags)',
);

const ioctl = libc.bind<(fd: number, request: number, argument: Pointer) => number>(
  'int ioctl(int fd, unsigned long request, void *argument)',
);

const AF_NETLINK = 16;
/** Of a `struct ifreq`: its name, which is 16 bytes long, and a union of up to 24 after it. */
const SIOCGIFINDEX = 0x8933;
const IFREQ_BYTES = 40;
const IFNAMSIZ = 16;
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

/** One request of several; `what` names the action in errors. */
export interface NetlinkRequest {
  readonly what: string;
  readonly type: number;
  readonly flags: number;
  readonly body: readonly Buffer[];
  readonly path: string | null;
}

/** Requests and dumps on one socket. */
export class NetlinkSocket implements Disposable {
  #fd: number;
  #sequence = 0;
  #closing = false;
  #holders = 0;
  /** Answers to what pool threads sent, by sequence; null while none was seen. */
  readonly #later = new Map<number, Message | null>();

  /** Opens the socket in the network namespace the thread is in now; it stays there. */
  constructor() {
    this.#fd = check(socket(AF_NETLINK, RAW_CLOEXEC, NETLINK_ROUTE), 'socket');
    const on = Buffer.from([1, 0, 0, 0]);
    // Error texts of the kernel are a comfort: without them errno has to do.
    setsockopt(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, on, on.length);
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

  /** The index of a link in the socket's namespace, which the kernel looks up without its lock; null: no such link. */
  linkIndex(name: string): number | null {
    // What does not fit beside its NUL is no link's name.
    if (Buffer.byteLength(name) >= IFNAMSIZ) return null;
    const request = Buffer.alloc(IFREQ_BYTES);
    request.write(name, 0, IFNAMSIZ - 1);
    if (ioctl(this.#fd, SIOCGIFINDEX, request) >= 0) return request.readInt32LE(IFNAMSIZ);
    const errno = lastErrno();
    // ENOENT has been seen where a link was gone; the call itself knows no other failure than that.
    if (['ENODEV', 'ENOENT'].includes(errnoName(errno))) return null;
    throw errnoError('SIOCGIFINDEX', errno, name);
  }

  /** Sends several requests in one datagram. All are tried; the first failure is thrown. */
  requestAll(requests: readonly NetlinkRequest[]): void {
    if (requests.length === 0) return;
    const bySequence = new Map(requests.map((request) => [++this.#sequence, request]));
    const bytes = Buffer.concat(
      [...bySequence].map(([sequence, { type, flags, body }]) =>
        encodeMessage(type, flags | NLM_F_REQUEST | NLM_F_ACK, sequence, body),
      ),
    );
    check(sendto(this.#fd, bytes, bytes.length, 0, null, 0), 'sendto', requests[0]?.path);
    const answers = new Map<NetlinkRequest, Message>();
    while (answers.size < requests.length) {
      for (const message of this.#receive()) {
        const request = bySequence.get(message.sequence);
        if (request !== undefined && message.type === NLMSG_ERROR) answers.set(request, message);
      }
    }
    for (const request of requests) throwIfFailed(answers.get(request), request.what, request.path);
  }

  /** Sends a request from a pool thread, for what the kernel takes many milliseconds over; only within {@link hold}. */
  async requestLater(request: NetlinkRequest): Promise<void> {
    const { what, type, flags, body, path } = request;
    const sequence = ++this.#sequence;
    const bytes = encodeMessage(type, flags | NLM_F_REQUEST | NLM_F_ACK, sequence, body);
    this.#later.set(sequence, null);
    try {
      await new Promise<void>((resolve, reject) => {
        sendto.async(this.#fd, bytes, bytes.length, 0, null, 0, (failure, result) => {
          // errno is the call's own within its callback.
          if (failure !== null) reject(failure);
          else if (result < 0) reject(errnoError('sendto', lastErrno(), path));
          else resolve();
        });
      });
      let answer = this.#later.get(sequence) ?? null;
      while (answer === null) {
        this.#receive();
        answer = this.#later.get(sequence) ?? null;
      }
      throwIfFailed(answer, what, path);
    } finally {
      this.#later.delete(sequence);
    }
  }

  /** Runs `job`; a socket disposed meanwhile is closed when the job has ended. */
  async hold<T>(job: () => Promise<T>): Promise<T> {
    this.#holders += 1;
    try {
      return await job();
    } finally {
      this.#holders -= 1;
      if (this.#closing) this[Symbol.dispose]();
    }
  }

  [Symbol.dispose](): void {
    this.#closing = true;
    if (this.#fd < 0 || this.#holders > 0) return;
    closeQuietly(this.#fd);
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
      for (const message of this.#receive()) {
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

  /** The messages of one datagram, in a buffer of their own; answers to pool threads' requests are put aside. */
  #receive(): readonly Message[] {
    const length = receiveInto(this.#fd, inbox, 0);
    const messages = decodeMessages(Buffer.from(inbox.subarray(0, length)));
    for (const message of messages) if (this.#later.has(message.sequence)) this.#later.set(message.sequence, message);
    return messages;
  }
}

/** recv(2) that an arriving signal does not end. */
function receiveInto(fd: number, bytes: Buffer, flags: number): number {
  for (;;) {
    const length = recv(fd, bytes, bytes.length, flags);
    if (length >= 0) return length;
    const errno = lastErrno();
    if (errno !== EINTR) throw errnoError('recv', errno);
  }
}

const inbox = Buffer.allocUnsafeSlow(RECEIVE_BYTES);

/**
 * NLMSG_ERROR: errno i32 (negative; 0 acknowledges) · the request's header, and its body unless CAPPED · attributes if
 * ACK_TLVS. NLMSG_DONE: errno i32.
 */
function throwIfFailed(message: Message | undefined, what: string, path: string | null): void {
  if (message === undefined) return;
  const errno = message.body.length >= 4 ? -message.body.readInt32LE(0) : 0;
  if (errno === 0) return;
  let text: string | null = null;
  if (message.type === NLMSG_ERROR && message.flags & NLM_F_ACK_TLVS) {
    const echoed = message.flags & NLM_F_CAPPED ? 16 : message.body.readUInt32LE(4);
    text = textOf(decodeAttributes(message.body.subarray(4 + ((echoed + 3) & ~3))).get(NLMSGERR_ATTR_MSG));
  }
  throw errnoError(what, errno, path, text ?? undefined);
}
