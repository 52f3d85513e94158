import { closeSync, fstatSync, readlinkSync, readSync, type BigIntStats } from 'node:fs';
import type { FileCalls } from '../../../kernel/files.ts';
import { hasHoles } from '../tree/file-holes.ts';
import { segmentsOf } from './segments.ts';
import { openFile, unlessGone } from '../tree/held-directory.ts';
import { layerXattrs } from '../tree/layer-attributes.ts';
import type { ByteString, SparseSegment, TarEntry, TarEntryType } from './entry.ts';
import { BLOCK_BYTES } from './header.ts';
import { END_OF_ARCHIVE, headerOf } from './writer.ts';

/** One thing on its way into an archive. `name`: below the root, without slashes at its ends. */
export type PackItem =
  /** A file of any kind; `place` is good until the next item is asked for. */
  | { readonly kind: 'node'; readonly name: ByteString; readonly place: Buffer; readonly info: BigIntStats }
  /** The parents' `name` is gone. */
  | { readonly kind: 'gone'; readonly name: ByteString }
  /** All that the parents have in directory `name` is gone. */
  | { readonly kind: 'opaque'; readonly name: ByteString };

/** What was found out while an archive was written. */
export interface PackTally {
  members: number;
  /** Bytes of the files, as Docker counts a layer's size; with `symlinks` their targets too. */
  sizeBytes: number;
}

const STAGING_BYTES = 1024 * 1024;
/** Smaller files are not worth the call. */
const WRITE_OUT_BYTES = 256 * 1024;

export interface TarStreamOptions {
  readonly countsSymlinks?: boolean;
  /** Names that are in the archive's parents already, by {@link inodeOf}. */
  readonly linked?: ReadonlyMap<string, ByteString>;
  /** Files with holes are written as they read, zeros and all: not every reader of tars knows sparse members. */
  readonly fillsHoles?: boolean;
  /** Ids as the archive is to have them. */
  readonly idsInside?: { readonly uid: (id: number) => number; readonly gid: (id: number) => number };
  /** The files were just written and are to last: the disk begins with large ones as they are read. */
  readonly writesOut?: boolean;
  /** As Go writes them for dockerd. */
  readonly wholeSeconds?: boolean;
  /** What is later gets this time, in seconds since 1970; absent or null: times are as they are. */
  readonly latestTime?: number | null;
}

/**
 * Writes items as a tar: plain synchronous calls into two large buffers that take turns. A chunk stays as it is until the
 * one after the next is asked for, so that it can be hashed and compressed while the next is read.
 *
 * Files may change meanwhile: what goes away is left out, what shrinks is filled up with zeros, what grows is cut.
 * Sockets are left out, as tar leaves them.
 */
export class TarStream {
  readonly tally: PackTally = { members: 0, sizeBytes: 0 };
  readonly #files: FileCalls;
  readonly #options: TarStreamOptions;
  readonly #countsSymlinks: boolean;
  /** Files with several names: device and inode → the first name. */
  readonly #linked: Map<string, ByteString>;
  #buffer = Buffer.allocUnsafeSlow(STAGING_BYTES);
  #other = Buffer.allocUnsafeSlow(STAGING_BYTES);
  #at = 0;

  constructor(files: FileCalls, options: TarStreamOptions = {}) {
    this.#files = files;
    this.#options = options;
    this.#countsSymlinks = options.countsSymlinks ?? false;
    this.#linked = new Map(options.linked);
  }

  *chunks(items: Iterable<PackItem>): Generator<Buffer, void, void> {
    for (const item of items) yield* this.#item(item);
    yield* this.#add(END_OF_ARCHIVE);
    if (this.#at > 0) yield this.#turn();
  }

  *#item(item: PackItem): Generator<Buffer, void, void> {
    switch (item.kind) {
      case 'gone': {
        const slash = item.name.lastIndexOf('/') + 1;
        return yield* this.#mark(`${item.name.slice(0, slash)}.wh.${item.name.slice(slash)}`);
      }
      case 'opaque':
        return yield* this.#mark(`${item.name}/.wh..wh..opq`);
      case 'node':
        return yield* this.#node(item.name, item.place, item.info);
    }
  }

  /** An empty file whose name says it all. */
  *#mark(name: ByteString): Generator<Buffer, void, void> {
    yield* this.#member({ ...NOTHING, type: 'file', name, mode: 0o600 });
  }

  *#node(name: ByteString, place: Buffer, info: BigIntStats): Generator<Buffer, void, void> {
    const type = typeOf(info);
    if (type === null) return;
    const first = type === 'directory' || info.nlink < 2n ? undefined : this.#linked.get(inodeOf(info));
    if (first !== undefined && first !== name) {
      yield* this.#member({ ...this.#describe('hardlink', name, info), linkName: first });
      return;
    }
    if (type === 'file') {
      yield* this.#file(name, place);
      return;
    }
    const linkName = type === 'symlink' ? unlessGone(() => readlinkSync(place, { encoding: 'latin1' })) : '';
    if (linkName === null) return;
    if (this.#countsSymlinks) this.tally.sizeBytes += linkName.length;
    this.#remember(name, info);
    const { major, minor } = type === 'character' || type === 'block' ? this.#files.splitDevice(info.rdev) : NO_DEVICE;
    const entry = this.#describe(type, type === 'directory' ? `${name}/` : name, info);
    const xattrs = layerXattrs(this.#files, place);
    yield* this.#member({ ...entry, linkName, xattrs, deviceMajor: major, deviceMinor: minor });
  }

  *#file(name: ByteString, place: Buffer): Generator<Buffer, void, void> {
    const xattrs = layerXattrs(this.#files, place);
    const fd = openFile(place);
    if (fd === null) return;
    try {
      // Asked again: another file may have taken the name.
      const info = fstatSync(fd, { bigint: true });
      if (!info.isFile()) return;
      this.#remember(name, info);
      const sizeBytes = Number(info.size);
      this.tally.sizeBytes += sizeBytes;
      if (this.#options.writesOut === true && sizeBytes >= WRITE_OUT_BYTES) this.#files.startWriteOut(fd, 0, 0);
      const sparse = hasHoles(info) && this.#options.fillsHoles !== true ? this.#holesOf(fd, sizeBytes) : null;
      yield* this.#member({ ...this.#describe('file', name, info), xattrs, sparse, sizeBytes });
      const segments = sparse ?? [{ offset: 0, length: sizeBytes }];
      for (const segment of segments) yield* this.#content(fd, segment);
      const stored = segments.reduce((sum, { length }) => sum + length, 0);
      yield* this.#zeros((BLOCK_BYTES - (stored % BLOCK_BYTES)) % BLOCK_BYTES);
    } finally {
      closeSync(fd);
    }
  }

  /** Null for a file without holes (a file system that compresses tells of fewer blocks, too). */
  #holesOf(fd: number, sizeBytes: number): readonly SparseSegment[] | null {
    const segments = segmentsOf(this.#files, fd, sizeBytes);
    const [first] = segments;
    return first?.offset === 0 && first.length === sizeBytes ? null : segments;
  }

  *#content(fd: number, { offset, length }: SparseSegment): Generator<Buffer, void, void> {
    const end = offset + length;
    for (let position = offset; position < end;) {
      const room = Math.min(STAGING_BYTES - this.#at, end - position);
      const read = readSync(fd, this.#buffer, this.#at, room, position);
      // The file has shrunk: the header has promised more.
      if (read === 0) return yield* this.#zeros(end - position);
      this.#at += read;
      position += read;
      if (this.#at === STAGING_BYTES) yield this.#turn();
    }
  }

  *#member(entry: TarEntry): Generator<Buffer, void, void> {
    this.tally.members += 1;
    yield* this.#add(headerOf(entry));
  }

  *#add(bytes: Buffer): Generator<Buffer, void, void> {
    for (let done = 0; done < bytes.length;) {
      const copied = bytes.copy(this.#buffer, this.#at, done);
      done += copied;
      this.#at += copied;
      if (this.#at === STAGING_BYTES) yield this.#turn();
    }
  }

  *#zeros(count: number): Generator<Buffer, void, void> {
    for (let left = count; left > 0;) {
      const length = Math.min(left, STAGING_BYTES - this.#at);
      this.#buffer.fill(0, this.#at, this.#at + length);
      left -= length;
      this.#at += length;
      if (this.#at === STAGING_BYTES) yield this.#turn();
    }
  }

  /** The filled buffer; the other one is next. */
  #turn(): Buffer {
    const full = this.#buffer.subarray(0, this.#at);
    [this.#buffer, this.#other] = [this.#other, this.#buffer];
    this.#at = 0;
    return full;
  }

  #remember(name: ByteString, info: BigIntStats): void {
    if (!info.isDirectory() && info.nlink > 1n) this.#linked.set(inodeOf(info), name);
  }

  #describe(type: TarEntryType, name: ByteString, info: BigIntStats): TarEntry {
    const { idsInside, wholeSeconds, latestTime = null } = this.#options;
    const latestNs = latestTime === null ? null : BigInt(latestTime) * NS_PER_SECOND;
    const mtimeNs = latestNs !== null && info.mtimeNs > latestNs ? latestNs : info.mtimeNs;
    return {
      ...NOTHING,
      type,
      name,
      mode: Number(info.mode & 0o7777n),
      uid: idsInside?.uid(Number(info.uid)) ?? Number(info.uid),
      gid: idsInside?.gid(Number(info.gid)) ?? Number(info.gid),
      mtimeNs: wholeSeconds === true ? mtimeNs - (mtimeNs % NS_PER_SECOND) : mtimeNs,
    };
  }
}

/** What names one file whatever it is called. */
export function inodeOf(info: BigIntStats): string {
  return `${String(info.dev)}:${String(info.ino)}`;
}

const NS_PER_SECOND = 1_000_000_000n;
const NO_DEVICE = { major: 0, minor: 0 };
const NOTHING: Omit<TarEntry, 'type' | 'name'> = {
  linkName: '',
  sizeBytes: 0,
  mode: 0,
  uid: 0,
  gid: 0,
  mtimeNs: 0n,
  deviceMajor: 0,
  deviceMinor: 0,
  xattrs: new Map(),
  sparse: null,
};

/** Null for sockets. */
function typeOf(info: BigIntStats): TarEntryType | null {
  if (info.isFile()) return 'file';
  if (info.isDirectory()) return 'directory';
  if (info.isSymbolicLink()) return 'symlink';
  if (info.isFIFO()) return 'fifo';
  if (info.isCharacterDevice()) return 'character';
  return info.isBlockDevice() ? 'block' : null;
}
