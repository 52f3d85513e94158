import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { Readable, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { EngineError, errnoCodeOf, InternalError, InvalidArgumentError, messageOf } from '../../../base/errors.ts';
import type { FileCalls } from '../../kernel/files.ts';
import { compressionOf, readSection, readStart, sectionsOf } from './blob-source.ts';
import { JailedTree } from './jailed-tree.ts';
import type { UnpackJob, UnpackResult } from './job.ts';
import { layerFault } from './layer-fault.ts';
import { LayerWriter } from './layer-writer.ts';
import { unexpectedEnd } from './tar-entry.ts';
import { TarReader } from './tar-reader.ts';

/** Thrown when a job is asked to stop. */
export class Cancelled extends Error {}

/** How a job tells of itself and hears from the main thread. */
export interface JobControl {
  readonly progress: (readBytes: number) => void;
  readonly isCancelled: () => boolean;
}

/** Unpacks one layer's blob into a directory: hash, parse and write in one pass over reused buffers. */
export async function unpackBlob(job: UnpackJob, files: FileCalls, control: JobControl): Promise<UnpackResult> {
  using tree = new JailedTree(job.root, files);
  const writer = new LayerWriter(tree, job.form);
  const reader = new TarReader(writer);
  const hash = createHash('sha256');
  try {
    await eachPlainChunk(job.blobPath, control, (chunk) => {
      hash.update(chunk);
      reader.push(chunk);
    });
    reader.finish();
    writer.finish();
    sync(job.root, files);
  } finally {
    writer.abandon();
  }
  return { diffId: `sha256:${hash.digest('hex')}`, sizeBytes: writer.sizeBytes, warnings: writer.warnings };
}

/** A layer is durable when it is committed; syncing its thousands of files one by one would take ten times as long. */
function sync(root: string, files: FileCalls): void {
  try {
    files.syncFilesystem(root);
  } catch (error) {
    throw layerFault('sync', '', error);
  }
}

async function eachPlainChunk(path: string, control: JobControl, take: (chunk: Buffer) => void): Promise<void> {
  const fd = openSync(path, 'r');
  try {
    for (const section of sectionsOf(fd, compressionOf(readStart(fd)))) {
      const source = watched(readSection(fd, section, section.decompressor === null), section.start, control);
      if (section.decompressor === null) for (const chunk of source) take(chunk);
      else await decompress(source, section.decompressor(), take);
    }
  } finally {
    closeSync(fd);
  }
}

async function decompress(
  source: Iterable<Buffer>,
  transform: Transform,
  take: (chunk: Buffer) => void,
): Promise<void> {
  try {
    await pipeline(
      Readable.from(source, { objectMode: true, highWaterMark: 1 }),
      transform,
      async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) take(chunk);
      },
    );
  } catch (error) {
    throw decompressionFault(error);
  }
}

function* watched(chunks: Iterable<Buffer>, start: number, control: JobControl): Generator<Buffer, void, void> {
  let readBytes = start;
  for (const chunk of chunks) {
    if (control.isCancelled()) throw new Cancelled();
    yield chunk;
    readBytes += chunk.length;
    control.progress(readBytes);
  }
}

/** zlib's and zstd's words for a broken stream become the archive's fault; a cut one is what Go calls it. */
function decompressionFault(error: unknown): unknown {
  if (error instanceof EngineError) return error;
  const code = errnoCodeOf(error);
  if (code === null) return error;
  if (code === 'Z_BUF_ERROR') return unexpectedEnd();
  if (code === 'Z_MEM_ERROR' || code === 'ERR_ZSTD_memory_allocation')
    return new InternalError(messageOf(error), { cause: error });
  const isCompression = code.startsWith('Z_') || code.startsWith('ERR_ZSTD') || code.startsWith('ZSTD_');
  return isCompression ? new InvalidArgumentError(messageOf(error), { cause: error }) : error;
}
