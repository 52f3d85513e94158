/** What a new cache mount begins with: a copy of a directory of a stage, an image or the context. */
import { chmodSync, chownSync, closeSync, fstatSync, mkdirSync } from 'node:fs';
import { basename, dirname, join, posix } from 'node:path';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { FileCalls } from '../../kernel/files.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { isInstant } from '../../oci/mount.ts';
import type { CopyView, TreeCopier } from '../../storage/copying.ts';
import { release, type StorageDriver } from '../../storage/driver.ts';
import type { SourceTree } from '../copy/types.ts';

const O_PATH = 0o10000000;
/** Of the snapshots through which layers are read, before the name of the step's directory. */
export const FILL_KEY_PREFIX = 'build-fill-';
const KEEP_ALL = { keepsKinds: false, owner: null, readOnlyRoot: false, mounts: [] };

/** What filling needs of the engine. */
export interface FillGround {
  readonly kernel: Pick<Kernel, 'mounts'>;
  readonly files: Pick<FileCalls, 'openBeneath'>;
  readonly storage: StorageDriver;
  readonly copier: TreeCopier;
}

interface FillSource {
  readonly from: SourceTree;
  readonly source: string;
  /** Makes a directory to mount on. */
  readonly place: () => string;
  readonly signal: AbortSignal;
}

/** Copies the directory; InvalidArgumentError when there is none. */
export function fillFrom(ground: FillGround, fill: FillSource): (directory: string) => Promise<void> {
  return async (directory) => {
    const { from, source, place, signal } = fill;
    if (from.kind === 'directory') return copy(ground, { root: from.path, source, directory, signal });
    if (from.top === null) throw notFound(source);
    await using view = await mountedView(ground, from.top, place());
    await copy(ground, { root: view.path, source, directory, signal });
  };
}

async function mountedView(
  { storage, kernel: { mounts } }: FillGround,
  top: string,
  place: string,
): Promise<AsyncDisposable & { readonly path: string }> {
  const key = `${FILL_KEY_PREFIX}${basename(dirname(place))}-${basename(place)}`;
  await using stack = new AsyncDisposableStack();
  stack.defer(() => storage.remove(key));
  stack.defer(() => release(storage, key));
  const path = join(place, 'view');
  mkdirSync(path);
  for (const mount of await storage.view(key, top)) {
    if (isInstant(mount)) mounts.mount(mount, path);
    else await mounts.mountInThread(mount, path);
    stack.defer(() => mounts.unmountInThread(path));
  }
  const kept = stack.move();
  return { path, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

async function copy(
  { copier, files }: FillGround,
  {
    root,
    source,
    directory,
    signal,
  }: { readonly root: string; readonly source: string; readonly directory: string; readonly signal: AbortSignal },
): Promise<void> {
  const archive = await copier.read(viewOf(root), `${posix.join('/', source)}/.`, signal);
  if (archive === null) throw notFound(source);
  await copier.write(viewOf(directory), '/', { tar: archive.chunks, options: KEEP_ALL, signal });
  const fd = files.openBeneath(root, posix.join('/', source), O_PATH);
  const { uid, gid, mode } = fstatSync(fd);
  closeSync(fd);
  chownSync(directory, uid, gid);
  chmodSync(directory, mode & 0o7777);
}

function viewOf(root: string): CopyView {
  return { plan: { root, process: null, mounts: [] }, ids: null };
}

function notFound(path: string): InvalidArgumentError {
  return new InvalidArgumentError(`failed to compute cache key: "${posix.join('/', path)}": not found`);
}
