import { statfs } from 'node:fs/promises';
import type { DiskUsage } from './types.ts';

/** How full the file system of `path` is. */
export async function diskUsageOf(path: string): Promise<DiskUsage> {
  const { bsize, blocks, bfree, bavail } = await statfs(path);
  const usedBytes = (blocks - bfree) * bsize;
  return { usedBytes, totalBytes: usedBytes + bavail * bsize };
}
