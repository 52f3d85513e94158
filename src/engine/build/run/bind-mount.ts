import { chmodSync, chownSync, closeSync, mkdirSync, readlinkSync, statSync } from 'node:fs';
import { join, posix, relative } from 'node:path';
import { errnoCodeOf, InvalidArgumentError } from '../../../base/errors.ts';
import type { MountRequest } from '../../containers/spec-types.ts';
import type { RunMount } from '../../dockerfile/types.ts';
import type { FileCalls } from '../../kernel/files.ts';
import type { SourceTree } from '../copy/types.ts';
import { plainBind } from './plain-bind.ts';

/** open(2)'s O_PATH, which node:fs does not name. */
const O_PATH = 0o10000000;

type BindMount = RunMount & { readonly kind: 'bind' };

/**
 * A part of the context, a stage or an image in a step. With `rw` what is written goes to a place beside it, of which
 * nothing is kept. InvalidArgumentError in BuildKit's words for what is not there.
 */
export function bindRequest(
  { files }: { readonly files: Pick<FileCalls, 'openBeneath'> },
  { mount, from }: { readonly mount: BindMount; readonly from: SourceTree | null },
  place: () => string,
): MountRequest {
  if (from === null) throw notFound(mount.source);
  const { target, readWrite: writable } = mount;
  const subpath = posix.join('/', mount.source).slice(1).replace(/\/$/, '');
  if (from.kind === 'layers') {
    if (from.top !== null)
      return { kind: 'image', image: '', target, subpath, tree: { ...from, top: from.top, writable } };
    if (subpath !== '') throw notFound(mount.source);
    return { kind: 'tmpfs', target, options: [writable ? 'rw' : 'ro'] };
  }
  const source = within(files, from.path, mount.source);
  if (!writable) return { ...plainBind(source, target), readOnly: true };
  return {
    kind: 'image',
    image: '',
    target,
    subpath: relative(from.path, source),
    tree: { kind: 'overlay', lower: from.path, ...besides(from.path, place()) },
  };
}

/** Where a path of the context leads, links resolved as if the context were all there is. */
export function within(files: Pick<FileCalls, 'openBeneath'>, root: string, path: string): string {
  let fd: number;
  try {
    fd = files.openBeneath(root, posix.join('/', path), O_PATH);
  } catch (error) {
    const code = errnoCodeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') throw notFound(path, error);
    throw error;
  }
  try {
    return readlinkSync(`/proc/self/fd/${String(fd)}`);
  } finally {
    closeSync(fd);
  }
}

/** The root of an overlay shows who the upper directory belongs to. */
function besides(lower: string, place: string): { readonly upper: string; readonly work: string } {
  const [upper, work] = [join(place, 'upper'), join(place, 'work')];
  mkdirSync(upper);
  mkdirSync(work);
  const { uid, gid, mode } = statSync(lower);
  chownSync(upper, uid, gid);
  chmodSync(upper, mode);
  return { upper, work };
}

function notFound(path: string, cause?: unknown): InvalidArgumentError {
  return new InvalidArgumentError(`failed to compute cache key: "${posix.join('/', path)}": not found`, { cause });
}
