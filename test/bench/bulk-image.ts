import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';

const LAYERS = 5;
const LAYER_BYTES = 60 << 20;
/** Real files compress like real images. */
const SOURCE = '/usr/lib';

/** Five layers of real files of this machine, 300 MB in all. */
export function bulkImage(): Promise<SyntheticImage> {
  const files = filesBelow(SOURCE);
  const layers = Array.from({ length: LAYERS }, (_, index) => {
    const layer: Record<string, Buffer> = {};
    for (let bytes = 0; bytes < LAYER_BYTES;) {
      const next = files.next();
      if (next.done === true) break;
      const content = readFileSync(next.value);
      layer[`layer${String(index)}${next.value}`] = content;
      bytes += content.length;
    }
    return layer;
  });
  return syntheticImage(layers);
}

function* filesBelow(directory: string): Generator<string, void, void> {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile() && statSync(path).size < LAYER_BYTES) yield path;
  }
}
