import { statfs } from 'node:fs/promises';

/** `f_type` of statfs(2) in the words of `docker info` (as its graph drivers name them). */
const NAMES: ReadonlyMap<number, string> = new Map([
  [0xef53, 'extfs'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x01021994, 'tmpfs'],
  [0x794c7630, 'overlayfs'],
  [0x2fc12fc1, 'zfs'],
  [0x6969, 'nfs'],
  [0xf15f, 'ecryptfs'],
  [0x61756673, 'aufs'],
  [0x52654973, 'reiserfs'],
  [0x65735546, 'fuseblk'],
  [0xf2f52010, 'f2fs'],
  [0xff534d42, 'smb'],
  [0x73717368, 'squashfs'],
]);

/** The file system a directory lies on: `extfs`, `xfs`, `btrfs` …, or `<unknown>`. */
export async function backingFilesystem(path: string): Promise<string> {
  // Node hands f_type out signed on some architectures.
  return NAMES.get((await statfs(path)).type >>> 0) ?? '<unknown>';
}
