/** Directories that are no layers (volumes): how much is in them, all of it as a tar, and a tar into them. */
import { randomUUID } from 'node:crypto';
import { mkdir, open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { isDiskFull } from '../../base/errno-text.ts';
import { InternalError, messageOf, UnavailableError } from '../../base/errors.ts';
import type { FileCalls } from '../kernel/files.ts';
import { processingError } from './layers/layer-fault.ts';
import { packTree } from './layers/pack/pack-tree.ts';
import type { LayerWorkers } from './layers/workers.ts';
import type { TreeMeter } from './measuring.ts';

export interface DirectoryContentsOptions {
  readonly workers: LayerWorkers;
  readonly meter: TreeMeter;
  /** Asked for when something is packed. */
  readonly files: () => FileCalls;
  /** Where archives are kept while they are received; on the same disk as what they are for. */
  readonly spoolDirectory: string;
}

interface TransferOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (bytes: number) => void;
}

/** An archive on disk without a name: nothing is left of it when the daemon is killed. */
interface SpooledFile extends AsyncDisposable {
  readonly path: string;
  readonly sizeBytes: number;
}

export class DirectoryContents {
  readonly #options: DirectoryContentsOptions;

  constructor(options: DirectoryContentsOptions) {
    this.#options = options;
  }

  async measure(directory: string): Promise<number> {
    return (await this.#options.meter.measure({ root: directory, parent: null, except: [] })).sizeBytes;
  }

  pack(directory: string): Readable {
    return Readable.from(packTree(directory, this.#options.files()), { objectMode: false });
  }

  async receive(tar: Readable, { signal, onProgress }: TransferOptions): Promise<SpooledFile> {
    const abort = (): void => void tar.destroy(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    const file = await this.#openSpool();
    try {
      signal.throwIfAborted();
      let sizeBytes = 0;
      for await (const chunk of tar as AsyncIterable<Buffer>) {
        await writeAll(file, chunk);
        sizeBytes += chunk.length;
        onProgress(sizeBytes);
      }
      signal.throwIfAborted();
      return {
        path: `/proc/self/fd/${String(file.fd)}`,
        sizeBytes,
        [Symbol.asyncDispose]: async () => file.close(),
      };
    } catch (error) {
      await file.close();
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async unpack(archive: { readonly path: string }, directory: string, options: TransferOptions): Promise<void> {
    const job = { kind: 'unpack', blobPath: archive.path, root: directory, form: 'plain' } as const;
    const outcome = await this.#options.workers.run(job, options);
    if (outcome.kind === 'failed') throw processingError(outcome.error, outcome.message);
    if (outcome.kind !== 'done') throw new InternalError(`unpacking ended early: ${outcome.kind}`);
  }

  async #openSpool(): Promise<FileHandle> {
    const { spoolDirectory } = this.#options;
    await mkdir(spoolDirectory, { recursive: true, mode: 0o700 });
    const path = join(spoolDirectory, `receive-${randomUUID()}`);
    const file = await open(path, 'wx+', 0o600);
    await unlink(path);
    return file;
  }
}

async function writeAll(file: FileHandle, chunk: Buffer): Promise<void> {
  try {
    for (let done = 0; done < chunk.length;) done += (await file.write(chunk, done)).bytesWritten;
  } catch (error) {
    throw isDiskFull(error) ? new UnavailableError(messageOf(error), { cause: error }) : error;
  }
}
