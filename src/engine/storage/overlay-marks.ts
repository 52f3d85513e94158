/**
 * Where overlayfs keeps its marks: in attributes `trusted.overlay.*`, or, where the engine runs inside of a user namespace,
 * whose root may not write those, in `user.overlay.*`, with the mount option `userxattr` (Linux 5.11). One process has one
 * kind: what mounts, what unpacks and what packs must agree.
 */
import { readFileSync } from 'node:fs';

export interface OverlayMarks {
  readonly prefix: 'trusted.overlay.' | 'user.overlay.';
  /** What every overlay mount is told of it. */
  readonly mountOptions: readonly string[];
}

const ALL_IDS = 4_294_967_295;

/** The marks of a process with this /proc/self/uid_map. */
export function overlayMarksOf(uidMap: string): OverlayMarks {
  const [inside, outside, count] = uidMap.trim().split(/\s+/).map(Number);
  // The namespace of the host maps all ids to themselves; a kernel without user namespaces has no such file.
  const isOnHost = uidMap.trim() === '' || (inside === 0 && outside === 0 && count === ALL_IDS);
  return isOnHost
    ? { prefix: 'trusted.overlay.', mountOptions: [] }
    : { prefix: 'user.overlay.', mountOptions: ['userxattr'] };
}

/** This process's. */
export const OVERLAY_MARKS = overlayMarksOf(ownUidMap());

function ownUidMap(): string {
  try {
    return readFileSync('/proc/self/uid_map', 'utf8');
  } catch {
    return '';
  }
}
