import { InvalidArgumentError } from '../../../base/errors.ts';
import { goQuoteShort } from './go-quote.ts';
import { LONGEST, withoutPrefix, withoutSuffix, withReplaced } from './substitution.ts';

export type Environment = ReadonlyMap<string, string>;

/** `${a:-${b:-…}}`. */
const DEEPEST = 100;

/** What all words of one instruction may become, and the steps that their patterns may take. */
const LONGEST_IN_ALL = 4 * LONGEST;
const MOST_STEPS = 4e6;

interface Spent {
  length: number;
  steps: number;
}

/** By the values that an instruction is expanded with: each has its own. */
const spentWith = new WeakMap<Environment, Spent>();

const NAME = /(?:[0-9]+|[@*#?$!-]|[\p{L}_][\p{L}\p{Nd}_]*)/uy;

/**
 * The Dockerfile's shell words: quotes and escapes are taken away and variables put in (`$x`, `${x}`, and the forms of
 * {@link Expansion}). Single quotes keep everything as it is; unknown variables are empty. InvalidArgumentError in
 * Docker's words.
 */
export function expandWord(word: string, environment: Environment, escape: string): string {
  // Most words have nothing to expand.
  if (!needsExpansion(word, escape)) return word;
  return expanded(word, environment, escape).join('');
}

/** The same, split at white space: that of the values too, but not what is quoted or escaped. */
export function expandWords(word: string, environment: Environment, escape: string): readonly string[] {
  const words: string[] = [];
  let current: string | null = null;
  for (const [index, part] of expanded(word, environment, escape).entries()) {
    // Parts with an even index may be split.
    if (index % 2 === 1) {
      if (part !== '') current = (current ?? '') + part;
      continue;
    }
    for (const piece of part.split(/(\s+)/)) {
      if (piece === '') continue;
      if (piece.trim() === '') {
        if (current !== null) words.push(current);
        current = null;
      } else current = (current ?? '') + piece;
    }
  }
  if (current !== null) words.push(current);
  return words;
}

/** A heredoc's content: variables are put in, quotes stay. */
export function expandText(text: string, environment: Environment): string {
  if (!text.includes('$') && !text.includes('\\')) return text;
  return expanded(text, environment, '\\', false).join('');
}

function needsExpansion(word: string, escape: string): boolean {
  return word.includes('$') || word.includes("'") || word.includes('"') || word.includes(escape);
}

function expanded(word: string, environment: Environment, escape: string, hasQuotes = true): readonly string[] {
  try {
    return new Expansion(word, environment, escape, hasQuotes).run();
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new InvalidArgumentError(`failed to process ${goQuoteShort(word)}: ${error.message}`, { cause: error });
  }
}

/** Pieces that white space splits and pieces that it does not, by turns. */
class Pieces {
  readonly #pieces: string[] = [''];
  readonly #spend: (length: number) => void;

  constructor(spend: (length: number) => void) {
    this.#spend = spend;
  }

  add(text: string, isFixed: boolean): void {
    this.#spend(text.length);
    if ((this.#pieces.length % 2 === 0) !== isFixed) this.#pieces.push('');
    this.#pieces.push((this.#pieces.pop() ?? '') + text);
  }

  list(): readonly string[] {
    return this.#pieces;
  }
}

class Expansion {
  readonly #text: string;
  readonly #environment: Environment;
  readonly #escape: string;
  /** False: they are text as any other. */
  readonly #hasQuotes: boolean;
  #at = 0;
  #depth = 0;
  #length = 0;
  readonly #spent: Spent;

  constructor(text: string, environment: Environment, escape: string, hasQuotes: boolean) {
    this.#text = text;
    this.#environment = environment;
    this.#escape = escape;
    this.#hasQuotes = hasQuotes;
    this.#spent = spentWith.get(environment) ?? { length: 0, steps: 0 };
    spentWith.set(environment, this.#spent);
  }

  run(): readonly string[] {
    return this.#until('', false);
  }

  /** Reads up to `stop` (which it swallows), or to the end when `stop` is empty. A pattern keeps its escapes. */
  #until(stop: string, isPattern: boolean): readonly string[] {
    this.#depth += 1;
    if (this.#depth > DEEPEST) throw new SyntaxError(`more than ${String(DEEPEST)} substitutions in one another`);
    const pieces = new Pieces((length) => {
      this.#spend(length);
    });
    for (;;) {
      const character = this.#next();
      if (character === '') {
        if (stop === '') break;
        throw new SyntaxError(stop === '/' ? "syntax error: missing '/' in ${}" : "syntax error: missing '}'");
      }
      if (character === stop) break;
      if (character === "'" && this.#hasQuotes) pieces.add(this.#singleQuoted(), true);
      else if (character === '"' && this.#hasQuotes) pieces.add(this.#doubleQuoted(isPattern), true);
      else if (character === '$') pieces.add(this.#variable(), false);
      else if (character === this.#escape) pieces.add((isPattern ? character : '') + this.#next(), true);
      else pieces.add(character + this.#plain(stop), false);
    }
    this.#depth -= 1;
    return pieces.list();
  }

  #singleQuoted(): string {
    const end = this.#text.indexOf("'", this.#at);
    if (end < 0) throw new SyntaxError('unexpected end of statement while looking for matching single-quote');
    const quoted = this.#text.slice(this.#at, end);
    this.#at = end + 1;
    return quoted;
  }

  #doubleQuoted(isPattern: boolean): string {
    let out = '';
    for (;;) {
      const character = this.#next();
      if (character === '"') return out;
      if (character === '') {
        throw new SyntaxError('unexpected end of statement while looking for matching double-quote');
      }
      if (character === '$') out += this.#variable();
      else if (character === this.#escape) {
        const escaped = this.#next();
        // Only these lose their escape inside double quotes.
        const isLost = escaped === '"' || escaped === '$' || escaped === this.#escape || escaped === '';
        out += (isPattern ? character : '') + (isLost ? '' : character) + escaped;
      } else out += character;
      if (out.length > LONGEST) this.#spend(out.length);
    }
  }

  #variable(): string {
    if (this.#text.charAt(this.#at) !== '{') {
      const name = this.#name();
      return name === '' ? '$' : (this.#environment.get(name) ?? '');
    }
    this.#at += 1;
    const first = this.#text.charAt(this.#at);
    if (first === '') throw new SyntaxError("syntax error: missing '}'");
    if (first === '{' || first === '}' || first === ':') throw new SyntaxError('syntax error: bad substitution');
    const name = this.#name();
    const operator = this.#next();
    if (operator === '}') return this.#environment.get(name) ?? '';
    if (operator === '') throw new SyntaxError("syntax error: missing '}'");
    return operator === '/' ? this.#replacement(name) : this.#modified(name, operator);
  }

  /** `${x-w} ${x+w} ${x?e}`, with `:` an empty value counts as none; `${x#p} ${x##p} ${x%p} ${x%%p}`. */
  #modified(name: string, first: string): string {
    const isEmptyUnset = first === ':';
    const operator = isEmptyUnset ? this.#next() : first;
    const isPattern = operator === '#' || operator === '%';
    const isKnown = isPattern ? !isEmptyUnset : operator === '-' || operator === '+' || operator === '?';
    if (!isKnown) {
      const shown = isEmptyUnset ? `:${operator}` : operator;
      throw new SyntaxError(`unsupported modifier (${shown}) in substitution`);
    }
    const word = this.#until('}', isPattern).join('');
    const value = this.#environment.get(name);
    const isSet = value !== undefined && !(isEmptyUnset && value === '');
    switch (operator) {
      case '-':
        return isSet ? value : word;
      case '+':
        return isSet ? word : '';
      case '?':
        if (isSet) return value;
        throw new SyntaxError(`${name}: ${word === '' ? whyNot(value) : word}`);
      default: {
        const isLongest = word.startsWith(operator);
        const strip = operator === '#' ? withoutPrefix : withoutSuffix;
        return strip(this.#searched(name, word), isLongest ? word.slice(1) : word, isLongest);
      }
    }
  }

  /** `${x/p/r} ${x//p/r}`. */
  #replacement(name: string): string {
    const isEvery = this.#text.charAt(this.#at) === '/';
    if (isEvery) this.#at += 1;
    const pattern = this.#until('/', true).join('');
    const replacement = this.#until('}', true).join('');
    return withReplaced(this.#searched(name, pattern), pattern, replacement, isEvery);
  }

  /** The value, if there is time left to look for a pattern in it. */
  #searched(name: string, pattern: string): string {
    const value = this.#environment.get(name) ?? '';
    this.#spent.steps += (value.length + 1) * (pattern.length + 1);
    if (this.#spent.steps > MOST_STEPS) throw new SyntaxError('values and patterns are too long');
    return value;
  }

  #name(): string {
    NAME.lastIndex = this.#at;
    const name = NAME.exec(this.#text)?.[0] ?? '';
    this.#at += name.length;
    return name;
  }

  /** What follows and means nothing but itself. */
  #plain(stop: string): string {
    const from = this.#at;
    for (; this.#at < this.#text.length; this.#at += 1) {
      const character = this.#text.charAt(this.#at);
      if (character === '$' || character === "'" || character === '"') break;
      if (character === this.#escape || character === stop) break;
    }
    return this.#text.slice(from, this.#at);
  }

  #next(): string {
    const character = this.#text.charAt(this.#at);
    this.#at += 1;
    return character;
  }

  #spend(length: number): void {
    this.#length += length;
    this.#spent.length += length;
    if (this.#length > LONGEST || this.#spent.length > LONGEST_IN_ALL)
      throw new SyntaxError(`the result is longer than ${String(LONGEST)} characters`);
  }
}

function whyNot(value: string | undefined): string {
  return value === undefined ? 'is not allowed to be unset' : 'is not allowed to be empty';
}
