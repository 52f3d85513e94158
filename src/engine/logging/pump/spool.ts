/**
 * The monitor's log as a queue: read from a place on, file after file, while it grows and is rotated by the daemon's main
 * thread. Files that wait are held open, so that a rotation takes none away unseen; of those that the log's bounds have
 * deleted, only the one being read is held on to, and the lines of the others are counted as lost. All calls are
 * synchronous: this is the pump's thread.
 */
import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { NEWLINE } from '../monitor-log/line.ts';
import type { Place } from './position.ts';

/** Enough to tell two files of one inode apart: the time of the first line. */
const HEAD_BYTES = 35;
/** Renames under way make a look at the directory wrong; not many times in a row. */
const LOOKS = 20;
const COUNT_BYTES = 256 * 1024;

interface SpoolFile {
  readonly fd: number;
  readonly inode: number;
  offset: number;
}

export class Spool implements Disposable {
  readonly #path: string;
  readonly #files: SpoolFile[] = [];
  #lost = 0;
  #hasGap = false;
  #head = '';
  #chunk = Buffer.alloc(0);

  /** Goes on at `place`; with null, or when that is gone, at the oldest there is. */
  constructor(path: string, place: Place | null) {
    this.#path = path;
    if (place !== null) this.#resume(place);
  }

  /** False when the place it was to go on at was not found. */
  get isResumed(): boolean {
    return this.#files.length > 0;
  }

  /** Where the next chunk will be read. */
  get place(): Place {
    const [file] = this.#files;
    if (file === undefined) return { inode: 0, offset: 0, head: '' };
    if (this.#head.length < HEAD_BYTES) this.#head = headOf(file.fd);
    return { inode: file.inode, offset: file.offset, head: this.#head };
  }

  /** How many lines were lost since the last call. */
  takeLost(): number {
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }

  /** True once after files came and went that were never seen. */
  takeGap(): boolean {
    const hasGap = this.#hasGap;
    this.#hasGap = false;
    return hasGap;
  }

  /** Whole records, about `size` bytes of them, without going past them; null when there are none now. */
  peek(size: number): Buffer | null {
    for (;;) {
      const [file, successor] = this.#files;
      if (file === undefined) {
        this.look();
        if (this.#files.length === 0) return null;
        continue;
      }
      const chunk = this.#read(file, size);
      if (chunk !== null) return chunk;
      if (successor !== undefined) {
        // It was there before this read: what was written to the older file has been read.
        this.#shift();
        continue;
      }
      this.look();
      if (this.#files.length < 2) return null;
    }
  }

  /** Goes past the first `length` bytes of what was peeked at. */
  skip(length: number): void {
    const [file] = this.#files;
    if (file !== undefined) file.offset += length;
  }

  /** Looks for files that have come, and gives up those that the bounds have taken. */
  look(): void {
    for (let looks = 0; looks < LOOKS && !this.#extend(); looks += 1);
    while (this.#files.filter((file) => linksOf(file) === 0).length > 1) {
      const [file] = this.#files;
      if (file === undefined) return;
      this.#lost += linesAfter(file);
      this.#shift();
    }
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#files.splice(0)) closeSync(fd);
  }

  #resume(place: Place): void {
    for (const path of this.#paths()) {
      const file = opened(path);
      if (file === null) continue;
      if (
        file.inode === place.inode &&
        headOf(file.fd).startsWith(place.head) &&
        fstatSync(file.fd).size >= place.offset
      ) {
        this.#files.push({ ...file, offset: place.offset });
        return;
      }
      closeSync(file.fd);
    }
  }

  #shift(): void {
    const file = this.#files.shift();
    if (file !== undefined) closeSync(file.fd);
    this.#head = '';
  }

  /** False when the directory changed meanwhile: look again. */
  #extend(): boolean {
    const last = this.#files.at(-1);
    const inode = last?.inode ?? -1;
    if (last !== undefined && inodeOf(this.#path) === inode) return true;
    const found = this.#paths().map((path) => ({ path, inode: inodeOf(path) }));
    const known = found.findIndex((file) => file.inode === inode);
    // It has a name still, and was between two of them when we looked.
    if (known < 0 && linksOf(last) > 0) return false;
    if (known < 0 && last !== undefined && found.length > 0) this.#hasGap = true;
    return found.slice(known + 1).every((file) => this.#append(file));
  }

  /** False when another file has got the name. */
  #append({ path, inode }: { readonly path: string; readonly inode: number }): boolean {
    const file = opened(path);
    if (file === null) return false;
    if (file.inode === inode) this.#files.push(file);
    else closeSync(file.fd);
    return file.inode === inode;
  }

  /** The log's files by name, oldest first. */
  #paths(): readonly string[] {
    const base = basename(this.#path);
    const directory = dirname(this.#path);
    return readdirSync(directory)
      .filter((name) => name.startsWith(base) && /^(\.\d+)?$/.test(name.slice(base.length)))
      .sort((a, b) => numberOf(b, base) - numberOf(a, base))
      .map((name) => `${directory}/${name}`);
  }

  #read(file: SpoolFile, size: number): Buffer | null {
    for (let room = size; ; room *= 2) {
      // Never written to again: entries point into it until they are shipped, and then it is free for the next.
      if (this.#chunk.length < room) this.#chunk = Buffer.allocUnsafeSlow(room);
      const length = readSync(file.fd, this.#chunk, 0, room, file.offset);
      const end = this.#chunk.subarray(0, length).lastIndexOf(NEWLINE) + 1;
      if (end > 0) return this.#chunk.subarray(0, end);
      if (length < room) return null;
    }
  }
}

/** 0 for one that the bounds have taken, and for none. */
function linksOf(file: SpoolFile | undefined): number {
  return file === undefined ? 0 : fstatSync(file.fd).nlink;
}

/** 0 for the file that is being written. */
function numberOf(name: string, base: string): number {
  return Number(name.slice(base.length + 1));
}

function opened(path: string): SpoolFile | null {
  try {
    const fd = openSync(path, 'r');
    return { fd, inode: fstatSync(fd).ino, offset: 0 };
  } catch {
    return null;
  }
}

function inodeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? -1;
}

function headOf(fd: number): string {
  const head = Buffer.alloc(HEAD_BYTES);
  return head.toString('latin1', 0, readSync(fd, head, 0, HEAD_BYTES, 0));
}

function linesAfter({ fd, offset }: SpoolFile): number {
  const chunk = Buffer.allocUnsafe(COUNT_BYTES);
  let lines = 0;
  for (let at = offset; ;) {
    const length = readSync(fd, chunk, 0, COUNT_BYTES, at);
    if (length === 0) return lines;
    for (let found = chunk.indexOf(NEWLINE); found >= 0 && found < length; found = chunk.indexOf(NEWLINE, found + 1)) {
      lines += 1;
    }
    at += length;
  }
}
