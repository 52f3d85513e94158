import { fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Clock } from '../../base/clock.ts';
import type { LogFields } from '../../base/logger.ts';
import { KernelError, type DatagramSocket, type Kernel } from '../../engine/kernel/kernel.ts';
import { journalEntry } from './journal-entry.ts';
import { logfmtLine } from './logfmt.ts';
import type { LineWriter, Severity } from './line-writer.ts';

const JOURNAL_SOCKET = '/run/systemd/journal/socket';
const STDERR_FD = 2;
const PRIORITIES: Readonly<Record<Severity, number>> = { debug: 7, info: 6, warn: 4, error: 3 };
/** What may wait for journald to come back, and for a stderr that takes nothing: some thousand lines each. */
const MAX_WAITING_BYTES = 1024 * 1024;
const RETRY_MS = 1_000;

/** True when `fd` is the stream that systemd connected to the journal (JOURNAL_STREAM, `device:inode`). */
export function isJournalStream(env: NodeJS.ProcessEnv, fd: number): boolean {
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return env['JOURNAL_STREAM'] === `${String(dev)}:${String(ino)}`;
  } catch {
    return false;
  }
}

interface Waiting {
  readonly entry: Buffer;
  /** The same for stderr. */
  readonly line: string;
}

/**
 * Writes entries to the journal; each is one datagram and waits for nothing. While journald is not there, or its queue is
 * full, entries wait in memory and are sent, in order, as soon as it takes them; what is too much for that, and what waits
 * at the end, goes to stderr, again without waiting.
 */
export class JournalWriter implements LineWriter, Disposable {
  readonly #socket: DatagramSocket;
  readonly #clock: Clock;
  readonly #address: string;
  readonly #openFallback: () => Socket;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #retry: Disposable | null = null;
  #fallback: Socket | null = null;
  #lost = 0;

  constructor(
    kernel: Pick<Kernel, 'sockets'>,
    clock: Clock,
    address = JOURNAL_SOCKET,
    // Through libuv, and so without blocking: writing to the descriptor itself would wait for a full one.
    openFallback = (): Socket => new Socket({ fd: STDERR_FD, readable: false, writable: true }),
  ) {
    this.#socket = kernel.sockets.openDatagrams();
    this.#clock = clock;
    this.#address = address;
    this.#openFallback = openFallback;
  }

  write(severity: Severity, text: string, fields: LogFields): void {
    const entry = journalEntry(PRIORITIES[severity], text, fields);
    if (this.#waiting.length > 0) this.#flush();
    if (this.#waiting.length === 0 && this.#isSent(entry)) return;
    const line = `<${String(PRIORITIES[severity])}>${logfmtLine(this.#clock, severity, text, fields)}`;
    this.#waiting.push({ entry, line });
    this.#waitingBytes += entry.length;
    this.#retry ??= this.#clock.after(RETRY_MS, () => this.#flush());
    while (this.#waitingBytes > MAX_WAITING_BYTES) this.#writeAside(this.#shift());
  }

  [Symbol.dispose](): void {
    this.#flush();
    while (this.#waiting.length > 0) this.#writeAside(this.#shift());
    this.#retry?.[Symbol.dispose]();
    this.#socket[Symbol.dispose]();
    this.#fallback?.end();
  }

  /** Sends what waits, as far as journald takes it. */
  #flush(): void {
    this.#retry?.[Symbol.dispose]();
    this.#retry = null;
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      if (!this.#isSent(first.entry)) {
        this.#retry = this.#clock.after(RETRY_MS, () => this.#flush());
        return;
      }
      this.#shift();
    }
    if (this.#lost === 0) return;
    const text = `${String(this.#lost)} log lines could be written neither to the journal nor to stderr`;
    if (this.#isSent(journalEntry(PRIORITIES.warn, text, {}))) this.#lost = 0;
  }

  #isSent(entry: Buffer): boolean {
    try {
      this.#send(entry);
      return true;
    } catch {
      return false;
    }
  }

  #shift(): Waiting | undefined {
    const first = this.#waiting.shift();
    this.#waitingBytes -= first?.entry.length ?? 0;
    return first;
  }

  #send(entry: Buffer): void {
    try {
      this.#socket.send(this.#address, entry);
    } catch (error) {
      const tooLong = error instanceof KernelError && (error.code === 'EMSGSIZE' || error.code === 'ENOBUFS');
      if (!tooLong) throw error;
      this.#socket.sendAsFile(this.#address, entry);
    }
  }

  #writeAside(waiting: Waiting | undefined): void {
    if (waiting === undefined) return;
    try {
      this.#fallback ??= this.#openFallback().on('error', () => undefined);
      if (this.#fallback.writable && this.#fallback.writableLength < MAX_WAITING_BYTES) {
        this.#fallback.write(waiting.line);
        return;
      }
    } catch {
      // No stderr either.
    }
    this.#lost += 1;
  }
}
