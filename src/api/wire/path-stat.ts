/** `X-Docker-Container-Path-Stat`: what is at a path of a container, as JSON in standard base64. */
import { formatTimestamp, type Timestamp } from '../../base/clock.ts';
import type { PathStat } from '../../engine/index.ts';

/** Bits of Go's `os.FileMode`, which are not those of stat(2). */
const DIRECTORY = 2 ** 31;
const SYMLINK = 2 ** 27;
const DEVICE = 2 ** 26;
const FIFO = 2 ** 25;
const SOCKET = 2 ** 24;
const SET_UID = 2 ** 23;
const SET_GID = 2 ** 22;
const CHARACTER = 2 ** 21;
const STICKY = 2 ** 20;
const PERMISSIONS = 0o777;
const TYPE_BITS: ReadonlyMap<number, number> = new Map([
  [0o040000, DIRECTORY],
  [0o120000, SYMLINK],
  [0o060000, DEVICE],
  [0o020000, DEVICE + CHARACTER],
  [0o010000, FIFO],
  [0o140000, SOCKET],
]);

/** Value of the header field. */
export function pathStatHeader({ name, sizeBytes, mode, mtimeNs, linkTarget }: PathStat): string {
  const mtime = formatTimestamp(BigInt(mtimeNs) as Timestamp);
  const document = { name, size: sizeBytes, mode: goFileMode(mode), mtime, linkTarget };
  return Buffer.from(JSON.stringify(document)).toString('base64');
}

/** Go's `os.FileMode` of a st_mode. */
export function goFileMode(mode: number): number {
  const special = ((mode & 0o4000) === 0 ? 0 : SET_UID) + ((mode & 0o2000) === 0 ? 0 : SET_GID);
  const sticky = (mode & 0o1000) === 0 ? 0 : STICKY;
  return (TYPE_BITS.get(mode & 0o170000) ?? 0) + special + sticky + (mode & PERMISSIONS);
}
