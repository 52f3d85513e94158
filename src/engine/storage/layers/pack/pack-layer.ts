import { createHash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { compareTrees, type Comparison } from './compare-trees.ts';
import { makeCompressor } from '../compress/compressor.ts';
import { differenceItems } from './difference-items.ts';
import type { PackedSocket } from '../../moving.ts';
import type { PackJob, PackResult } from '../job.ts';
import { layerFault } from '../layer-fault.ts';
import { TarStream, type PackItem } from '../tar/stream.ts';
import type { LayerTools } from '../tools.ts';
import { Cancelled, type JobControl } from '../unpack/unpack-blob.ts';
import { layerItems } from '../tree/walks.ts';

/** The disk is given so much of the blob at a time, so that little is left to wait for at the end. */
const WRITE_OUT_BYTES = 8 * 1024 * 1024;

/** Packs, hashes, compresses and hashes again in one pass; the same tree gives the same tar. */
export async function packLayer(job: PackJob, tools: LayerTools, control: JobControl): Promise<PackResult> {
  const { source, blobPath, latestTime = null } = job;
  if (source.form === 'layer') return packOverlay(source.root, { blobPath, tools, control });
  return packDifferences(source.root, compareTrees(source, tools.files, control), {
    blobPath,
    tools,
    control,
    latestTime,
  });
}

/** Where a layer is written to, and with what. */
export interface Packing {
  /** An existing empty file. */
  readonly blobPath: string;
  readonly tools: LayerTools;
  readonly control: JobControl;
  /** In seconds since 1970; absent or null: times are as they are. */
  readonly latestTime?: number | null;
}

/** A layer's own directory in overlayfs's form. */
export async function packOverlay(root: string, packing: Packing): Promise<PackResult> {
  const { files } = packing.tools;
  return write(new TarStream(files, { countsSymlinks: true, writesOut: true }), layerItems(files, root), packing);
}

/** What a whole tree has changed. */
export async function packDifferences(root: string, found: Comparison, packing: Packing): Promise<PackResult> {
  const stream = new TarStream(packing.tools.files, {
    linked: found.unchangedLinks,
    latestTime: packing.latestTime ?? null,
  });
  return write(stream, differenceItems(root, found.differences), packing);
}

async function write(stream: TarStream, items: Iterable<PackItem>, packing: Packing): Promise<PackResult> {
  const { blobPath, tools, control } = packing;
  const sockets: PackedSocket[] = [];
  const [plain, compressed] = [createHash('sha256'), createHash('sha256')];
  let sizeBytes = 0;
  let begunBytes = 0;
  const fd = openSync(blobPath, 'r+');
  try {
    using compressor = makeCompressor((chunk) => {
      compressed.update(chunk);
      sizeBytes += chunk.length;
      writeAll(fd, chunk);
      if (sizeBytes - begunBytes < WRITE_OUT_BYTES) return;
      tools.files.startWriteOut(fd, begunBytes, sizeBytes - begunBytes);
      begunBytes = sizeBytes;
    }, tools.codecs);
    let before: Promise<void> = Promise.resolve();
    for (const chunk of stream.chunks(noting(items, sockets))) {
      if (control.isCancelled()) throw new Cancelled();
      await before;
      before = compressor.write(chunk);
      // It is awaited when the next chunk has come; should reading that fail, this one's failure is of no interest.
      before.catch(() => undefined);
      plain.update(chunk);
    }
    await before;
    await compressor.finish();
  } catch (error) {
    throw layerFault('write', '', error);
  } finally {
    closeSync(fd);
  }
  return {
    diffId: `sha256:${plain.digest('hex')}`,
    ...stream.tally,
    blob: { digest: `sha256:${compressed.digest('hex')}`, sizeBytes },
    sockets,
  };
}

function* noting(items: Iterable<PackItem>, sockets: PackedSocket[]): Generator<PackItem, void, void> {
  for (const item of items) {
    if (item.kind === 'node' && item.info.isSocket()) {
      const { mode, uid, gid, mtimeNs } = item.info;
      sockets.push({ path: item.name, mode: Number(mode), uid: Number(uid), gid: Number(gid), mtimeNs });
    }
    yield item;
  }
}

function writeAll(fd: number, chunk: Buffer): void {
  for (let done = 0; done < chunk.length;) done += writeSync(fd, chunk, done, chunk.length - done);
}
