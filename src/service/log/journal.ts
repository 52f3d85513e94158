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
/** What may wait in memory for a stderr that takes nothing: some thousand lines. */
const MAX_WAITING_BYTES = 1024 * 1024;

/** True when `fd` is the stream that systemd connected to the journal (JOURNAL_STREAM, `device:inode`). */
export function isJournalStream(env: NodeJS.ProcessEnv, fd: number): boolean {
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return env['JOURNAL_STREAM'] === `${String(dev)}:${String(ino)}`;
  } catch {
    return false;
  }
}

/**
 * Writes entries to the journal; each is one datagram and waits for nothing. While journald is not there, or its queue is
 * full, lines go to stderr (under systemd: a stream that systemd keeps for journald), again without waiting; the next line
 * tries the journal anew.
 */
export class JournalWriter implements LineWriter, Disposable {
  readonly #socket: DatagramSocket;
  readonly #clock: Clock;
  readonly #address: string;
  readonly #openFallback: () => Socket;
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
    try {
      this.#send(journalEntry(PRIORITIES[severity], text, fields));
      this.#tellOfLosses();
    } catch {
      this.#writeAside(`<${String(PRIORITIES[severity])}>${logfmtLine(this.#clock, severity, text, fields)}`);
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
    this.#fallback?.destroy();
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

  #writeAside(line: string): void {
    try {
      this.#fallback ??= this.#openFallback().on('error', () => undefined);
      if (this.#fallback.writable && this.#fallback.writableLength < MAX_WAITING_BYTES) {
        this.#fallback.write(line);
        return;
      }
    } catch {
      // No stderr either.
    }
    this.#lost += 1;
  }

  #tellOfLosses(): void {
    if (this.#lost === 0) return;
    const text = `${String(this.#lost)} log lines could be written neither to the journal nor to stderr`;
    this.#lost = 0;
    this.#send(journalEntry(PRIORITIES.warn, text, {}));
  }
}
