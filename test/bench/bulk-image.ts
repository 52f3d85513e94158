import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { syntheticImage, type LayerFormat, type SyntheticImage } from '../support/synthetic-image.ts';

const MIB = 1 << 20;
/** Real files compress like real images. */
const SOURCE = '/usr';
const LARGEST_FILE_BYTES = 60 * MIB;

/** How an image is to be. */
export interface BulkImageOptions {
  readonly layers?: number;
  readonly totalMib?: number;
  readonly format?: LayerFormat;
}

/** Layers of real files of this machine: five of 342 MiB in all, unless asked for others. */
export function bulkImage({
  layers = 5,
  totalMib = 342,
  format = 'gzip',
}: BulkImageOptions = {}): Promise<SyntheticImage> {
  const files = filesBelow(SOURCE);
  const contents = Array.from({ length: layers }, (_, index) => {
    const layer: Record<string, Buffer> = {};
    for (let bytes = 0; bytes < (totalMib * MIB) / layers;) {
      const next = files.next();
      if (next.done === true) break;
      const content = readFileSync(next.value);
      layer[`layer${String(index)}${next.value}`] = content;
      bytes += content.length;
    }
    return layer;
  });
  return syntheticImage(contents, { format, oci: format === 'zstd' });
}

function* filesBelow(directory: string): Generator<string, void, void> {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile() && statSync(path).size < LARGEST_FILE_BYTES) yield path;
  }
}
