import { watch } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoCodeOf } from '../../../base/errors.ts';
import type { ContainerLog, LogReadOptions, LogRecord } from '../driver.ts';
import { isRecord, LineRecord, NEWLINE, TIME_LENGTH, timeAt, type RecordPlace } from './line.ts';
import { filesOf, namesLock, newerThan } from './log-files.ts';
import { tailPosition } from './tail.ts';

/**
 * One read: a few hundred ordinary lines, whose records are made in less than a millisecond. Larger ones are slower: the
 * kernel then gives fresh pages for each.
 */
const CHUNK_BYTES = 64 * 1024;

/** Reads a log's files in order, from `place` on, and follows the current one; see logging/driver.ts. */
export async function* readLog(
  log: ContainerLog,
  options: LogReadOptions,
  place: RecordPlace | null,
): AsyncGenerator<readonly LogRecord[], void, void> {
  using changes = new Changes(log.path, options);
  const cursor = new Cursor(log.path);
  try {
    await cursor.start(options.tail, place);
    for (;;) {
      // Looked at before the read: what was written until then is read, and ends the stream only after that.
      const ended = options.follow === null || options.follow.aborted;
      const seen = changes.count;
      const records = await cursor.next();
      if (options.signal.aborted) return;
      if (records !== null) {
        const { wanted, past } = select(records, options);
        if (wanted.length > 0) yield wanted;
        if (past) return;
        continue;
      }
      if (ended) return;
      await changes.after(seen);
    }
  } finally {
    await cursor.close();
  }
}

function select(
  records: readonly LogRecord[],
  { stdout, stderr, since, until }: LogReadOptions,
): { readonly wanted: readonly LogRecord[]; readonly past: boolean } {
  if (stdout && stderr && since === null && until === null) return { wanted: records, past: false };
  const wanted: LogRecord[] = [];
  for (const record of records) {
    if (until !== null && record.time > until) return { wanted, past: true };
    if (since !== null && record.time < since) continue;
    if (record.stream === 'stdout' ? stdout : stderr) wanted.push(record);
  }
  return { wanted, past: false };
}

/** Where reading is: a file held open (so that a rotation cannot take it away) and what of it is not yet a whole line. */
class Cursor {
  readonly #path: string;
  #file: FileHandle | null = null;
  #inode = 0;
  #position = 0;
  #rest: Buffer = Buffer.alloc(0);
  /** The next record was read before: it is where the reader goes on after. */
  #skipsNext = false;

  constructor(path: string) {
    this.#path = path;
  }

  async start(tail: number | null, place: RecordPlace | null): Promise<void> {
    await namesLock.hold(this.#path, async () => {
      const files = await filesOf(this.#path);
      const [oldest] = files;
      if (place !== null) {
        await this.#startAfter(files, place);
        return;
      }
      const from =
        tail === null && oldest !== undefined ? { path: oldest, position: 0 } : await tailPosition(files, tail ?? 0);
      if (from !== null) await this.#open(from.path, from.position);
    });
  }

  /** The next records; null when there are none now. */
  async next(): Promise<readonly LogRecord[] | null> {
    for (;;) {
      if (this.#file === null && !(await this.#open(this.#path, 0))) return null;
      const records = await this.#read();
      if (records !== null) return records;
      if (!(await this.#isRotated())) return null;
      // The writer may have added to this file between the read and its rotation: look once more.
      const late = await this.#read();
      if (late !== null) return late;
      await this.#advance();
    }
  }

  /** At the record itself, to drop it; at the oldest one when its file was rotated away. Under the names' lock. */
  async #startAfter(files: readonly string[], place: RecordPlace): Promise<void> {
    for (const path of files) {
      if (!(await this.#open(path, place.position))) continue;
      if (this.#inode === place.inode && (await this.#isAt(place))) {
        this.#skipsNext = true;
        return;
      }
      await this.close();
    }
    const [oldest] = files;
    if (oldest !== undefined) await this.#open(oldest, 0);
  }

  async #isAt({ position, time }: RecordPlace): Promise<boolean> {
    const head = Buffer.alloc(TIME_LENGTH);
    const read = await this.#file?.read(head, 0, TIME_LENGTH, position);
    return read?.bytesRead === TIME_LENGTH && timeAt(head, 0) === time;
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
  }

  async #read(): Promise<readonly LogRecord[] | null> {
    for (;;) {
      const chunk = Buffer.allocUnsafe(this.#rest.length + CHUNK_BYTES);
      this.#rest.copy(chunk);
      const bytesRead = (await this.#file?.read(chunk, this.#rest.length, CHUNK_BYTES, this.#position))?.bytesRead ?? 0;
      if (bytesRead === 0) return null;
      const origin = { inode: this.#inode, position: this.#position - this.#rest.length };
      this.#position += bytesRead;
      const filled = chunk.subarray(0, this.#rest.length + bytesRead);
      const records: LogRecord[] = [];
      let start = 0;
      for (let end = filled.indexOf(NEWLINE); end >= 0; end = filled.indexOf(NEWLINE, start)) {
        if (isRecord(filled, start, end)) records.push(new LineRecord(filled, start, end, origin));
        start = end + 1;
      }
      this.#rest = filled.subarray(start);
      if (this.#skipsNext && records.length > 0) {
        this.#skipsNext = false;
        records.shift();
      }
      if (records.length > 0) return records;
    }
  }

  #isRotated(): Promise<boolean> {
    return namesLock.hold(this.#path, async () => (await newerThan(this.#path, this.#inode)) !== null);
  }

  /** Leaves a file that was rotated away for the one after it. */
  async #advance(): Promise<void> {
    await namesLock.hold(this.#path, async () => {
      const newer = await newerThan(this.#path, this.#inode);
      await this.close();
      if (newer !== null) await this.#open(newer, 0);
    });
  }

  async #open(path: string, position: number): Promise<boolean> {
    try {
      this.#file = await open(path, 'r');
    } catch (error) {
      if (errnoCodeOf(error) === 'ENOENT') return false;
      throw error;
    }
    this.#inode = (await this.#file.stat()).ino;
    this.#position = position;
    this.#rest = Buffer.alloc(0);
    return true;
  }
}

/** Counts changes in the log's directory, so that none between a read and the wait for the next is missed. */
class Changes implements Disposable {
  count = 0;
  readonly #close: () => void;
  #wake: (() => void) | null = null;

  constructor(path: string, { follow, signal }: LogReadOptions) {
    const onChange = (): void => {
      this.count += 1;
      this.#wake?.();
    };
    const watcher = follow === null ? null : watch(dirname(path), { persistent: false }, onChange);
    // The directory goes with its container; the follow signal tells that as well.
    watcher?.on('error', onChange);
    follow?.addEventListener('abort', onChange);
    signal.addEventListener('abort', onChange);
    this.#close = () => {
      watcher?.close();
      follow?.removeEventListener('abort', onChange);
      signal.removeEventListener('abort', onChange);
    };
  }

  /** Settles at the first change after `seen`. */
  async after(seen: number): Promise<void> {
    if (this.count !== seen) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = null;
  }

  [Symbol.dispose](): void {
    this.#close();
  }
}
