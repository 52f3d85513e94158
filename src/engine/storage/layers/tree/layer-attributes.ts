/**
 * Which extended attributes of a file belong to a layer, and what overlayfs's own mean. A layer travels to other hosts:
 * it carries what programs set (`user.*`), file capabilities and ACLs, not what this host thinks of a file (SELinux
 * labels, IMA) nor overlayfs's book-keeping (Documentation/filesystems/overlayfs.rst):
 *
 * ```
 * trusted.overlay.opaque=y      what the parents have in this directory is gone
 * trusted.overlay.redirect      the directory was renamed, its content lies elsewhere below     (we mount without)
 * trusted.overlay.metacopy      the file's content lies below                                   (we mount without)
 * trusted.overlay.origin, impure, nlink, uuid, protattr, …     of no meaning for the content
 * ```
 * Inside of a user namespace they are `user.overlay.*` (overlay-marks.ts).
 */
import type { BigIntStats } from 'node:fs';
import { InternalError, InvalidArgumentError } from '../../../../base/errors.ts';
import type { FileCalls } from '../../../kernel/files.ts';
import { OVERLAY_MARKS } from '../../overlay-marks.ts';
import { unlessGone } from './held-directory.ts';
import { readable, type ByteString } from '../tar/entry.ts';

export const OPAQUE_XATTR = `${OVERLAY_MARKS.prefix}opaque`;
const WHITEOUT_PREFIX = '.wh.';
/** With these the content is not where it seems to be: a layer made of it would lack files. */
const ELSEWHERE = [`${OVERLAY_MARKS.prefix}redirect`, `${OVERLAY_MARKS.prefix}metacopy`];
const CAPABILITY = 'security.capability';
const ACLS = 'system.posix_acl_';
const USER = 'user.';
const TRUSTED = 'trusted.';
/** overlayfs's marks where it was mounted with `userxattr`. */
const USER_OVERLAY = 'user.overlay.';

export type XattrCalls = Pick<FileCalls, 'getXattr' | 'listXattrs'>;

/** What a layer keeps of a file's extended attributes, by name. */
export function layerXattrs(files: XattrCalls, place: Buffer): ReadonlyMap<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (const name of (unlessGone(() => files.listXattrs(place)) ?? []).toSorted()) {
    if (!belongsToLayer(name)) continue;
    const value = unlessGone(() => files.getXattr(place, name));
    if (value !== null) found.set(name, value);
  }
  return found;
}

/** True for a directory that hides all that its parents have in it. InternalError for marks of mounts that are not ours. */
export function isOpaque(files: XattrCalls, place: Buffer, name: ByteString): boolean {
  const marks = overlayMarks(files, place, name);
  if (!marks.includes(OPAQUE_XATTR)) return false;
  return unlessGone(() => files.getXattr(place, OPAQUE_XATTR))?.toString('latin1') === 'y';
}

/** InternalError for a file whose content lies elsewhere. */
export function checkContentIsHere(files: XattrCalls, place: Buffer, name: ByteString): void {
  overlayMarks(files, place, name);
}

/** overlayfs's own way to say that something is gone. */
export function isWhiteout(info: BigIntStats): boolean {
  return info.isCharacterDevice() && info.rdev === 0n;
}

/** Names that a layer cannot hold, since they are its words for deletions (image-spec, "Whiteouts"). */
export function checkName(base: ByteString, path: ByteString): void {
  if (!base.startsWith(WHITEOUT_PREFIX)) return;
  throw new InvalidArgumentError(
    `/${readable(path)} cannot be part of an image: names that begin with "${WHITEOUT_PREFIX}" mark deletions`,
  );
}

function overlayMarks(files: XattrCalls, place: Buffer, name: ByteString): readonly string[] {
  const names = unlessGone(() => files.listXattrs(place)) ?? [];
  const mark = names.find((each) => ELSEWHERE.includes(each));
  if (mark === undefined) return names;
  throw new InternalError(
    `/${readable(name)} has ${mark}: its content lies in another layer, mounted by another engine`,
  );
}

/** Takes away what this host's kernel alone has to say of a file, overlayfs's marks too, but for the one named `but`. */
export function dropMarks(files: Pick<FileCalls, 'listXattrs' | 'removeXattr'>, place: Buffer, but = ''): void {
  for (const name of files.listXattrs(place)) {
    const isMark = name.startsWith(TRUSTED) || name.startsWith(USER_OVERLAY);
    if (isMark && name !== but) files.removeXattr(place, name);
  }
}

/** True for the name of an extended attribute that a layer carries. */
export function belongsToLayer(name: string): boolean {
  if (name.startsWith(USER)) return !name.startsWith(USER_OVERLAY);
  return name === CAPABILITY || name.startsWith(ACLS);
}
