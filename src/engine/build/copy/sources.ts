import { mkdir, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { Undo } from '../../../base/undo.ts';
import type { FoundSource, TextSource, TreeBuilder } from '../../storage/building.ts';
import { download, isDownload } from './downloads.ts';
import { foreignArchive } from './foreign-archives.ts';
import type { CopiesOptions, SourceRequest } from './options.ts';
import { addRepository, isRepository } from './repositories.ts';
import type { CopyRequest } from './types.ts';

/** Finds all that is to be copied, in the order of the words; what it holds meanwhile goes with `held`. */
export async function findSources(
  options: CopiesOptions,
  request: SourceRequest,
  held: Undo,
): Promise<readonly (FoundSource | TextSource)[]> {
  const { words, verb } = request;
  checkRemotes(request);
  const local = words.sources.filter((source) => !isRemote(source));
  const found = await surveyed(options, { request, local }, held);
  const sources: FoundSource[] = [];
  for (const source of words.sources)
    sources.push(...(isRemote(source) ? await fetched(options, { request, source }, held) : (found.shift() ?? [])));
  const texts = words.heredocs.map(({ name, content }): TextSource => ({ kind: 'text', name, content }));
  if (sources.length + texts.length === 0)
    throw new InvalidArgumentError(`${verb.toUpperCase()} failed: no source files were specified`);
  return [...sources, ...texts];
}

function isRemote(source: string): boolean {
  return isRepository(source) || isDownload(source);
}

/** In BuildKit's words, and dockerd's. */
function checkRemotes({ verb, words: { sources, checksum } }: SourceRequest): void {
  const remote = sources.find(isRemote);
  if (verb === 'copy' && remote !== undefined) {
    const what = isRepository(remote) ? 'git ref' : 'URL';
    throw new InvalidArgumentError(`COPY failed: source can't be a ${what} for COPY`);
  }
  if (checksum === null) return;
  if (verb === 'copy') throw new InvalidArgumentError("checksum can't be specified for COPY");
  if (sources.length !== 1) throw new InvalidArgumentError("checksum can't be specified for multiple sources");
  const [only = ''] = sources;
  if (!isRemote(only)) throw new InvalidArgumentError('checksum requires HTTP(S) or Git sources');
  if (!isRepository(only) && !/^sha256:[0-9a-f]{64}$/.test(checksum))
    throw new InvalidArgumentError(`invalid checksum digest format: ${checksum}: sha256:<64 hex digits> is expected`);
}

/** Of the trees that are here, one list a source. */
async function surveyed(
  options: CopiesOptions,
  { request, local }: { readonly request: SourceRequest; readonly local: readonly string[] },
  held: Undo,
): Promise<FoundSource[][]> {
  const { words, from, verb, signal } = request;
  if (local.length === 0) return [];
  const found = await options.builder.survey(
    {
      verb: verb === 'copy' ? 'COPY' : 'ADD',
      root: await rootOf(options.builder, from, held),
      isContext: from.kind === 'directory',
      sources: local,
      excludes: words.excludes,
      parents: words.parents,
      findsArchives: words.unpack ?? verb === 'add',
    },
    signal,
  );
  return Promise.all(
    found.map(async (each) =>
      Promise.all(
        each.map(async (source) =>
          source.packedBy === null
            ? source
            : foreignArchive(options, { source, place: await newPlace(options, held) }, signal),
        ),
      ),
    ),
  );
}

async function fetched(
  options: CopiesOptions,
  { request, source: address }: { readonly request: SourceRequest; readonly source: string },
  held: Undo,
): Promise<readonly FoundSource[]> {
  const place = await newPlace(options, held);
  if (isRepository(address)) return addRepository(options, { address, place }, request);
  const source = await download(options, { address, place }, request);
  if (source.packedBy === null) return [source];
  return [await foreignArchive(options, { source, place: await newPlace(options, held) }, request.signal)];
}

async function rootOf(builder: TreeBuilder, from: CopyRequest['from'], held: Undo): Promise<string | null> {
  if (from.kind === 'directory') return from.path;
  if (from.top === null) return null;
  const tree = await builder.open(from.top);
  held.defer(async () => tree[Symbol.asyncDispose]());
  return tree.root;
}

/** An empty directory that goes with `held`. */
async function newPlace({ directory, deleteTree }: CopiesOptions, held: Undo): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const place = await mkdtemp(join(directory, 'added-'));
  held.defer(async () => deleteTree(place));
  return place;
}
