/**
 * A streaming tar reader for one purpose: to write layers fast. It is pushed chunks of any size, calls its sink
 * synchronously, copies nothing but headers, and never holds more than one header's worth of bytes.
 *
 * It reads v7, ustar, GNU (long names, base 256, sparse) and PAX (path, linkpath, size, ids, mtime, xattrs, sparse).
 * Two blocks of zeros, or the end of the input in place of a header, end the archive; what follows is ignored, as tar
 * and dockerd do. Everything else that is no header is refused.
 */
import {
  invalidHeader,
  unexpectedEnd,
  type SparseSegment,
  type TarEntry,
  type TarEntryType,
  type TarSink,
} from './entry.ts';
import { BLOCK_BYTES, parseHeader, type TarHeader } from './header.ts';
import { decimal, parsePax, parsePaxTime, SPARSE_MAP, type PaxRecords } from './pax.ts';
import { checkedSegments, DataMapReader, oldGnuPairs, oldGnuRealSize, paxMap } from './sparse.ts';
import { InvalidArgumentError } from '../../../../base/errors.ts';

/** Go's limit for extension headers (PAX records, long names): more is an attack on our memory. */
const MAX_EXTENSION_BYTES = 1024 * 1024;
const XATTR_PREFIX = 'SCHILY.xattr.';
const NS_PER_SECOND = 1_000_000_000n;

/** Where the next byte belongs. */
type Phase = 'header' | 'extension' | 'sparse-extension' | 'sparse-map' | 'data' | 'padding' | 'ended';

/** Extensions read so far for the next member. */
interface Pending {
  pax: PaxRecords;
  longName: string | null;
  longLink: string | null;
}

export class TarReader {
  readonly #sink: TarSink;
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  #blockFill = 0;
  #phase: Phase = 'header';
  #zeroBlock = false;
  /** Bytes of the present member's data, or of an extension, still to come; and of the padding behind it. */
  #remaining = 0;
  #padding = 0;
  #position = 0;
  #segments: readonly SparseSegment[] | null = null;
  #segmentIndex = 0;
  #segmentDone = 0;
  #extension: { flag: string; parts: Buffer[] } | null = null;
  #pending: Pending = noPending();
  #header: TarHeader | null = null;
  #oldGnu: { segments: SparseSegment[]; realSize: number } | null = null;
  #map: DataMapReader | null = null;

  constructor(sink: TarSink) {
    this.#sink = sink;
  }

  /** Takes the next bytes of the archive. Throws InvalidArgumentError for a broken one, and what the sink throws. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      switch (this.#phase) {
        case 'ended':
          return;
        case 'data':
          at += this.#takeData(chunk, at);
          break;
        case 'extension':
          at += this.#takeExtension(chunk, at);
          break;
        case 'padding':
          at += this.#takePadding(chunk.length - at);
          break;
        case 'header':
        case 'sparse-extension':
        case 'sparse-map':
          at += this.#takeBlock(chunk, at);
      }
    }
  }

  /**
   * The input is at its end. Throws InvalidArgumentError when the archive is not. As for Go, it may end where the last
   * member's bytes do: the docker CLI leaves it so when it adds a Dockerfile to a context.
   */
  finish(): void {
    const between = this.#phase === 'ended' || (this.#phase === 'header' && this.#blockFill === 0);
    if (!between && this.#phase !== 'padding') throw unexpectedEnd();
  }

  /** Gathers a block; uses it in place when the chunk holds all of it. */
  #takeBlock(chunk: Buffer, at: number): number {
    if (this.#blockFill === 0 && chunk.length - at >= BLOCK_BYTES) {
      this.#onBlock(chunk.subarray(at, at + BLOCK_BYTES));
      return BLOCK_BYTES;
    }
    const length = Math.min(BLOCK_BYTES - this.#blockFill, chunk.length - at);
    chunk.copy(this.#block, this.#blockFill, at, at + length);
    this.#blockFill += length;
    if (this.#blockFill === BLOCK_BYTES) {
      this.#blockFill = 0;
      this.#onBlock(this.#block);
    }
    return length;
  }

  #onBlock(block: Buffer): void {
    if (this.#phase === 'header') this.#onHeader(block);
    else if (this.#phase === 'sparse-extension') this.#onSparseExtension(block);
    else this.#onSparseMap(block);
  }

  #onHeader(block: Buffer): void {
    const header = parseHeader(block);
    if (header === null) {
      if (this.#zeroBlock) this.#phase = 'ended';
      this.#zeroBlock = true;
      return;
    }
    if (this.#zeroBlock) throw invalidHeader();
    if (isExtension(header.flag)) {
      if (header.sizeBytes > MAX_EXTENSION_BYTES) throw new InvalidArgumentError('archive/tar: header field too long');
      this.#extension = { flag: header.flag, parts: [] };
      this.#remaining = header.sizeBytes;
      this.#padding = paddingOf(header.sizeBytes);
      this.#phase = 'extension';
      if (this.#remaining === 0) this.#onExtension();
      return;
    }
    this.#header = header;
    if (header.flag === 'S') {
      const { segments, more } = oldGnuPairs(block, false);
      this.#oldGnu = { segments: [...segments], realSize: oldGnuRealSize(block) };
      if (more) {
        this.#phase = 'sparse-extension';
        return;
      }
    }
    this.#begin(header);
  }

  #onSparseExtension(block: Buffer): void {
    const { segments, more } = oldGnuPairs(block, true);
    const gathered = this.#oldGnu;
    if (gathered === null || this.#header === null) throw invalidHeader();
    gathered.segments.push(...segments);
    // Bounds the list while it grows.
    checkedSegments(gathered.segments, gathered.realSize);
    if (!more) this.#begin(this.#header);
  }

  #takeExtension(chunk: Buffer, at: number): number {
    const length = Math.min(this.#remaining, chunk.length - at);
    this.#extension?.parts.push(Buffer.from(chunk.subarray(at, at + length)));
    this.#remaining -= length;
    if (this.#remaining === 0) this.#onExtension();
    return length;
  }

  #onExtension(): void {
    const { flag, parts } = this.#extension ?? { flag: '', parts: [] };
    this.#extension = null;
    const bytes = Buffer.concat(parts);
    // The last one counts, as for Go: gathering those of an archive without members would fill our memory.
    if (flag === 'x') this.#pending.pax = parsePax(bytes);
    else if (flag === 'L') this.#pending.longName = untilNul(bytes);
    else if (flag === 'K') this.#pending.longLink = untilNul(bytes);
    else parsePax(bytes); // A global header: checked, and otherwise ignored, as dockerd does.
    this.#phase = this.#padding > 0 ? 'padding' : 'header';
  }

  /** All headers of a member are there. */
  #begin(header: TarHeader): void {
    const pending = this.#pending;
    this.#pending = noPending();
    const type = typeOf(header.flag, pending.longName ?? header.name);
    const stored = type === 'file' ? (paxNumber(pending.pax, 'size') ?? header.sizeBytes) : 0;
    this.#remaining = stored;
    this.#padding = paddingOf(stored);
    const sparse = this.#sparseOf(pending.pax);
    const entry = composeEntry(header, pending, { type, stored, sparse });
    this.#header = null;
    this.#oldGnu = null;
    if (sparse === 'in-data') {
      this.#map = new DataMapReader();
      this.#startMapped(entry);
    } else {
      this.#start(entry);
    }
  }

  /** Where this member's sparse map is, or the map itself; null for an ordinary file. */
  #sparseOf(pax: PaxRecords): Sparse {
    if (this.#oldGnu !== null) return this.#oldGnu;
    const size = paxNumber(pax, 'GNU.sparse.realsize') ?? paxNumber(pax, 'GNU.sparse.size');
    if (paxText(pax, 'GNU.sparse.major') === '1' && paxText(pax, 'GNU.sparse.minor') === '0') return 'in-data';
    const map = paxText(pax, SPARSE_MAP);
    return map === null || size === null ? null : { segments: paxMap(map), realSize: size };
  }

  #waiting: TarEntry | null = null;

  /** A PAX 1.0 member: its map comes first. */
  #startMapped(entry: TarEntry): void {
    if (this.#remaining < BLOCK_BYTES) throw invalidHeader();
    this.#waiting = entry;
    this.#phase = 'sparse-map';
  }

  #onSparseMap(block: Buffer): void {
    this.#remaining -= BLOCK_BYTES;
    if (this.#remaining < 0) throw invalidHeader();
    const segments = this.#map?.push(block) ?? null;
    const entry = this.#waiting;
    if (segments === null || entry === null) return;
    this.#map = null;
    this.#waiting = null;
    this.#start({ ...entry, sparse: checkedSegments(segments, entry.sizeBytes) });
  }

  #start(entry: TarEntry): void {
    this.#position = 0;
    this.#segments = entry.sparse;
    this.#segmentIndex = 0;
    this.#segmentDone = 0;
    if (entry.sparse !== null) {
      const stored = entry.sparse.reduce((sum, segment) => sum + segment.length, 0);
      if (stored !== this.#remaining) throw invalidHeader();
    }
    this.#sink.entry(entry);
    this.#phase = 'data';
    if (this.#remaining === 0) this.#endData();
  }

  #takeData(chunk: Buffer, at: number): number {
    const wanted = Math.min(this.#remaining, chunk.length - at);
    const length = this.#segments === null ? wanted : Math.min(wanted, this.#nextInSegment(this.#segments));
    this.#sink.data(chunk.subarray(at, at + length), this.#position);
    this.#position += length;
    this.#segmentDone += length;
    this.#remaining -= length;
    if (this.#remaining === 0) this.#endData();
    return length;
  }

  /** Moves to the segment that the next byte belongs to; how many bytes it still takes. */
  #nextInSegment(segments: readonly SparseSegment[]): number {
    for (;;) {
      const segment = segments[this.#segmentIndex];
      if (segment === undefined) throw invalidHeader();
      if (this.#segmentDone < segment.length) {
        this.#position = segment.offset + this.#segmentDone;
        return segment.length - this.#segmentDone;
      }
      this.#segmentIndex += 1;
      this.#segmentDone = 0;
    }
  }

  #endData(): void {
    this.#sink.end();
    this.#phase = this.#padding > 0 ? 'padding' : 'header';
  }

  #takePadding(available: number): number {
    const length = Math.min(this.#padding, available);
    this.#padding -= length;
    if (this.#padding === 0) this.#phase = 'header';
    return length;
  }
}

type Sparse = { readonly segments: readonly SparseSegment[]; readonly realSize: number } | 'in-data' | null;

function composeEntry(
  header: TarHeader,
  pending: Pending,
  body: { readonly type: TarEntryType; readonly stored: number; readonly sparse: Sparse },
): TarEntry {
  const { pax } = pending;
  const time = paxText(pax, 'mtime');
  const xattrs = new Map<string, Buffer>();
  for (const [key, value] of pax) if (key.startsWith(XATTR_PREFIX)) xattrs.set(key.slice(XATTR_PREFIX.length), value);
  const map = typeof body.sparse === 'object' ? body.sparse : null;
  const realSize = paxNumber(pax, 'GNU.sparse.realsize') ?? body.stored;
  return {
    type: body.type,
    name: paxBytes(pax, 'GNU.sparse.name') ?? paxBytes(pax, 'path') ?? pending.longName ?? header.name,
    linkName: paxBytes(pax, 'linkpath') ?? pending.longLink ?? header.linkName,
    sizeBytes: map?.realSize ?? (body.sparse === 'in-data' ? realSize : body.stored),
    mode: header.mode & 0o7777,
    uid: paxNumber(pax, 'uid') ?? header.uid,
    gid: paxNumber(pax, 'gid') ?? header.gid,
    mtimeNs: time === null ? BigInt(header.mtimeSeconds) * NS_PER_SECOND : parsePaxTime(time),
    deviceMajor: header.deviceMajor,
    deviceMinor: header.deviceMinor,
    xattrs,
    sparse: map === null ? null : checkedSegments(map.segments, map.realSize),
  };
}

function isExtension(flag: string): boolean {
  return flag === 'x' || flag === 'g' || flag === 'L' || flag === 'K';
}

function typeOf(flag: string, name: string): TarEntryType {
  switch (flag) {
    case '0':
    case '\0':
    case '7':
      // In v7 archives a directory is a file whose name ends in a slash.
      return name.endsWith('/') && flag === '\0' ? 'directory' : 'file';
    case 'S':
      return 'file';
    case '1':
      return 'hardlink';
    case '2':
      return 'symlink';
    case '3':
      return 'character';
    case '4':
      return 'block';
    case '5':
      return 'directory';
    case '6':
      return 'fifo';
    default:
      throw new InvalidArgumentError(`unhandled tar header type ${String(flag.charCodeAt(0))}`);
  }
}

function noPending(): Pending {
  return { pax: new Map(), longName: null, longLink: null };
}

function paddingOf(size: number): number {
  return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
}

function untilNul(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end);
}

/** The record's value; null when there is none, or an empty one, which takes an earlier value back. */
function paxBytes(pax: PaxRecords, key: string): string | null {
  const value = pax.get(key);
  return value === undefined || value.length === 0 ? null : value.toString('latin1', 0, value.length);
}

function paxText(pax: PaxRecords, key: string): string | null {
  return paxBytes(pax, key);
}

function paxNumber(pax: PaxRecords, key: string): number | null {
  const value = paxText(pax, key);
  return value === null ? null : decimal(value);
}
