import { DiskGuard } from '../../disk-guard.ts';
import { TarReader } from '../tar/reader.ts';
import type { LayerTools } from '../tools.ts';
import { JailedTree } from '../tree/jailed-tree.ts';
import { LayerWriter } from '../unpack/layer-writer.ts';
import { eachPlainPiece } from '../unpack/plain-stream.ts';
import { Cancelled, type JobControl } from '../unpack/unpack-blob.ts';
import { readPipe } from '../view/shared-pipe.ts';
import type { ReceiveJob } from './jobs.ts';

/** Unpacks what comes through the job's pipe into its directory. */
export async function receiveTree(
  { root, input }: ReceiveJob,
  { files, codecs }: LayerTools,
  control: JobControl,
): Promise<null> {
  const stopIfAsked = (): void => {
    if (control.isCancelled()) throw new Cancelled();
  };
  using tree = new JailedTree(root, files);
  const writer = new LayerWriter(tree, 'plain');
  const reader = new TarReader(writer);
  const guard = new DiskGuard(root);
  try {
    await eachPlainPiece(readPipe(input, stopIfAsked), codecs, (piece) => {
      // Here too: a megabyte can hold a gigabyte.
      stopIfAsked();
      guard.take(piece.length);
      reader.push(piece);
    });
    reader.finish();
    writer.finish();
  } finally {
    writer.abandon();
  }
  return null;
}
