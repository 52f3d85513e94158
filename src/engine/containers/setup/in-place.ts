import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { errnoCodeOf } from '../../../base/errors.ts';

/** Changes a file that is mounted elsewhere: same inode, and never empty in between. One that is gone is left so. */
export function editInPlace(path: string, change: (text: string) => string): void {
  const descriptor = openOrNull(path);
  if (descriptor === null) return;
  try {
    const text = readFileSync(descriptor, 'utf8');
    const changed = change(text);
    if (changed === text) return;
    const bytes = Buffer.from(changed);
    for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at, bytes.length - at, at);
    ftruncateSync(descriptor, bytes.length);
  } finally {
    closeSync(descriptor);
  }
}

function openOrNull(path: string): number | null {
  try {
    return openSync(path, 'r+');
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return null;
    throw error;
  }
}
