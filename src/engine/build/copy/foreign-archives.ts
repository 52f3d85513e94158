/** Archives whose compression a program of the host undoes (bzip2, xz): plain ones are made of them, and unpacked. */
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { diskFault } from '../../../base/errno-text.ts';
import { decompressed } from '../../images/magic.ts';
import type { FoundSource } from '../../storage/building.ts';
import type { CopiesOptions } from './options.ts';

const PLAIN = 'plain';

/**
 * The source as an archive in the empty directory `place`, or as the file that it is when no archive is in it.
 * InvalidArgumentError with the cure where the program is not installed.
 */
export async function foreignArchive(
  { builder }: CopiesOptions,
  { source, place }: { readonly source: FoundSource; readonly place: string },
  signal: AbortSignal,
): Promise<FoundSource> {
  const path = join(place, PLAIN);
  const packed = createReadStream(placeOf(source));
  try {
    await pipeline(await decompressed(packed), createWriteStream(path, { flags: 'wx', mode: 0o600 }), { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw diskFault('write', path, error);
  } finally {
    packed.destroy();
  }
  const words = { isContext: true, excludes: [], parents: false, findsArchives: true } as const;
  const [[found] = []] = await builder.survey({ verb: 'ADD', root: place, sources: [PLAIN], ...words }, signal);
  const isArchive = found?.kind === 'archive';
  return isArchive ? { ...found, name: source.name, digest: source.digest } : { ...source, packedBy: null };
}

/** Its path was found without links on the way, below a directory that nobody writes to. */
function placeOf({ root, path }: FoundSource): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]);
}
