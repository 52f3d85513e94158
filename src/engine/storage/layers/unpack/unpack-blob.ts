import { createHash } from 'node:crypto';
import { JailedTree } from '../tree/jailed-tree.ts';
import type { UnpackJob, UnpackResult } from '../job.ts';
import type { LayerTools } from '../tools.ts';
import { LayerWriter } from './layer-writer.ts';
import { eachPlainChunk } from './plain-chunks.ts';
import { TarReader } from '../tar/reader.ts';

/** Thrown when a job is asked to stop. */
export class Cancelled extends Error {}

/** How a job tells of itself and hears from the main thread. */
export interface JobControl {
  readonly progress: (readBytes: number) => void;
  /** Gives away a piece of what the job makes, with its memory. */
  readonly send: (chunk: Uint8Array<ArrayBuffer>) => void;
  readonly isCancelled: () => boolean;
}

/** Unpacks one layer's blob into a directory: hash, parse and write in one pass over reused buffers. */
export async function unpackBlob(
  job: UnpackJob,
  { files, codecs }: LayerTools,
  control: JobControl,
): Promise<UnpackResult> {
  using tree = new JailedTree(job.root, files);
  const writer = new LayerWriter(tree, job.form);
  const reader = new TarReader(writer);
  const hash = createHash('sha256');
  try {
    await eachPlainChunk(job.blobPath, codecs, {
      onRead: (readBytes) => {
        stopIfAsked(control);
        control.progress(readBytes);
      },
      // Here too: a megabyte can hold a gigabyte.
      take: (chunk) => {
        stopIfAsked(control);
        hash.update(chunk);
        reader.push(chunk);
      },
    });
    reader.finish();
    writer.finish();
  } finally {
    writer.abandon();
  }
  return { diffId: `sha256:${hash.digest('hex')}`, sizeBytes: writer.sizeBytes, warnings: writer.warnings };
}

function stopIfAsked(control: JobControl): void {
  if (control.isCancelled()) throw new Cancelled();
}
