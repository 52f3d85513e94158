/**
 * `ID-json.log` and its rotated forebears, written by the pump's thread (all calls are synchronous).
 *
 * Nothing is written twice, also after a kill: the bytes of a line depend on the line alone, so that what the file has
 * beyond its mark is what the lines after the position begin with, and is not written again.
 */
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  fstatSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { LogBounds } from '../monitor-log.ts';
import type { LogEntry, LogSink, SinkSpec } from '../sink.ts';
import { LineEncoder } from './encode.ts';

const MODE = 0o640;
const BATCH_BYTES = 512 * 1024;
const RETRY_MS = 1000;

export interface JsonFileSpec extends SinkSpec, LogBounds {
  readonly kind: 'json-file';
  readonly path: string;
  /** JSON object, or null. */
  readonly attrs: string | null;
  /** Rotated files are gzipped: `path.1.gz`. */
  readonly compress: boolean;
}

/** Opens the file, as it was left at `mark`. */
export function openJsonFileSink(spec: JsonFileSpec, mark: string): LogSink {
  return new JsonFileSink(spec, mark);
}

class JsonFileSink implements LogSink {
  readonly batchBytes = BATCH_BYTES;
  readonly retry = { firstMs: RETRY_MS, attempts: null };
  readonly #spec: JsonFileSpec;
  readonly #encoder: LineEncoder;
  #fd: number | null = null;
  #inode = 0;
  /** Of the file, as far as its position is known to be written down. */
  #size = 0;
  /** Bytes that the file has beyond that: the next ones are there already. */
  #ahead = 0;
  #compressing: Promise<void> = Promise.resolve();

  constructor(spec: JsonFileSpec, mark: string) {
    this.#spec = spec;
    this.#encoder = new LineEncoder(spec.attrs);
    const [, inode = '0', size = '0'] = /^(\d+)-(\d+)$/.exec(mark) ?? [];
    this.#inode = Number(inode);
    this.#size = Number(size);
  }

  get mark(): string {
    return `${String(this.#inode)}-${String(this.#size)}`;
  }

  async ship(entries: readonly LogEntry[]): Promise<number> {
    this.#open();
    if (this.#isFull(this.#size)) {
      await this.#rotate();
      this.#open();
    }
    const encoder = this.#encoder;
    encoder.clear();
    let taken = 0;
    for (const entry of entries) {
      encoder.add(entry);
      taken += 1;
      if (entry.endsRecord && this.#isFull(this.#size + encoder.length)) break;
    }
    this.#write(encoder.bytes);
    return taken;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    await this.#compressing;
  }

  #isFull(size: number): boolean {
    const { maxSizeBytes } = this.#spec;
    return maxSizeBytes !== null && size >= maxSizeBytes;
  }

  /** Also after somebody moved or emptied the file (logrotate): the lines go on where the name leads. */
  #open(): void {
    if (this.#fd !== null && inodeOf(this.#spec.path) === this.#inode) {
      const { size } = fstatSync(this.#fd);
      if (size < this.#size) this.#size = size;
      this.#ahead = size - this.#size;
      return;
    }
    this.#close();
    this.#fd = openSync(this.#spec.path, 'a', MODE);
    const { ino, size } = fstatSync(this.#fd);
    const isKnown = ino === this.#inode;
    // A daemon killed right after a rotation, or its first lines, has written to a fresh file what no mark tells of.
    const isFresh = !isKnown && (this.#inode === 0 || this.#isFull(this.#size));
    if (isKnown) this.#size = Math.min(this.#size, size);
    else this.#size = isFresh ? 0 : size;
    this.#inode = ino;
    this.#ahead = size - this.#size;
  }

  #write(bytes: Buffer): void {
    let at = Math.min(this.#ahead, bytes.length);
    // What was written when the disk became full stays; the rest comes with the next attempt.
    while (at < bytes.length && this.#fd !== null) at += writeSync(this.#fd, bytes, at);
    this.#size += bytes.length;
    this.#ahead = Math.max(0, this.#ahead - bytes.length);
  }

  async #rotate(): Promise<void> {
    await this.#compressing;
    this.#close();
    const { path, maxFiles, compress } = this.#spec;
    if (maxFiles < 2) rmSync(path, { force: true });
    else {
      for (let number = maxFiles - 1; number > 1; number -= 1) {
        for (const suffix of ['', '.gz'])
          move(`${path}.${String(number - 1)}${suffix}`, `${path}.${String(number)}${suffix}`);
      }
      move(path, `${path}.1`);
      if (compress) this.#compressing = pack(`${path}.1`).catch(() => undefined);
    }
  }

  #close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }
}

function inodeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? -1;
}

/** Takes the place of what is there, whichever of its two forms that has. */
function move(from: string, to: string): void {
  const plain = to.replace(/\.gz$/, '');
  if (!existsSync(from)) return;
  for (const old of [plain, `${plain}.gz`]) rmSync(old, { force: true });
  renameSync(from, to);
}

/** A file that could not be packed (a full disk) stays as it is: it is read all the same. */
async function pack(path: string): Promise<void> {
  const packed = `${path}.gz`;
  try {
    await pipeline(createReadStream(path), createGzip(), createWriteStream(packed, { mode: MODE }));
    rmSync(path, { force: true });
  } catch (error) {
    rmSync(packed, { force: true });
    throw error;
  }
}
