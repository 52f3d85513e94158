import { PathPatterns, type PatternFindings } from '../../../dockerfile/patterns.ts';
import type { HeldDirectory } from '../tree/held-directory.ts';
import { inside } from '../tree/walks.ts';
import { readable, type ByteString } from '../tar/entry.ts';
import type { BigIntStats } from 'node:fs';

/** Each step down holds a descriptor; deeper than any path that a program can name at once (PATH_MAX). */
const MAX_DEPTH = 2048;

/** One thing of a source's tree. */
export interface SourceEntry {
  /** Below the source. */
  readonly path: ByteString;
  /** A path for system calls, good until the next entry is asked for. */
  readonly place: Buffer;
  readonly info: BigIntStats;
}

/** Which of a source's files are meant. */
export class Selection {
  readonly #includes: PathPatterns | null;
  readonly #excludes: PathPatterns;

  /** InvalidArgumentError in Go's words for a pattern that is none. `includes`: null for all. */
  constructor(includes: readonly string[] | null, excludes: readonly string[]) {
    this.#includes = includes === null ? null : new PathPatterns(includes);
    this.#excludes = new PathPatterns(excludes);
  }

  /** True for a file that was named itself. */
  excludes(name: ByteString): boolean {
    return !this.#excludes.isEmpty && this.#excludes.matches(readable(name));
  }

  /** All below a directory, directories before what is in them; those that are only on the way come with their first. */
  *entries(top: HeldDirectory): Generator<SourceEntry, void, void> {
    yield* this.#directory(top, { path: '', included: null, excluded: null, depth: 0 }, []);
  }

  *#directory(
    directory: HeldDirectory,
    at: Above,
    waiting: readonly SourceEntry[],
  ): Generator<SourceEntry, boolean, void> {
    if (at.depth > MAX_DEPTH) throw Object.assign(new Error('too deep'), { code: 'ENAMETOOLONG' });
    let owed = waiting;
    for (const base of directory.names()) {
      const info = directory.lstat(base);
      if (info === null) continue;
      const entry: SourceEntry = { path: inside(at.path, base), place: directory.place(base), info };
      const { included, excluded } = this.#look(entry.path, at);
      const isMeant = (included?.isMatched ?? true) && !(excluded?.isMatched ?? false);
      if (isMeant) {
        yield* owed;
        owed = [];
        yield entry;
      }
      if (!info.isDirectory() || !this.#mayHold(entry.path, isMeant, excluded)) continue;
      using child = directory.openDirectory(base);
      if (child === null) continue;
      const below: Above = { path: entry.path, included, excluded, depth: at.depth + 1 };
      const came = yield* this.#directory(child, below, isMeant ? [] : [...owed, entry]);
      if (came) owed = [];
    }
    return owed.length < waiting.length || waiting.length === 0;
  }

  #look(path: ByteString, above: Above): Pick<Above, 'included' | 'excluded'> {
    if (this.#includes === null && this.#excludes.isEmpty) return NOTHING;
    const text = readable(path);
    return {
      included: this.#includes?.look(text, above.included) ?? null,
      excluded: this.#excludes.isEmpty ? null : this.#excludes.look(text, above.excluded),
    };
  }

  #mayHold(path: ByteString, isMeant: boolean, excluded: PatternFindings | null): boolean {
    if (isMeant) return true;
    return excluded?.isMatched === true ? this.#excludes.mayHoldExceptions(readable(path)) : true;
  }
}

interface Above {
  readonly path: ByteString;
  readonly included: PatternFindings | null;
  readonly excluded: PatternFindings | null;
  readonly depth: number;
}

const NOTHING = { included: null, excluded: null } as const;
