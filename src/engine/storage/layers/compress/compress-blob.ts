import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { diskFault } from '../../../../base/errno-text.ts';
import { makeCompressor } from './compressor.ts';
import type { CompressJob, CompressResult } from '../job.ts';
import type { LayerTools } from '../tools.ts';
import { Cancelled, type JobControl } from '../unpack/unpack-blob.ts';

const CHUNK_BYTES = 256 * 1024;

/** Compresses one file into another and hashes what comes out. */
export async function compressBlob(
  job: CompressJob,
  { codecs }: LayerTools,
  control: JobControl,
): Promise<CompressResult> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const plain = openSync(job.plainPath, 'r');
  try {
    const blob = openSync(job.blobPath, 'r+');
    try {
      using compressor = makeCompressor((chunk) => {
        hash.update(chunk);
        sizeBytes += chunk.length;
        writeAll(blob, chunk);
      }, codecs);
      await feed(plain, compressor.write.bind(compressor), control);
      await compressor.finish();
    } catch (error) {
      throw diskFault('write', job.blobPath, error);
    } finally {
      closeSync(blob);
    }
  } finally {
    closeSync(plain);
  }
  return { digest: `sha256:${hash.digest('hex')}`, sizeBytes };
}

/** Reads one chunk while the one before it is worked on. */
async function feed(fd: number, write: (chunk: Buffer) => Promise<void>, control: JobControl): Promise<void> {
  let [next, spare] = [Buffer.allocUnsafeSlow(CHUNK_BYTES), Buffer.allocUnsafeSlow(CHUNK_BYTES)];
  let before = Promise.resolve();
  for (let position = 0; ;) {
    if (control.isCancelled()) throw new Cancelled();
    const length = readSync(fd, next, 0, CHUNK_BYTES, position);
    await before;
    if (length === 0) return;
    before = write(next.subarray(0, length));
    // It is awaited when the next chunk is there; should reading that fail, this one's failure is of no interest.
    before.catch(() => undefined);
    position += length;
    control.progress(position);
    [next, spare] = [spare, next];
  }
}

function writeAll(fd: number, chunk: Buffer): void {
  for (let done = 0; done < chunk.length;) done += writeSync(fd, chunk, done, chunk.length - done);
}
