/**
 * Writes as the root of a container does: without CAP_SYS_RESOURCE, whose holders ext4 lets write beyond every limit (the
 * kernel's `ignore_hardlimit`).
 */
import { spawnSync } from 'node:child_process';

/** What a file system says that has reached a limit: ext4 and btrfs the one, xfs the other. */
export const REFUSALS = /Disk quota exceeded|No space left on device/;

const CHUNK = 256 * 1024;

/** Writes zeros to a file, of so many bytes at most; what it was refused with, '' when it was not. */
export function refusalOf(path: string, sizeBytes: number): string {
  const words = ['if=/dev/zero', `of=${path}`, `bs=${String(CHUNK)}`, `count=${String(Math.ceil(sizeBytes / CHUNK))}`];
  const bounded = ['--bounding-set=-sys_resource', '--inh-caps=-sys_resource'];
  const { error, stderr } = spawnSync('setpriv', [...bounded, 'dd', 'status=none', ...words], { encoding: 'utf8' });
  if (error !== undefined) throw error;
  return stderr;
}
