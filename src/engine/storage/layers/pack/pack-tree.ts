import { constants, type BigIntStats } from 'node:fs';
import { lstat, open, readdir, readlink, type FileHandle } from 'node:fs/promises';
import { isUtf8 } from 'node:buffer';
import { errnoCodeOf } from '../../../../base/errors.ts';
import type { FileCalls } from '../../../kernel/files.ts';
import type { ByteString, SparseSegment, TarEntry, TarEntryType } from '../tar/entry.ts';
import { segmentsOf } from '../tar/segments.ts';
import { END_OF_ARCHIVE, headerOf, paddingOf } from '../tar/writer.ts';

/** Opens a directory and nothing else; a symlink is refused with ELOOP or ENOTDIR. */
const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** Not to wait for the writer of a fifo that took the file's place. */
const OPEN_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** The unit of `blocks` in stat(2), whatever the file system's own is. */
const STAT_BLOCK_BYTES = 512n;
const CHUNK_BYTES = 256 * 1024;

/**
 * A directory as a tar, piece by piece: `./`, then all below it by name. Files may change meanwhile: what goes away is left
 * out, what shrinks is filled up with zeros, what grows is cut. It walks from held directories, name by name, and never
 * follows a symlink, so nobody can lead it out of the root. Sockets are left out, as tar leaves them.
 */
export function packTree(root: string, files: FileCalls): AsyncGenerator<Buffer, void, void> {
  return new TreePacker(files).pack(root);
}

class TreePacker {
  readonly #files: FileCalls;
  /** Files with several names: device and inode → the first name. */
  readonly #linked = new Map<string, ByteString>();

  constructor(files: FileCalls) {
    this.#files = files;
  }

  async *pack(root: string): AsyncGenerator<Buffer, void, void> {
    await using directory = await open(root, OPEN_DIRECTORY);
    yield* this.#directory(directory, './');
    yield END_OF_ARCHIVE;
  }

  /** `name` ends in a slash. */
  async *#directory(directory: FileHandle, name: ByteString): AsyncGenerator<Buffer, void, void> {
    const info = await directory.stat({ bigint: true });
    const xattrs = this.#xattrs(placeOf(directory, '.'));
    yield headerOf(memberOf('directory', name, info, { xattrs }));
    const names = await readdir(placeOf(directory, '.'), { encoding: 'latin1' });
    for (const each of names.sort()) {
      // It went away, or something else took its place: then it is not there as it was.
      const entry = await unlessGone(lstat(placeOf(directory, each), { bigint: true }));
      if (entry !== null) yield* this.#entry(directory, each, `${name}${each}`, entry);
    }
  }

  async *#entry(
    parent: FileHandle,
    base: ByteString,
    name: ByteString,
    info: BigIntStats,
  ): AsyncGenerator<Buffer, void, void> {
    const place = placeOf(parent, base);
    if (info.isDirectory()) {
      const handle = await unlessGone(open(place, OPEN_DIRECTORY));
      if (handle === null) return;
      await using directory = handle;
      yield* this.#directory(directory, `${name}/`);
      return;
    }
    const first = this.#firstNameOf(info, name);
    if (first !== null) {
      yield headerOf({ ...memberOf('hardlink', name, info), linkName: first });
      return;
    }
    if (info.isFile()) {
      yield* this.#file(place, name);
    } else if (info.isSymbolicLink()) {
      const linkName = await unlessGone(readlink(place, { encoding: 'latin1' }));
      if (linkName !== null)
        yield headerOf({ ...memberOf('symlink', name, info, { xattrs: this.#xattrs(place) }), linkName });
    } else {
      yield* this.#node(place, name, info);
    }
  }

  async *#file(place: Buffer, name: ByteString): AsyncGenerator<Buffer, void, void> {
    const handle = await unlessGone(open(place, OPEN_FILE));
    if (handle === null) return;
    await using file = handle;
    const info = await file.stat({ bigint: true });
    if (!info.isFile()) return;
    const sizeBytes = Number(info.size);
    const sparse = info.blocks * STAT_BLOCK_BYTES < info.size ? segmentsOf(this.#files, file.fd, sizeBytes) : null;
    yield headerOf(memberOf('file', name, info, { xattrs: this.#xattrs(place), sparse, sizeBytes }));
    const segments = sparse ?? [{ offset: 0, length: sizeBytes }];
    for (const segment of segments) yield* readSegment(file, segment);
    yield paddingOf(segments.reduce((sum, { length }) => sum + length, 0));
  }

  *#node(place: Buffer, name: ByteString, info: BigIntStats): Generator<Buffer, void, void> {
    const type: TarEntryType | null = info.isFIFO()
      ? 'fifo'
      : info.isCharacterDevice()
        ? 'character'
        : info.isBlockDevice()
          ? 'block'
          : null;
    if (type === null) return;
    const { major, minor } = this.#files.splitDevice(info.rdev);
    const member = memberOf(type, name, info, { xattrs: this.#xattrs(place) });
    yield headerOf({ ...member, deviceMajor: major, deviceMinor: minor });
  }

  /** Null for a file that the archive does not have yet. */
  #firstNameOf(info: BigIntStats, name: ByteString): ByteString | null {
    if (info.nlink < 2n) return null;
    const key = `${String(info.dev)}:${String(info.ino)}`;
    const first = this.#linked.get(key);
    if (first === undefined) this.#linked.set(key, name);
    return first ?? null;
  }

  /** The calls take text: attributes of a file whose name is no UTF-8 stay out, those of directories are read by their fd. */
  #xattrs(place: Buffer): ReadonlyMap<string, Buffer> {
    if (!isUtf8(place)) return new Map();
    const path = place.toString('utf8');
    try {
      const pairs = this.#files.listXattrs(path).flatMap((name) => {
        const value = this.#files.getXattr(path, name);
        return value === null ? [] : [[name, value] as const];
      });
      return new Map(pairs);
    } catch (error) {
      if (errnoCodeOf(error) === 'ENOENT') return new Map();
      throw error;
    }
  }
}

function memberOf(type: TarEntryType, name: ByteString, info: BigIntStats, more: Partial<TarEntry> = {}): TarEntry {
  return {
    type,
    name,
    linkName: '',
    sizeBytes: 0,
    mode: Number(info.mode & 0o7777n),
    uid: Number(info.uid),
    gid: Number(info.gid),
    mtimeNs: info.mtimeNs,
    deviceMajor: 0,
    deviceMinor: 0,
    xattrs: new Map(),
    sparse: null,
    ...more,
  };
}

async function* readSegment(file: FileHandle, { offset, length }: SparseSegment): AsyncGenerator<Buffer, void, void> {
  const end = offset + length;
  for (let position = offset; position < end;) {
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end - position));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    // The file has shrunk: the header has promised more.
    const chunk = bytesRead === 0 ? Buffer.alloc(buffer.length) : buffer.subarray(0, bytesRead);
    position += chunk.length;
    yield chunk;
  }
}

/** A path for system calls that stays in the held directory. */
function placeOf(directory: FileHandle, name: ByteString): Buffer {
  return Buffer.from(`/proc/self/fd/${String(directory.fd)}/${name}`, 'latin1');
}

/** Null for what has gone, or is another kind of thing than a moment ago. */
async function unlessGone<T>(step: Promise<T>): Promise<T | null> {
  try {
    return await step;
  } catch (error) {
    const code = errnoCodeOf(error);
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'ENOTDIR' || code === 'EINVAL' || code === 'ENXIO')
      return null;
    throw error;
  }
}
