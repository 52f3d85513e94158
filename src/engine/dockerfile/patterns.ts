/**
 * Lists of patterns as `.dockerignore` and `--exclude` have them (moby's patternmatcher): the last one that speaks of a
 * path decides, `!` takes it out again, `**` goes over any number of directories, and what is in a matched directory is
 * matched with it. Patterns and paths are clean and relative; single wildcards of COPY are Go's own (base/go-glob.ts).
 *
 * Story 1, one path: `new PathPatterns(['*', '!src/**']).matches('src/a/b.c')` is false.
 *
 * Story 2, a walk: `look(path, above)` with what was found for the directory that it is in; where a directory is matched,
 * `mayHoldExceptions` says whether it has to be walked all the same.
 */
import { posix } from 'node:path';
import { InvalidArgumentError } from '../../base/errors.ts';
import { compileGlob } from '../../base/go-glob.ts';
import { compileGoRegexp } from '../../base/go-regexp.ts';

/** What was found for a directory, to be handed on to what is in it. */
export interface PatternFindings {
  readonly isMatched: boolean;
  /** Of each pattern, whether it speaks of the path. */
  readonly each: readonly boolean[];
}

interface Pattern {
  /** `!` stood before it. */
  readonly isException: boolean;
  readonly text: string;
  readonly matches: (path: string) => boolean;
}

/** Wildcards that V8's expressions take in good time (each may try all the path); more go to Go's, which try each once. */
const MOST_TRIED_WILDCARDS = 2;
const GO_SPACE = /[\p{Z}\t\n\v\f\r\u0085]/u;

export class PathPatterns {
  readonly #patterns: readonly Pattern[];
  readonly #exceptions: readonly string[];

  /** InvalidArgumentError in Go's words for a pattern that is none. */
  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.flatMap((line) => {
      const text = trimmed(line);
      return text === '' ? [] : [patternOf(cleanPath(text))];
    });
    this.#exceptions = this.#patterns.flatMap(({ isException, text }) => (isException ? [text] : []));
  }

  /** True when nothing can match. */
  get isEmpty(): boolean {
    return this.#patterns.length === 0;
  }

  /** The path, or a directory above it. The top (`.`) is never matched. */
  matches(path: string): boolean {
    const clean = cleanPath(path);
    return clean !== '.' && this.look(clean, null).isMatched;
  }

  /** As {@link matches}, for a clean path; `above` is what was found for its directory, null when nobody has looked. */
  look(path: string, above: PatternFindings | null): PatternFindings {
    let isMatched = false;
    const each = this.#patterns.map((pattern, index) => {
      const inherited = above?.each[index] ?? false;
      // It could change nothing.
      if (!inherited && pattern.isException !== isMatched) return false;
      const speaks = inherited || pattern.matches(path) || (above === null && matchesAbove(pattern, path));
      if (speaks) isMatched = !pattern.isException;
      return speaks;
    });
    return { isMatched, each };
  }

  /** Whether something in a matched directory may be taken out again. */
  mayHoldExceptions(directory: string): boolean {
    return this.#exceptions.some((text) => hasWildcard(text) || `${text}/`.startsWith(`${directory}/`));
  }
}

/** Go's `path.Clean`. */
export function cleanPath(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}

/** Go's `strings.TrimSpace`. No expression looks for the end: it would try anew at each blank of the text. */
export function trimmed(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && GO_SPACE.test(text.charAt(start))) start += 1;
  while (end > start && GO_SPACE.test(text.charAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function matchesAbove({ matches }: Pattern, path: string): boolean {
  for (let slash = path.indexOf('/', 1); slash > 0; slash = path.indexOf('/', slash + 1))
    if (matches(path.slice(0, slash))) return true;
  return false;
}

/** Of a trailing `**` nothing is to be looked for below: what stands before it is a place. */
function hasWildcard(text: string): boolean {
  return /[*?[\\]/.test(text.replace(/\/\*\*$/, ''));
}

function patternOf(line: string): Pattern {
  const isException = line.startsWith('!');
  if (line === '!') throw new InvalidArgumentError('illegal exclusion pattern: "!"');
  const text = isException ? line.slice(1) : line;
  // Says what is malformed.
  compileGlob(text);
  return { isException, text, matches: matcherOf(text) };
}

/** A pattern in pieces: text, or what a wildcard stands for. */
type Piece = { readonly text: string } | { readonly wildcard: 'one' | 'name' | 'directories' | 'all' };

const V8_SOURCES = { one: '[^/]', name: '[^/]*', directories: '(?:[^\\n]*/)?', all: '[^\\n]*' } as const;
const GO_SOURCES = { one: '[^/]', name: '[^/]*', directories: '(.*/)?', all: '.*' } as const;

function matcherOf(text: string): Pattern['matches'] {
  // Classes and quoting are read as expressions read them, with whatever stands in them.
  if (/[[\]\\]/.test(text) || (text.includes('^') && /[*?]/.test(text))) return goMatcher(piecesOf(text));
  if (!/[*?]/.test(text)) return (path) => path === text;
  const simple = simpleMatcher(text);
  if (simple !== null) return simple;
  const pieces = piecesOf(text);
  if (pieces.filter((piece) => 'wildcard' in piece && piece.wildcard !== 'one').length > MOST_TRIED_WILDCARDS)
    return goMatcher(pieces);
  const source = pieces.map((piece) => ('text' in piece ? quoted(piece.text) : V8_SOURCES[piece.wildcard])).join('');
  const expression = expressionOf(`^${source}$`);
  return (path) => expression.test(path);
}

/** InvalidArgumentError for one that is too large to be compiled. */
function expressionOf(source: string): RegExp {
  try {
    return new RegExp(source, 'u');
  } catch (error) {
    throw new InvalidArgumentError('syntax error in pattern', { cause: error });
  }
}

/** Nothing but `**` at one end; null for anything else. */
function simpleMatcher(text: string): Pattern['matches'] | null {
  const [, begin = '', middle = '', end = ''] = /^(\*\*)?([^*?]*)(\*\*)?$/.exec(text) ?? [];
  if (begin !== '' && end === '') {
    const name = middle.startsWith('/') ? middle.slice(1) : null;
    return (path) => path.endsWith(middle) || path === name;
  }
  return begin === '' && end !== '' ? (path) => path.startsWith(middle) : null;
}

function goMatcher(pieces: readonly Piece[]): Pattern['matches'] {
  const source = pieces.map((piece) => ('text' in piece ? goText(piece.text) : GO_SOURCES[piece.wildcard])).join('');
  const found = compileGoRegexp(`^${source}$`);
  if (found === null) throw new InvalidArgumentError('syntax error in pattern');
  return found;
}

/** `**` with the slash behind it; an escape with what it quotes stays text. */
function piecesOf(text: string): readonly Piece[] {
  return [...text.matchAll(/\*\*\/?|\*|\?|(?:\\.|[^*?\\])+|\\/gsu)].map(([piece], index, all): Piece => {
    if (piece === '?') return { wildcard: 'one' };
    if (piece === '*') return { wildcard: 'name' };
    if (piece.startsWith('**')) return { wildcard: index === all.length - 1 ? 'all' : 'directories' };
    return { text: piece };
  });
}

/** What was quoted stays so. */
function goText(text: string): string {
  return text.replaceAll(/\\.|[.+()|{}$]/gsu, (one) => (one.startsWith('\\') ? one : `\\${one}`));
}

function quoted(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, (one) => (one === '-' ? '\\x2d' : `\\${one}`));
}
