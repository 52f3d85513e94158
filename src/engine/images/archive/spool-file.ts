import { createHash, type Hash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { diskFault } from '../../../base/errno-text.ts';
import type { BlobInfo, Draft } from '../../content/store.ts';
import type { Digest } from '../../oci/digest.ts';
import { MAGIC_BYTES } from '../magic.ts';

/** One write: large enough that the round trip through the thread pool does not matter. */
const BATCH_BYTES = 512 * 1024;

/** What was written; its first bytes tell the compression. */
export interface SpooledBytes extends BlobInfo {
  readonly head: Buffer;
}

/** Writes a whole stream into a draft. */
export async function spoolStream(draft: Draft, source: AsyncIterable<unknown>): Promise<SpooledBytes> {
  await using writer = await SpoolWriter.open(draft);
  for await (const chunk of source as AsyncIterable<Buffer>) await writer.write(chunk);
  return await writer.finish();
}

/** Writes a draft and hashes it in one go: while a batch is on its way to the disk, the next is gathered and hashed. */
export class SpoolWriter implements AsyncDisposable {
  readonly #draft: Draft;
  readonly #file: FileHandle;
  readonly #hash: Hash = createHash('sha256');
  #batch: Buffer[] = [];
  #batchBytes = 0;
  #sizeBytes = 0;
  #head = Buffer.alloc(0);
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(draft: Draft, file: FileHandle) {
    this.#draft = draft;
    this.#file = file;
  }

  static async open(draft: Draft): Promise<SpoolWriter> {
    try {
      return new SpoolWriter(draft, await open(draft.path, 'r+'));
    } catch (error) {
      throw diskFault('open', draft.path, error);
    }
  }

  /** Takes the next bytes; the chunk must not change afterwards. A full disk is an UnavailableError in Docker's words. */
  async write(chunk: Buffer): Promise<void> {
    if (this.#head.length < MAGIC_BYTES) this.#head = Buffer.concat([this.#head, chunk.subarray(0, MAGIC_BYTES)]);
    this.#batch.push(chunk);
    this.#batchBytes += chunk.length;
    if (this.#batchBytes >= BATCH_BYTES) await this.#flush();
  }

  /** Everything is in the file, though not yet on the disk. */
  async finish(): Promise<SpooledBytes> {
    await this.#flush();
    await this.#written();
    return { digest: `sha256:${this.#hash.digest('hex')}` as Digest, sizeBytes: this.#sizeBytes, head: this.#head };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing.catch(() => undefined);
    await this.#file.close();
  }

  async #flush(): Promise<void> {
    const batch = this.#batch;
    const [position, length] = [this.#sizeBytes, this.#batchBytes];
    this.#batch = [];
    this.#batchBytes = 0;
    if (length === 0) return;
    this.#sizeBytes += length;
    await this.#written();
    this.#writing = writeAll(this.#file, batch, position, length);
    // Looked at before the next write; a failure meanwhile must not end the daemon.
    this.#writing.catch(() => undefined);
    for (const chunk of batch) this.#hash.update(chunk);
  }

  async #written(): Promise<void> {
    try {
      await this.#writing;
    } catch (error) {
      throw diskFault('write', this.#draft.path, error);
    }
  }
}

async function writeAll(file: FileHandle, chunks: readonly Buffer[], start: number, length: number): Promise<void> {
  const { bytesWritten } = await file.writev(chunks, start);
  if (bytesWritten === length) return;
  // A short write comes before a full disk: the rest says why.
  const rest = Buffer.concat(chunks).subarray(bytesWritten);
  for (let done = 0; done < rest.length;) {
    done += (await file.write(rest, done, rest.length - done, start + bytesWritten + done)).bytesWritten;
  }
}
