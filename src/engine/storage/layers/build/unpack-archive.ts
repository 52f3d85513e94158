import { confine } from '../tar/path.ts';
import type { TarEntry } from '../tar/entry.ts';
import { TarReader } from '../tar/reader.ts';
import type { LayerTools } from '../tools.ts';
import { JailedTree } from '../tree/jailed-tree.ts';
import { LayerWriter } from '../unpack/layer-writer.ts';
import { eachPlainChunk } from '../unpack/plain-chunks.ts';
import { Cancelled, type JobControl } from '../unpack/unpack-blob.ts';

/** An archive that ADD unpacks. */
export interface ArchiveToUnpack {
  readonly path: string;
  /** A directory, which stays as it is itself. */
  readonly root: string;
  /** Gives a member the owner, mode and time that it shall have. */
  readonly adapt: (entry: TarEntry) => TarEntry;
}

/** Unpacks an archive, compressed or not; its links are resolved in the directory that it is unpacked into. */
export async function unpackArchive(
  { path, root, adapt }: ArchiveToUnpack,
  { files, codecs }: LayerTools,
  control: JobControl,
): Promise<void> {
  using tree = new JailedTree(root, files);
  const writer = new LayerWriter(tree, 'plain');
  const reader = new TarReader({
    // Of the directory itself no archive decides.
    entry: (entry) => (confine(entry.name) === '' ? undefined : writer.entry(adapt(entry))),
    data: (chunk, position) => writer.data(chunk, position),
    end: () => writer.end(),
  });
  const stopIfAsked = (): void => {
    if (control.isCancelled()) throw new Cancelled();
  };
  try {
    await eachPlainChunk(path, codecs, {
      onRead: stopIfAsked,
      // Here too: a megabyte can hold a gigabyte.
      take: (chunk) => {
        stopIfAsked();
        reader.push(chunk);
      },
    });
    reader.finish();
    writer.finish();
  } finally {
    writer.abandon();
  }
}
