import { createHash, type Hash } from 'node:crypto';
import { closeSync, fstatSync, readlinkSync, readSync, type BigIntStats } from 'node:fs';
import type { FileCalls } from '../../../kernel/files.ts';
import type { ByteString } from '../tar/entry.ts';
import { inodeOf } from '../tar/stream.ts';
import { openFile } from '../tree/held-directory.ts';
import { layerXattrs } from '../tree/layer-attributes.ts';
import type { SourceEntry } from './selection.ts';

const READ_BYTES = 1024 * 1024;
/** Files whose digest is remembered by this thread; some megabytes at most. */
const MAX_REMEMBERED = 50_000;
const PERMISSIONS = 0o7777n;

/** Digests of files by device, inode, size and time of change, which nobody can set: steps of one build share files. */
const remembered = new Map<string, Buffer>();

/** Digests what a source brings: names, kinds, modes, owners where they count, attributes and bytes; never times. */
export class ContentDigest {
  readonly #files: FileCalls;
  readonly #keepsOwners: boolean;
  readonly #look: () => void;
  readonly #hash: Hash = createHash('sha256');
  readonly #linked = new Map<string, ByteString>();

  /** `look` may throw to stop. */
  constructor(files: FileCalls, keepsOwners: boolean, look: () => void) {
    this.#files = files;
    this.#keepsOwners = keepsOwners;
    this.#look = look;
  }

  /** Takes an entry; `name` is what it is called in the digest. */
  add(name: ByteString, { place, info }: Omit<SourceEntry, 'path'>): void {
    this.#look();
    const first = info.isDirectory() || info.nlink < 2n ? undefined : this.#linked.get(inodeOf(info));
    if (first !== undefined) {
      this.#line([name, 'link', first]);
      return;
    }
    if (info.nlink > 1n && !info.isDirectory()) this.#linked.set(inodeOf(info), name);
    const owner = this.#keepsOwners ? `${String(info.uid)}:${String(info.gid)}` : '0:0';
    const mode = info.isSymbolicLink() ? '' : (info.mode & PERMISSIONS).toString(8);
    const attributes = [...layerXattrs(this.#files, place)].flatMap(([key, value]) => [key, value.toString('hex')]);
    this.#line([name, kindOf(info), mode, owner, ...this.#contentOf(place, info), ...attributes]);
  }

  /** In hex. */
  finish(): string {
    return this.#hash.digest('hex');
  }

  #contentOf(place: Buffer, info: BigIntStats): readonly string[] {
    if (info.isFile()) return [String(info.size), this.#bytesOf(place, info).toString('hex')];
    if (info.isSymbolicLink()) return [readlinkSync(place, { encoding: 'latin1' })];
    return info.isCharacterDevice() || info.isBlockDevice() ? [String(info.rdev)] : [];
  }

  #bytesOf(place: Buffer, info: BigIntStats): Buffer {
    const key = `${inodeOf(info)}:${String(info.size)}:${String(info.ctimeNs)}`;
    const known = remembered.get(key);
    if (known !== undefined) return known;
    const digest = this.#hashFile(place);
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    remembered.set(key, digest);
    return digest;
  }

  #hashFile(place: Buffer): Buffer {
    const hash = createHash('sha256');
    const fd = openFile(place);
    if (fd === null) return hash.digest();
    try {
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, Math.max(1, fstatSync(fd).size)));
      for (let read = readSync(fd, buffer); read > 0; read = readSync(fd, buffer)) {
        this.#look();
        hash.update(buffer.subarray(0, read));
      }
    } finally {
      closeSync(fd);
    }
    return hash.digest();
  }

  /** JSON keeps the words apart, whatever is in them. */
  #line(words: readonly string[]): void {
    this.#hash.update(`${JSON.stringify(words)}\n`);
  }
}

function kindOf(info: BigIntStats): string {
  if (info.isDirectory()) return 'directory';
  if (info.isFile()) return 'file';
  if (info.isSymbolicLink()) return 'symlink';
  if (info.isFIFO()) return 'fifo';
  return info.isCharacterDevice() ? 'character' : info.isBlockDevice() ? 'block' : 'socket';
}
