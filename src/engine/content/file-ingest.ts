import { createHash, type Hash } from 'node:crypto';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { diskFault } from '../../base/errno-text.ts';
import { ConflictError, DataLossError, errnoCodeOf } from '../../base/errors.ts';
import type { Digest } from '../oci/digest.ts';
import type { BlobInfo, Ingest } from './store.ts';

/**
 * Hashing this much takes about 0.2 ms: the loop stays free while a large download is resumed. It is also what goes to the
 * disk at once: a network's chunks are a quarter of it, and each write has its price.
 */
const SLICE_BYTES = 256 * 1024;

/** What an ingest needs of its store. */
export interface IngestHome {
  /** Gives the complete, synced file its final name. */
  publish(path: string, digest: Digest): Promise<void>;
  /** Called once, when nobody holds the ref any more. */
  release(): void;
}

/**
 * One file that grows. Its hash runs along with what comes; on resume the bytes that are there are hashed first, so
 * what a killed daemon left counts only for what it really is. One slice gathers while the one before it is written.
 */
export class FileIngest implements Ingest {
  readonly #path: string;
  readonly #home: IngestHome;
  readonly #file: FileHandle;
  readonly #hash: Hash;
  #offset: number;
  #slice: Buffer | null = null;
  #spare: Buffer | null = null;
  #fill = 0;
  /** Never rejects; what went wrong is kept. */
  #writing: Promise<void> = Promise.resolve();
  #failure: unknown = null;
  #state: 'open' | 'broken' | 'ended' = 'open';

  private constructor(path: string, home: IngestHome, file: FileHandle, start: { hash: Hash; offset: number }) {
    this.#path = path;
    this.#home = home;
    this.#file = file;
    this.#hash = start.hash;
    this.#offset = start.offset;
  }

  static async open(path: string, home: IngestHome): Promise<FileIngest> {
    try {
      const file = await open(path, 'a+', 0o600);
      try {
        return new FileIngest(path, home, file, await hashExisting(file));
      } catch (error) {
        await file.close();
        throw error;
      }
    } catch (error) {
      throw diskFault('open', path, error);
    }
  }

  get offset(): number {
    return this.#offset;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#assertOpen();
    for (let at = 0; at < chunk.length;) {
      const slice = (this.#slice ??= Buffer.allocUnsafeSlow(SLICE_BYTES));
      const piece = chunk.subarray(at, at + SLICE_BYTES - this.#fill);
      slice.set(piece, this.#fill);
      this.#hash.update(piece);
      this.#fill += piece.length;
      this.#offset += piece.length;
      at += piece.length;
      if (this.#fill === SLICE_BYTES) await this.#writeSlice();
    }
  }

  async commit(expected: { readonly digest?: Digest; readonly sizeBytes?: number } = {}): Promise<BlobInfo> {
    this.#assertOpen();
    await this.#flush();
    if (expected.sizeBytes !== undefined && expected.sizeBytes !== this.#offset) {
      const sizes = `unexpected commit size ${String(this.#offset)}, expected ${String(expected.sizeBytes)}`;
      await this.discard();
      throw new DataLossError(sizes);
    }
    const digest = `sha256:${this.#hash.copy().digest('hex')}` as Digest;
    if (expected.digest !== undefined && expected.digest !== digest) {
      await this.discard();
      throw new DataLossError(`filesystem layer verification failed for digest ${expected.digest}`);
    }
    try {
      await this.#file.sync();
      await this.#home.publish(this.#path, digest);
    } catch (error) {
      this.#state = 'broken';
      throw diskFault('sync', this.#path, error);
    }
    await this.#end();
    return { digest, sizeBytes: this.#offset };
  }

  async discard(): Promise<void> {
    if (this.#state === 'ended') return;
    try {
      await unlink(this.#path);
    } catch (error) {
      if (errnoCodeOf(error) !== 'ENOENT') throw error;
    } finally {
      await this.#end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#state === 'open') await this.#flush();
    } catch {
      // What could not be kept is loaded again.
    } finally {
      await this.#end();
    }
  }

  /** Hands the slice to the disk, when that has done with the one before. */
  async #writeSlice(): Promise<void> {
    await this.#written();
    const full = this.#slice?.subarray(0, this.#fill) ?? Buffer.alloc(0);
    [this.#slice, this.#spare] = [this.#spare, this.#slice];
    this.#fill = 0;
    this.#writing = writeAll(this.#file, full).catch((error: unknown) => {
      this.#failure = error;
    });
  }

  async #flush(): Promise<void> {
    if (this.#fill > 0) await this.#writeSlice();
    await this.#written();
  }

  async #written(): Promise<void> {
    await this.#writing;
    if (this.#failure === null) return;
    // The file holds less than was hashed: only a fresh ingest, which hashes it again, may go on with it.
    this.#state = 'broken';
    throw diskFault('write', this.#path, this.#failure);
  }

  async #end(): Promise<void> {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    try {
      // No write may meet a closed descriptor.
      await this.#writing;
      await this.#file.close();
    } finally {
      this.#home.release();
    }
  }

  #assertOpen(): void {
    if (this.#state !== 'open') throw new ConflictError(`ingest ${this.#path} is ${this.#state}`);
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done);
    done += bytesWritten;
  }
}

/** Hashes a file from its beginning, in slices between which the loop is free. */
export async function hashExisting(
  file: FileHandle,
  signal?: AbortSignal,
): Promise<{ readonly hash: Hash; readonly offset: number }> {
  const hash = createHash('sha256');
  let offset = 0;
  const { size } = await file.stat();
  const buffer = Buffer.allocUnsafe(Math.min(SLICE_BYTES, size));
  while (offset < size) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    offset += bytesRead;
  }
  return { hash, offset };
}
