import { createHash, type Hash } from 'node:crypto';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { isDiskFull, pathErrorText } from '../../base/errno-text.ts';
import { ConflictError, DataLossError, errnoCodeOf, UnavailableError } from '../../base/errors.ts';
import type { Digest } from '../oci/digest.ts';
import type { BlobInfo, Ingest } from './store.ts';

/** Hashing this much takes about 0.2 ms: the loop stays free while a large download is resumed. */
const HASH_SLICE_BYTES = 256 * 1024;

/** What an ingest needs of its store. */
export interface IngestHome {
  /** Gives the complete, synced file its final name. */
  publish(path: string, digest: Digest): Promise<void>;
  /** Called once, when nobody holds the ref any more. */
  release(): void;
}

/**
 * One file that grows. Its hash runs along with the writes; on resume the bytes that are there are hashed first, so
 * what a killed daemon left counts only for what it really is.
 */
export class FileIngest implements Ingest {
  readonly #path: string;
  readonly #home: IngestHome;
  readonly #file: FileHandle;
  readonly #hash: Hash;
  #offset: number;
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
    try {
      for (let at = 0; at < chunk.length; at += HASH_SLICE_BYTES) {
        const slice = chunk.subarray(at, at + HASH_SLICE_BYTES);
        await writeAll(this.#file, slice);
        this.#hash.update(slice);
        this.#offset += slice.length;
      }
    } catch (error) {
      // The file may hold more than was hashed: only a fresh ingest, which hashes it again, may go on with it.
      this.#state = 'broken';
      throw diskFault('write', this.#path, error);
    }
  }

  async commit(expected: { readonly digest?: Digest; readonly sizeBytes?: number } = {}): Promise<BlobInfo> {
    this.#assertOpen();
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
    await this.#end();
  }

  async #end(): Promise<void> {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    try {
      await this.#file.close();
    } finally {
      this.#home.release();
    }
  }

  #assertOpen(): void {
    if (this.#state !== 'open') throw new ConflictError(`ingest ${this.#path} is ${this.#state}`);
  }
}

/** Names a failed file operation as Docker does; a full disk becomes UnavailableError. */
export function diskFault(call: string, path: string, error: unknown): unknown {
  return isDiskFull(error) ? new UnavailableError(pathErrorText(call, path, error), { cause: error }) : error;
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done);
    done += bytesWritten;
  }
}

async function hashExisting(file: FileHandle): Promise<{ hash: Hash; offset: number }> {
  const hash = createHash('sha256');
  let offset = 0;
  const { size } = await file.stat();
  const buffer = Buffer.allocUnsafe(Math.min(HASH_SLICE_BYTES, size));
  while (offset < size) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    offset += bytesRead;
  }
  return { hash, offset };
}
