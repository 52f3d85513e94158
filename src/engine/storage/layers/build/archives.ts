import { closeSync, openSync } from 'node:fs';
import type { Codecs } from '../../../kernel/codecs.ts';
import { TarReader } from '../tar/reader.ts';
import { readStart } from '../unpack/blob-source.ts';
import { eachPlainChunk } from '../unpack/plain-chunks.ts';

/** Thrown out of a reading that has seen enough. */
class Seen extends Error {}

/** What ADD may unpack. */
export type ArchiveKind = 'archive' | 'bzip2' | 'xz' | 'none';

/** Whether a file begins as an archive does, compressed or not; for `bzip2` and `xz` only their programs can tell. */
export async function archiveKindOf(place: Buffer, codecs: Codecs): Promise<ArchiveKind> {
  const fd = openSync(place, 'r');
  try {
    const start = readStart(fd).toString('hex');
    if (start.startsWith('425a68')) return 'bzip2';
    if (start.startsWith('fd377a585a00')) return 'xz';
    return (await isArchive(`/proc/self/fd/${String(fd)}`, codecs)) ? 'archive' : 'none';
  } finally {
    closeSync(fd);
  }
}

async function isArchive(path: string, codecs: Codecs): Promise<boolean> {
  const stop = (): never => {
    throw new Seen();
  };
  const reader = new TarReader({ entry: stop, data: stop, end: stop });
  try {
    await eachPlainChunk(path, codecs, { take: (chunk) => reader.push(chunk), onRead: () => undefined });
    return false;
  } catch (error) {
    // Whatever else is wrong with it: it is a file like any other, and copied as one.
    return error instanceof Seen;
  }
}
