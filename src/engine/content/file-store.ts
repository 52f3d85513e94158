/**
 * The content store on a directory:
 *
 * ```
 * <root>/blobs/sha256/<64 hex digits>     committed blobs, never written again
 * <root>/ingest/<readable>-<16 hex>       bytes on their way; the name is made from the writer's ref
 * ```
 *
 * A blob appears by rename(2) of a synced file, and its directory is synced after that: a crash leaves either the whole
 * blob or a resumable ingest. Both directories must lie on one file system.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, opendir, readdir, readFile, rename, rm, stat, unlink, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Timestamp } from '../../base/clock.ts';
import { diskFault } from '../../base/errno-text.ts';
import { ConflictError, DataLossError, errnoCodeOf, NotFoundError } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import { digestOf, isDigest, type Digest } from '../oci/digest.ts';
import { FileIngest, hashExisting } from './file-ingest.ts';
import type { BlobInfo, ContentStore, Draft, Ingest, UnfinishedInfo } from './store.ts';

/** How much of a ref stays readable in its file name; the rest of the name is a hash. */
const READABLE_REF_LENGTH = 80;
/** Read-ahead of a streamed blob: large enough to keep a socket busy, small enough for many streams at once. */
const STREAM_CHUNK_BYTES = 256 * 1024;
/** What nobody can find again by a ref: small blobs being put, files for workers, spooled parts of archives. */
const PASSING = /^(?:put|draft|spool)-/;

/** Blobs as files. One instance owns its root; a second one on the same root must not ingest. */
export class FileContentStore implements ContentStore {
  readonly #blobs: string;
  readonly #ingests: string;
  /** Names of the files below `ingest` that somebody is at. */
  readonly #held = new Set<string>();
  /** Put without waiting for the disk. */
  readonly #unsynced = new Set<Digest>();

  private constructor(root: string) {
    this.#blobs = join(root, 'blobs', 'sha256');
    this.#ingests = join(root, 'ingest');
  }

  /** Opens the store, making its directories (mode 0700) where they are missing. */
  static async open(root: string): Promise<FileContentStore> {
    const store = new FileContentStore(root);
    await mkdir(store.#blobs, { recursive: true, mode: 0o700 });
    await mkdir(store.#ingests, { recursive: true, mode: 0o700 });
    return store;
  }

  async stat(digest: Digest): Promise<BlobInfo | null> {
    try {
      const { size } = await stat(this.#path(digest));
      return { digest, sizeBytes: size };
    } catch (error) {
      if (errnoCodeOf(error) === 'ENOENT') return null;
      throw error;
    }
  }

  async open(digest: Digest, options: { readonly offset?: number } = {}): Promise<Readable> {
    // Opened here and not by the stream, so that a missing blob is an answer and not a late 'error' event.
    let handle: FileHandle;
    try {
      handle = await open(this.#path(digest), 'r');
    } catch (error) {
      throw missing(digest, error);
    }
    return createReadStream('', { fd: handle, start: options.offset ?? 0, highWaterMark: STREAM_CHUNK_BYTES });
  }

  async read(digest: Digest): Promise<Buffer> {
    let bytes: Buffer;
    try {
      bytes = await readFile(this.#path(digest));
    } catch (error) {
      throw missing(digest, error);
    }
    const actual = digestOf(bytes);
    if (actual !== digest) throw new DataLossError(`blob ${digest} is damaged: its content is ${actual}`);
    return bytes;
  }

  async put(bytes: Uint8Array): Promise<BlobInfo> {
    await this.putAll([bytes], { isLasting: true });
    return { digest: digestOf(bytes), sizeBytes: bytes.length };
  }

  async putAll(all: readonly Uint8Array[], { isLasting }: { readonly isLasting: boolean }): Promise<void> {
    const written = await Promise.all(all.map(async (bytes) => this.#write(bytes, isLasting)));
    if (!isLasting || !written.includes(true)) return;
    await syncDirectory(this.#blobs);
    for (const bytes of all) this.#unsynced.delete(digestOf(bytes));
  }

  /** Writes a small blob under its name; false when it is there, as lasting as it is to be. */
  async #write(bytes: Uint8Array, isLasting: boolean): Promise<boolean> {
    const digest = digestOf(bytes);
    const existing = await this.stat(digest);
    // A blob of another length was damaged behind our back: replacing it heals it.
    if (existing?.sizeBytes === bytes.length && !(isLasting && this.#unsynced.has(digest))) return false;
    const name = `put-${newId()}`;
    const temporary = join(this.#ingests, name);
    this.#held.add(name);
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(bytes);
        if (isLasting) await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.#path(digest));
      if (!isLasting) this.#unsynced.add(digest);
      return true;
    } catch (error) {
      await rm(temporary, { force: true });
      throw diskFault('write', temporary, error);
    } finally {
      this.#held.delete(name);
    }
  }

  async ingest(ref: string): Promise<Ingest> {
    const name = fileNameOf(ref);
    if (this.#held.has(name)) throw new ConflictError(`ref ${ref} locked: unavailable`);
    this.#held.add(name);
    try {
      return await FileIngest.open(join(this.#ingests, name), {
        publish: async (path, digest) => this.#publish(path, digest),
        release: () => this.#held.delete(name),
      });
    } catch (error) {
      this.#held.delete(name);
      throw error;
    }
  }

  async draft(): Promise<Draft> {
    const name = `draft-${newId()}`;
    const path = join(this.#ingests, name);
    this.#held.add(name);
    try {
      await (await open(path, 'wx', 0o600)).close();
    } catch (error) {
      this.#held.delete(name);
      throw diskFault('open', path, error);
    }
    return {
      path,
      publish: async (written, options) => this.#publishDraft(path, written, options),
      // After publish the path is gone: a blob is never taken away here.
      [Symbol.asyncDispose]: async () => {
        this.#held.delete(name);
        await rm(path, { force: true });
      },
    };
  }

  async pathOf(digest: Digest): Promise<string> {
    if ((await this.stat(digest)) === null) throw missing(digest, null);
    return this.#path(digest);
  }

  async remove(digest: Digest): Promise<boolean> {
    this.#unsynced.delete(digest);
    try {
      await unlink(this.#path(digest));
      return true;
    } catch (error) {
      if (errnoCodeOf(error) === 'ENOENT') return false;
      throw error;
    }
  }

  async *walk(): AsyncGenerator<BlobInfo, void, void> {
    for await (const entry of await opendir(this.#blobs)) {
      const digest = `sha256:${entry.name}`;
      if (!entry.isFile() || !isDigest(digest)) continue;
      // Removed while we walk is no error: it is simply not there any more.
      const info = await this.stat(digest);
      if (info !== null) yield info;
    }
  }

  async examine(digest: Digest, signal?: AbortSignal): Promise<BlobInfo | null> {
    try {
      await using file = await open(this.#path(digest), 'r');
      const { hash, offset } = await hashExisting(file, signal);
      return { digest: `sha256:${hash.digest('hex')}` as Digest, sizeBytes: offset };
    } catch (error) {
      if (errnoCodeOf(error) === 'ENOENT') return null;
      throw error;
    }
  }

  async unfinished(): Promise<readonly UnfinishedInfo[]> {
    const found: UnfinishedInfo[] = [];
    for (const name of await readdir(this.#ingests)) {
      const info = await stat(join(this.#ingests, name), { bigint: true }).catch(goneIsNull);
      if (info === null) continue;
      found.push({
        name,
        sizeBytes: Number(info.size),
        writtenAt: info.mtimeNs as Timestamp,
        isHeld: this.#held.has(name),
        isResumable: !PASSING.test(name),
      });
    }
    return found;
  }

  async abandon(ref: string): Promise<boolean> {
    return this.dropUnfinished(fileNameOf(ref));
  }

  async dropUnfinished(name: string): Promise<boolean> {
    // Nothing but a name below the directory: a held one belongs to its writer.
    if (this.#held.has(name) || name !== basename(name)) return false;
    return (await unlink(join(this.#ingests, name)).then(() => true, goneIsNull)) !== null;
  }

  async sync(digests: readonly Digest[]): Promise<void> {
    if (digests.length === 0) return;
    await Promise.all([...new Set(digests)].map(async (digest) => this.#sync(digest)));
    await syncDirectory(this.#blobs);
  }

  async #sync(digest: Digest): Promise<void> {
    const path = this.#path(digest);
    try {
      await using file = await open(path, 'r');
      await file.sync();
    } catch (error) {
      if (errnoCodeOf(error) === 'ENOENT') throw missing(digest, error);
      throw diskFault('sync', path, error);
    }
    this.#unsynced.delete(digest);
  }

  async #publishDraft(
    path: string,
    { digest, sizeBytes }: BlobInfo,
    { isLasting }: { readonly isLasting: boolean } = { isLasting: true },
  ): Promise<void> {
    try {
      await using file = await open(path, 'r');
      const { size } = await file.stat();
      if (size !== sizeBytes) {
        throw new DataLossError(`unexpected commit size ${String(size)}, expected ${String(sizeBytes)}`);
      }
      if (isLasting) {
        await file.sync();
        await this.#publish(path, digest);
        return;
      }
      // What is there may be lasting: it is not replaced by what is not.
      if ((await this.stat(digest))?.sizeBytes === sizeBytes) return;
      await rename(path, this.#path(digest));
      this.#unsynced.add(digest);
    } catch (error) {
      throw diskFault('sync', path, error);
    }
  }

  /** Moves a synced ingest to its place. */
  async #publish(path: string, digest: Digest): Promise<void> {
    await rename(path, this.#path(digest));
    await syncDirectory(this.#blobs);
  }

  #path(digest: Digest): string {
    return join(this.#blobs, digest.slice('sha256:'.length));
  }
}

/** A file name for a ref: readable, bounded, and different for different refs. */
function fileNameOf(ref: string): string {
  const readable = ref.replace(/[^A-Za-z0-9_-]+/g, '_').slice(0, READABLE_REF_LENGTH);
  return `${readable}-${createHash('sha256').update(ref).digest('hex').slice(0, 16)}`;
}

function missing(digest: Digest, error: unknown): unknown {
  if (error !== null && errnoCodeOf(error) !== 'ENOENT') return error;
  return new NotFoundError(`content ${digest}: not found`, { cause: error });
}

/** A file that went meanwhile is no error. */
function goneIsNull(error: unknown): null {
  if (errnoCodeOf(error) === 'ENOENT') return null;
  throw error;
}

/** Makes a rename in `path` durable. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
