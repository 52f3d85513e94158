import { InvalidArgumentError, errnoCodeOf } from '../../../../base/errors.ts';
import { idOnHost, type IdMapping } from '../../../oci/id-mapping.ts';
import type { WriteOptions } from '../../copying.ts';
import type { WriteJob } from '../job.ts';
import { layerFault } from '../layer-fault.ts';
import { readable, type ByteString, type TarEntry, type TarSink } from '../tar/entry.ts';
import { confine } from '../tar/path.ts';
import { TarReader } from '../tar/reader.ts';
import type { LayerTools } from '../tools.ts';
import { JailedTree } from '../tree/jailed-tree.ts';
import type { LayerTree } from '../tree/tree.ts';
import { LayerWriter } from '../unpack/layer-writer.ts';
import { Cancelled, type JobControl } from '../unpack/unpack-blob.ts';
import { enterView } from './enter.ts';
import { locate } from './locate.ts';
import { askedPath } from './path-words.ts';
import { readPipe } from './shared-pipe.ts';

/** Unpacks what comes through the job's pipe; false when there is nothing at the path. */
export function writePath(job: WriteJob, tools: LayerTools, control: JobControl): boolean {
  using view = enterView(job, tools);
  const target = targetOf(view.root, job.path);
  if (target === null) return false;
  checkWritable(target, job.options);
  using tree = new JailedTree(`/proc/self/fd/${String(view.root)}`, tools.files, { shared: true });
  const writer = new LayerWriter(tree, 'plain');
  const reader = new TarReader(new InTarget(writer, tree, { target: target.slice(1), job }));
  try {
    for (const chunk of readPipe(job.input, () => stopIfAsked(control))) reader.push(chunk);
    reader.finish();
    writer.finish();
  } finally {
    writer.abandon();
  }
  return true;
}

function stopIfAsked(control: JobControl): void {
  if (control.isCancelled()) throw new Cancelled();
}

/** The directory that a path leads to, all links resolved; null when there is nothing. */
function targetOf(root: number, given: string): ByteString | null {
  const path = Buffer.from(askedPath(given).path).toString('latin1');
  try {
    using found = locate(root, path, { follow: true });
    if (found.info.isDirectory()) return found.path;
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return null;
    throw layerFault('lstat', path.slice(1), error);
  }
  throw new InvalidArgumentError('extraction point is not a directory');
}

/** InvalidArgumentError in Docker's words. The kernel refuses too; this says it before anything is written. */
function checkWritable(target: ByteString, { mounts, readOnlyRoot }: WriteOptions): void {
  const path = readable(target);
  const [nearest] = mounts
    .filter(({ destination }) => destination === '/' || path === destination || path.startsWith(`${destination}/`))
    .sort((a, b) => b.destination.length - a.destination.length);
  if (nearest?.readOnly === true) throw new InvalidArgumentError('mounted volume is marked read-only');
  if (nearest === undefined && readOnlyRoot) throw new InvalidArgumentError('container rootfs is marked read-only');
}

/** Puts members where they belong, with the ids they are to have, and refuses what dockerd refuses. */
class InTarget implements TarSink {
  readonly #writer: LayerWriter;
  readonly #tree: LayerTree;
  readonly #target: ByteString;
  readonly #options: WriteOptions;
  readonly #ids: IdMapping | null;
  /** The present member is passed over. */
  #skips = false;

  constructor(
    writer: LayerWriter,
    tree: LayerTree,
    { target, job }: { readonly target: ByteString; readonly job: WriteJob },
  ) {
    this.#writer = writer;
    this.#tree = tree;
    this.#target = target;
    this.#options = job.options;
    this.#ids = job.ids;
  }

  entry(entry: TarEntry): void {
    const inner = confine(entry.name);
    const path = this.#inside(inner);
    this.#check(path, entry);
    // The directory itself is what it is already.
    this.#skips = inner === '';
    if (this.#skips) return;
    const { owner } = this.#options;
    this.#writer.entry({
      ...entry,
      name: path,
      linkName: entry.type === 'hardlink' ? this.#inside(confine(entry.linkName)) : entry.linkName,
      uid: this.#onHost('uids', owner?.uid ?? entry.uid),
      gid: this.#onHost('gids', owner?.gid ?? entry.gid),
    });
  }

  data(chunk: Buffer, position: number): void {
    if (!this.#skips) this.#writer.data(chunk, position);
  }

  end(): void {
    if (!this.#skips) this.#writer.end();
  }

  #check(path: ByteString, entry: TarEntry): void {
    if (!this.#options.keepsKinds) return;
    const existing = this.#tree.lstat(path);
    const isDirectory = entry.type === 'directory';
    if (existing === null || (existing.type === 'directory') === isDirectory) return;
    const [there, comes] = isDirectory ? ['non-directory', 'directory'] : ['directory', 'non-directory'];
    const target = `/${readable(this.#target)}`;
    throw new InvalidArgumentError(
      `cannot overwrite ${there} ${JSON.stringify(`/${readable(path)}`)} with ${comes} ${JSON.stringify(target)}`,
    );
  }

  #inside(path: ByteString): ByteString {
    return [this.#target, path].filter((part) => part !== '').join('/');
  }

  #onHost(kind: 'uids' | 'gids', id: number): number {
    if (this.#ids === null) return id;
    const found = idOnHost(this.#ids[kind], id);
    if (found !== null) return found;
    throw new InvalidArgumentError(`Container ID ${String(id)} cannot be mapped to a host ID`);
  }
}
