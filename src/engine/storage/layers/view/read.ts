import { InvalidArgumentError } from '../../../../base/errors.ts';
import { idInside, type IdMapping } from '../../../oci/id-mapping.ts';
import type { ReadJob } from '../job.ts';
import type { ByteString } from '../tar/entry.ts';
import { TarStream, type PackItem, type TarStreamOptions } from '../tar/stream.ts';
import type { LayerTools } from '../tools.ts';
import { HeldDirectory } from '../tree/held-directory.ts';
import { sendChunks } from '../pack/stream-tree.ts';
import type { JobControl } from '../unpack/unpack-blob.ts';
import { enterView } from './enter.ts';
import { placeOf, type Located } from './locate.ts';
import { find, statOf } from './look.ts';
import { askedPath } from './path-words.ts';

/** Each step down holds a descriptor; a container must not use up all that the daemon has. */
const MAX_DEPTH = 1024;
/** What the kernel shows for ids that a user namespace does not have. */
const NOBODY = 65534;

/** Sends what is at a path, its {@link PathStat} first; false when there is nothing. */
export function readPath(job: ReadJob, tools: LayerTools, control: JobControl): boolean {
  using view = enterView(job, tools);
  const asked = askedPath(job.path);
  using found = find(view.root, asked);
  if (found === null) return false;
  const stat = Buffer.from(JSON.stringify(statOf(view.root, asked, found)));
  const stream = new TarStream(tools.files, { fillsHoles: true, wholeSeconds: true, ...idsOf(job.ids) });
  const chunks = stream.chunks(itemsAt(found, Buffer.from(asked.base).toString('latin1')));
  sendChunks(first(stat, chunks), job.waiting, control);
  return true;
}

function* first(one: Buffer, rest: Iterable<Buffer>): Generator<Buffer, void, void> {
  yield one;
  yield* rest;
}

function idsOf(ids: IdMapping | null): Pick<TarStreamOptions, 'idsInside'> {
  if (ids === null) return {};
  return {
    idsInside: {
      uid: (id) => idInside(ids.uids, id) ?? NOBODY,
      gid: (id) => idInside(ids.gids, id) ?? NOBODY,
    },
  };
}

function* itemsAt({ directory, name: place, info }: Located, name: ByteString): Generator<PackItem, void, void> {
  if (!info.isDirectory()) {
    yield { kind: 'node', name, place: placeOf(directory, place), info };
    return;
  }
  using top = HeldDirectory.open(`/proc/self/fd/${String(directory)}`);
  // dockerd's word for the root is its slash: its entries begin with one.
  const prefix = name === '/' ? '' : name;
  yield { kind: 'node', name: prefix, place: top.place('.'), info };
  yield* contentOf(top, prefix, 1);
}

function* contentOf(directory: HeldDirectory, path: ByteString, depth: number): Generator<PackItem, void, void> {
  if (depth > MAX_DEPTH)
    throw new InvalidArgumentError(`${path.slice(0, 100)}…: directories are too deep to be copied`);
  for (const base of directory.names()) {
    const info = directory.lstat(base);
    if (info === null) continue;
    const name = `${path}/${base}`;
    if (!info.isDirectory()) {
      yield { kind: 'node', name, place: directory.place(base), info };
      continue;
    }
    using child = directory.openDirectory(base);
    if (child === null) continue;
    yield { kind: 'node', name, place: child.place('.'), info };
    yield* contentOf(child, name, depth + 1);
  }
}
