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
import { mkdir, open, opendir, readFile, rename, rm, stat, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { ConflictError, DataLossError, errnoCodeOf, NotFoundError } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import { digestOf, isDigest, type Digest } from '../oci/digest.ts';
import { diskFault, FileIngest } from './file-ingest.ts';
import type { BlobInfo, ContentStore, Ingest } from './store.ts';

/** How much of a ref stays readable in its file name; the rest of the name is a hash. */
const READABLE_REF_LENGTH = 80;
/** Read-ahead of a streamed blob: large enough to keep a socket busy, small enough for many streams at once. */
const STREAM_CHUNK_BYTES = 256 * 1024;

/** Blobs as files. One instance owns its root; a second one on the same root must not ingest. */
export class FileContentStore implements ContentStore {
  readonly #blobs: string;
  readonly #ingests: string;
  readonly #held = new Set<string>();

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
    const digest = digestOf(bytes);
    const existing = await this.stat(digest);
    // A blob of another length was damaged behind our back: replacing it heals it.
    if (existing?.sizeBytes === bytes.length) return existing;
    const temporary = join(this.#ingests, `put-${newId()}`);
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.#path(digest));
      await syncDirectory(this.#blobs);
    } catch (error) {
      await rm(temporary, { force: true });
      throw diskFault('write', temporary, error);
    }
    return { digest, sizeBytes: bytes.length };
  }

  async ingest(ref: string): Promise<Ingest> {
    if (this.#held.has(ref)) throw new ConflictError(`ref ${ref} locked: unavailable`);
    this.#held.add(ref);
    try {
      return await FileIngest.open(join(this.#ingests, fileNameOf(ref)), {
        publish: async (path, digest) => this.#publish(path, digest),
        release: () => this.#held.delete(ref),
      });
    } catch (error) {
      this.#held.delete(ref);
      throw error;
    }
  }

  async pathOf(digest: Digest): Promise<string> {
    if ((await this.stat(digest)) === null) throw missing(digest, null);
    return this.#path(digest);
  }

  async remove(digest: Digest): Promise<boolean> {
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

/** Makes a rename in `path` durable. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
