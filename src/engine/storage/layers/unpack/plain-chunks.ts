import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { Readable, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { EngineError, errnoCodeOf, InternalError, InvalidArgumentError, messageOf } from '../../../../base/errors.ts';
import type { Codecs } from '../../../kernel/codecs.ts';
import { compressionOf, readSection, readStart, sectionsOf, type PlainListener } from './blob-source.ts';
import { inflateMembers } from './gzip-members.ts';
import { unexpectedEnd } from '../tar/entry.ts';
import { InputWindow, type ReadInto } from './input-window.ts';

/**
 * Undoes a blob's compression, by the host's codecs where it has them. InvalidArgumentError for a broken or cut blob and
 * for a compression that we cannot undo.
 */
export async function eachPlainChunk(path: string, codecs: Codecs, { take, onRead }: PlainListener): Promise<void> {
  const fd = openSync(path, 'r');
  try {
    const compression = compressionOf(readStart(fd));
    const inflater = compression === 'gzip' ? codecs.openInflater() : null;
    if (inflater !== null) {
      await inflateMembers(new InputWindow(fileReader(fd, onRead)), inflater, take);
      onRead(fstatSync(fd).size);
      return;
    }
    for (const section of sectionsOf(fd, compression)) {
      const source = watched(readSection(fd, section, section.decompressor === null), section.start, onRead);
      if (section.decompressor === null) for (const chunk of source) take(chunk);
      else await decompress(source, section.decompressor(), take);
    }
  } finally {
    closeSync(fd);
  }
}

/** Reads a file from its start; tells how far when more is asked for. */
function fileReader(fd: number, onRead: PlainListener['onRead']): ReadInto {
  let position = 0;
  return (into) => {
    if (position > 0) onRead(position);
    const read = readSync(fd, into, 0, into.length, position);
    position += read;
    return read;
  };
}

/** Sends all of `source` through a decompressor. */
export async function decompress(
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

function* watched(
  chunks: Iterable<Buffer>,
  start: number,
  onRead: PlainListener['onRead'],
): Generator<Buffer, void, void> {
  let readBytes = start;
  for (const chunk of chunks) {
    yield chunk;
    readBytes += chunk.length;
    onRead(readBytes);
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
