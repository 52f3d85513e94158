/** Where the engine's own files lie, in a checkout and in the bundle (bin/bundle), which keeps a checkout's shape. */
import { extname } from 'node:path';

/** The entry of a worker thread: a neighbour of this file, of the same kind (.ts in a checkout, .js in the bundle). */
export function workerEntry(name: string): URL {
  return new URL(`./${name}${extname(import.meta.filename)}`, import.meta.url);
}
