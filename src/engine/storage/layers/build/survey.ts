import { closeSync, constants, openSync } from 'node:fs';
import { posix } from 'node:path';
import { EngineError, errnoCodeOf, InvalidArgumentError } from '../../../../base/errors.ts';
import type { FoundSource } from '../../building.ts';
import type { SurveyJob } from '../job.ts';
import { layerFault } from '../layer-fault.ts';
import { readable, type ByteString } from '../tar/entry.ts';
import type { LayerTools } from '../tools.ts';
import { HeldDirectory } from '../tree/held-directory.ts';
import { Cancelled, type JobControl } from '../unpack/unpack-blob.ts';
import { locate, placeOf, type Located } from '../view/locate.ts';
import { archiveKindOf } from './archives.ts';
import { ContentDigest } from './content-digest.ts';
import { Selection } from './selection.ts';
import { hasWildcard, matchingPaths } from './wildcards.ts';

const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Finds the sources of a COPY or ADD, and digests them. */
export async function surveySources(
  job: SurveyJob,
  tools: LayerTools,
  control: JobControl,
): Promise<readonly (readonly FoundSource[])[]> {
  const { verb, root } = job.request;
  try {
    if (root === null) throw missing(job, job.request.sources[0] ?? '');
    using survey = new Survey(job, root, tools, control);
    return await survey.run();
  } catch (error) {
    if (error instanceof EngineError && error.kind === 'invalid-argument')
      throw new InvalidArgumentError(`${verb} failed: ${error.message}`, { cause: error });
    throw error;
  }
}

class Survey implements Disposable {
  readonly #job: SurveyJob;
  readonly #path: string;
  readonly #tools: LayerTools;
  readonly #root: number;
  readonly #look: () => void;

  constructor(job: SurveyJob, root: string, tools: LayerTools, control: JobControl) {
    this.#job = job;
    this.#path = root;
    this.#tools = tools;
    this.#root = openSync(`${root}/.`, OPEN_DIRECTORY);
    this.#look = () => {
      if (control.isCancelled()) throw new Cancelled();
    };
  }

  async run(): Promise<readonly (readonly FoundSource[])[]> {
    const { sources, parents } = this.#job.request;
    const all: (readonly FoundSource[])[] = [];
    for (const source of sources) all.push(parents ? this.#withParents(source) : await this.#findAll(source));
    return all;
  }

  async #findAll(source: string): Promise<readonly FoundSource[]> {
    const found: FoundSource[] = [];
    for (const path of this.#pathsOf(source)) found.push(...(await this.#find(path)));
    return found;
  }

  [Symbol.dispose](): void {
    closeSync(this.#root);
  }

  /** As dockerd takes one slash and one `./` away. */
  #pathsOf(source: string): readonly ByteString[] {
    const given = source.replace(/^\//, '').replace(/^\.\//, '');
    if (!hasWildcard(given)) return [bytes(given)];
    using top = HeldDirectory.open(this.#path);
    return matchingPaths(top, given, this.#look);
  }

  /** Nothing for what was excluded. */
  async #find(path: ByteString): Promise<readonly FoundSource[]> {
    const name = baseOf(path);
    using located = this.#locate(path);
    const place = placeOf(located.directory, located.name);
    const found = { root: this.#path, path: located.path.slice(1), name, includes: null, packedBy: null };
    if (located.info.isDirectory()) return [{ ...found, kind: 'directory', digest: this.#digestOf(located, null) }];
    if (this.#selection(null).excludes(name)) return [];
    const digest = new ContentDigest(this.#tools.files, this.#keepsOwners, this.#look);
    digest.add(name, { place, info: located.info });
    const source = { ...found, kind: 'file', digest: digest.finish() } as const;
    if (!this.#job.request.findsArchives || !located.info.isFile()) return [source];
    const kind = await archiveKindOf(place, this.#tools.codecs);
    if (kind === 'bzip2' || kind === 'xz') return [{ ...source, packedBy: kind }];
    return [kind === 'archive' ? { ...source, kind } : source];
  }

  /** `a/./b/*`: what is at `b/*` in `a`, with `b`; `a` may be several. */
  #withParents(source: string): readonly FoundSource[] {
    const pivot = source.indexOf('/./');
    const [above, below] = pivot < 0 ? ['', source] : [source.slice(0, pivot), source.slice(pivot + 3)];
    const pattern = posix.normalize(`/${below}`).slice(1).replace(/\/$/, '');
    const includes = [pattern === '' ? '**' : pattern];
    return this.#pathsOf(above).flatMap((path) => {
      using located = this.#locate(path);
      if (!located.info.isDirectory()) {
        if (hasWildcard(above)) return [];
        throw missing(this.#job, source);
      }
      const found = { root: this.#path, path: located.path.slice(1), name: '', includes, packedBy: null };
      return [{ ...found, kind: 'directory', digest: this.#digestOf(located, { includes, source }) }];
    });
  }

  #digestOf(
    { directory }: Located,
    wanted: { readonly includes: readonly string[]; readonly source: string } | null,
  ): string {
    const digest = new ContentDigest(this.#tools.files, this.#keepsOwners, this.#look);
    using top = HeldDirectory.open(`/proc/self/fd/${String(directory)}`);
    let count = 0;
    try {
      for (const entry of this.#selection(wanted?.includes ?? null).entries(top)) {
        digest.add(entry.path, entry);
        count += 1;
      }
    } catch (error) {
      throw layerFault('read', '', error);
    }
    if (wanted !== null && count === 0 && !hasWildcard(wanted.source)) throw missing(this.#job, wanted.source);
    return digest.finish();
  }

  get #keepsOwners(): boolean {
    return !this.#job.request.isContext;
  }

  #selection(includes: readonly string[] | null): Selection {
    return new Selection(includes, this.#job.request.excludes);
  }

  /** Links are followed, and lead nowhere out; nor does `..`, which is said. */
  #locate(path: ByteString): Located {
    const text = readable(path);
    if (posix.normalize(`./${text}`).split('/')[0] === '..') throw forbidden(text);
    try {
      return locate(this.#root, path, { follow: true });
    } catch (error) {
      const code = errnoCodeOf(error);
      if (code === 'ENOENT') throw missing(this.#job, text);
      if (code === null) throw error;
      // dockerd's words for all that is no way: a file in a directory's place, links that go round.
      throw forbidden(text, error);
    }
  }
}

function missing({ request }: SurveyJob, path: string): InvalidArgumentError {
  const words = `stat ${path.replace(/^\/+/, '')}: file does not exist`;
  return new InvalidArgumentError(
    request.isContext ? `file not found in build context or excluded by .dockerignore: ${words}` : words,
  );
}

function forbidden(path: string, cause?: unknown): InvalidArgumentError {
  return new InvalidArgumentError(`forbidden path outside the build context: ${path} ()`, { cause });
}

/** Go's `filepath.Base`. */
function baseOf(path: ByteString): ByteString {
  const trimmed = path.replace(/\/+$/, '');
  return trimmed.slice(trimmed.lastIndexOf('/') + 1);
}

function bytes(text: string): ByteString {
  return Buffer.from(text).toString('latin1');
}
