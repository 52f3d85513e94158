import { closeSync, constants, openSync, readlinkSync, type BigIntStats } from 'node:fs';
import { EngineError, errnoCodeOf, InvalidArgumentError } from '../../../../base/errors.ts';
import type { FoundSource, TextSource } from '../../building.ts';
import { parseMode, type ModeChange } from '../../file-modes.ts';
import type { PlaceJob } from '../job.ts';
import { layerFault } from '../layer-fault.ts';
import type { ByteString, TarEntry } from '../tar/entry.ts';
import { confine, parentOf } from '../tar/path.ts';
import { inodeOf } from '../tar/stream.ts';
import type { LayerTools } from '../tools.ts';
import { HeldDirectory } from '../tree/held-directory.ts';
import { layerXattrs } from '../tree/layer-attributes.ts';
import { inside } from '../tree/walks.ts';
import { Cancelled, type JobControl } from '../unpack/unpack-blob.ts';
import { locate, placeOf, type Located } from '../view/locate.ts';
import { lookUpOwner, ROOT, type Owner } from './owners.ts';
import { Selection, type SourceEntry } from './selection.ts';
import { at, Target, wrapped } from './target.ts';
import { unpackArchive } from './unpack-archive.ts';

const TEXT_MODE = 0o644;
const PERMISSIONS = 0o7777n;

/** Writes what a COPY or ADD brings into a tree that nobody else uses. */
export async function placeSources(job: PlaceJob, tools: LayerTools, control: JobControl): Promise<null> {
  using placing = new Placing(job, tools, control);
  await placing.run();
  return null;
}

class Placing implements Disposable {
  readonly #job: PlaceJob;
  readonly #tools: LayerTools;
  readonly #control: JobControl;
  readonly #target: Target;
  readonly #owner: Owner;
  readonly #mode: ModeChange | null;

  constructor(job: PlaceJob, tools: LayerTools, control: JobControl) {
    this.#job = job;
    this.#tools = tools;
    this.#control = control;
    const { owner, mode } = job.request;
    this.#owner = owner === null ? ROOT : lookUpOwner(tools.files, job.namesRoot ?? job.root, owner);
    this.#mode = mode === null ? null : parseMode(mode);
    this.#target = new Target(job.root, tools.files, job.request.latestTime);
  }

  async run(): Promise<void> {
    for (const source of this.#job.request.sources) {
      if (source.kind === 'text') this.#text(source);
      else if (source.kind === 'archive') await this.#archive(source);
      else wrapped('failed to copy files', () => this.#source(source));
    }
    this.#target.finish();
  }

  [Symbol.dispose](): void {
    this.#target[Symbol.dispose]();
  }

  #source(source: FoundSource): void {
    if (source.kind === 'directory') {
      using located = this.#locate(source);
      using top = HeldDirectory.open(`/proc/self/fd/${String(located.directory)}`);
      const path = this.#target.resolve(this.#job.request.destination);
      wrapped('failed to copy directory', () => this.#directory(path, source, top));
      return;
    }
    using located = this.#locate(source);
    const place = placeOf(located.directory, located.name);
    this.#put(this.#fileDestination(source.name), { place, info: located.info }, new Map());
  }

  #text({ name, content }: TextSource): void {
    const path = wrapped('failed to copy files', () => this.#fileDestination(Buffer.from(name).toString('latin1')));
    this.#target.clear(path);
    this.#target.writeFile(path, Buffer.from(content));
    this.#describe(path, this.#owner, this.#mode?.({ mode: TEXT_MODE, isDirectory: false }) ?? TEXT_MODE);
    const { latestTime } = this.#job.request;
    // Without a latest time it is new, as every file that is written now.
    if (latestTime !== null) {
      const time = this.#target.timeOf(BigInt(latestTime) * 1_000_000_000n);
      at('chtimes', path, () => this.#target.tree.setModified(path, time));
    }
  }

  /** Where a file goes: into a directory when there is one, or the words end in a slash. */
  #fileDestination(name: ByteString): ByteString {
    const { destination } = this.#job.request;
    const resolved = this.#target.resolve(destination);
    const existing = this.#target.look(resolved);
    const isInside = destination.endsWith('/') || existing?.type === 'directory';
    const path = isInside ? inside(resolved, name) : resolved;
    wrapped('failed to create new directory', () =>
      this.#target.makeDirectories(parentOf(path), { above: this.#owner, last: this.#owner }),
    );
    return path;
  }

  /** What is in a directory goes into the destination, which is made when it is not there. */
  #directory(path: ByteString, { includes }: FoundSource, top: HeldDirectory): void {
    const { excludes, keepsOwners } = this.#job.request;
    if (this.#target.makeDirectories(path, { above: ROOT, last: keepsOwners ? ROOT : this.#owner })) {
      const mode = this.#mode?.({ mode: 0o755, isDirectory: true });
      if (mode !== undefined) at('chmod', path, () => this.#target.tree.chmod(path, mode));
    }
    const linked = new Map<string, ByteString>();
    try {
      for (const entry of new Selection(includes, excludes).entries(top)) {
        if (this.#control.isCancelled()) throw new Cancelled();
        this.#put(path === '' ? entry.path : `${path}/${entry.path}`, entry, linked);
      }
    } catch (error) {
      throw layerFault('read', path, error);
    }
  }

  #put(
    path: ByteString,
    { place, info }: Omit<SourceEntry, 'path'>,
    /** Files with several names: inode → the first copy. */
    linked: Map<string, ByteString>,
  ): void {
    const target = this.#target;
    const owner = this.#job.request.keepsOwners ? { uid: Number(info.uid), gid: Number(info.gid) } : this.#owner;
    if (info.isDirectory()) {
      if (!target.putDirectory(path)) at('lremovexattr', path, () => target.tree.clearXattrs(path));
      this.#describe(path, owner, this.#modeOf(info), place);
      target.setDirectoryTime(path, info.mtimeNs);
      return;
    }
    const first = info.nlink > 1n ? linked.get(inodeOf(info)) : undefined;
    target.clear(path);
    if (first !== undefined) {
      at('link', path, () => target.tree.link(first, path));
      return;
    }
    if (!this.#make(path, place, info)) return;
    if (info.nlink > 1n) linked.set(inodeOf(info), path);
    this.#describe(path, owner, info.isSymbolicLink() ? null : this.#modeOf(info), place);
    at('chtimes', path, () => target.tree.setModified(path, target.timeOf(info.mtimeNs)));
  }

  /** False for what is not copied. */
  #make(path: ByteString, place: Buffer, info: BigIntStats): boolean {
    const { tree } = this.#target;
    if (info.isFile()) return this.#target.copyFile(path, place);
    if (info.isSocket()) return false;
    if (info.isSymbolicLink()) {
      at('symlink', path, () => tree.symlink(readlinkSync(place, { encoding: 'latin1' }), path));
    } else {
      const device = this.#tools.files.splitDevice(info.rdev);
      at('mknod', path, () => tree.mknod(path, Number(info.mode), device));
    }
    return true;
  }

  /** Owner, attributes and mode: in this order, since chown drops set-id bits and capabilities. */
  #describe(path: ByteString, owner: Owner, mode: number | null, place?: Buffer): void {
    const { tree } = this.#target;
    at('lchown', path, () => tree.chown(path, owner.uid, owner.gid));
    if (place !== undefined)
      for (const [name, value] of layerXattrs(this.#tools.files, place)) this.#setXattr(path, name, value);
    if (mode !== null) at('chmod', path, () => tree.chmod(path, mode));
  }

  /** A file system that knows none, or not this one, goes without. */
  #setXattr(path: ByteString, name: string, value: Buffer): void {
    try {
      this.#target.tree.setXattr(path, name, value);
    } catch (error) {
      if (!['ENOTSUP', 'EOPNOTSUPP', 'EPERM'].includes(errnoCodeOf(error) ?? ''))
        throw layerFault('lsetxattr', path, error);
    }
  }

  #modeOf(info: BigIntStats): number {
    const mode = Number(info.mode & PERMISSIONS);
    return this.#mode?.({ mode, isDirectory: info.isDirectory() }) ?? mode;
  }

  /** ADD: what is in it goes into the destination, with the owners that it has there unless others were asked for. */
  async #archive(source: FoundSource): Promise<void> {
    const target = this.#target;
    const path = target.resolve(this.#job.request.destination);
    wrapped('failed to copy files', () => target.makeDirectories(path, { above: ROOT, last: ROOT }));
    target.touch(path);
    using located = this.#locate(source);
    const [blob, directory] = [openSync(placeOf(located.directory, located.name), 'r'), target.openDirectory(path)];
    try {
      const adapt = (entry: TarEntry): TarEntry => this.#adapted(path, entry);
      const [from, root] = [`/proc/self/fd/${String(blob)}`, `/proc/self/fd/${String(directory)}`];
      await unpackArchive({ path: from, root, adapt }, this.#tools, this.#control);
    } catch (error) {
      if (!(error instanceof EngineError) || error.kind !== 'invalid-argument') throw error;
      throw new InvalidArgumentError(`failed to copy files: ${error.message}`, { cause: error });
    } finally {
      closeSync(directory);
      closeSync(blob);
    }
  }

  #adapted(directory: ByteString, entry: TarEntry): TarEntry {
    const path = confine(`${directory}/${confine(entry.name)}`);
    for (let above = parentOf(path); above.length > directory.length; above = parentOf(above))
      this.#target.touch(above);
    const owner = this.#job.request.owner === null ? entry : this.#owner;
    const mode = this.#mode?.({ mode: entry.mode, isDirectory: entry.type === 'directory' }) ?? entry.mode;
    return { ...entry, uid: owner.uid, gid: owner.gid, mode, mtimeNs: this.#target.timeOf(entry.mtimeNs) };
  }

  /** A source again, by the path that was found: nobody has written to its tree meanwhile. */
  #locate({ root, path }: FoundSource): Located {
    const top = openSync(`${root}/.`, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      return locate(top, path, { follow: false });
    } catch (error) {
      throw layerFault('open', path, error);
    } finally {
      closeSync(top);
    }
  }
}
