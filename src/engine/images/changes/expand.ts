import { InvalidArgumentError } from '../../../base/errors.ts';

/**
 * The Dockerfile's shell words: quotes and escapes are taken away and variables (`$x`, `${x}`, `${x:-word}`,
 * `${x:+word}`) put in. Single quotes keep everything as it is. Unknown variables are empty.
 * InvalidArgumentError in Docker's words.
 */
export function expandWord(word: string, env: ReadonlyMap<string, string>, escape: string): string {
  try {
    return new Expansion(word, env, escape).run();
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new InvalidArgumentError(`failed to process ${JSON.stringify(word)}: ${error.message}`, { cause: error });
  }
}

const NAME = /^(?:[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-])/;

class Expansion {
  readonly #text: string;
  readonly #env: ReadonlyMap<string, string>;
  readonly #escape: string;
  #at = 0;

  constructor(text: string, env: ReadonlyMap<string, string>, escape: string) {
    this.#text = text;
    this.#env = env;
    this.#escape = escape;
  }

  run(): string {
    return this.#until('');
  }

  /** Reads up to `stop` (which it swallows), or to the end when `stop` is empty. */
  #until(stop: string): string {
    let out = '';
    for (;;) {
      const character = this.#next();
      if (character === '') {
        if (stop === '') return out;
        throw new SyntaxError(`unexpected end of statement while looking for matching ${stop}`);
      }
      if (character === stop) return out;
      if (character === "'") out += this.#singleQuoted();
      else if (character === '"') out += this.#doubleQuoted();
      else if (character === '$') out += this.#variable();
      else if (character === this.#escape) out += this.#next();
      else out += character;
    }
  }

  #singleQuoted(): string {
    let out = '';
    for (;;) {
      const character = this.#next();
      if (character === "'") return out;
      if (character === '')
        throw new SyntaxError('unexpected end of statement while looking for matching single-quote');
      out += character;
    }
  }

  #doubleQuoted(): string {
    let out = '';
    for (;;) {
      const character = this.#next();
      if (character === '"') return out;
      if (character === '')
        throw new SyntaxError('unexpected end of statement while looking for matching double-quote');
      if (character === '$') out += this.#variable();
      else if (character === this.#escape) {
        const escaped = this.#next();
        // Only these lose their escape inside double quotes.
        out += escaped === '"' || escaped === '$' || escaped === this.#escape ? escaped : character + escaped;
      } else out += character;
    }
  }

  #variable(): string {
    const isBraced = this.#text.charAt(this.#at) === '{';
    if (!isBraced) {
      const name = this.#name();
      return name === '' ? '$' : (this.#env.get(name) ?? '');
    }
    this.#at += 1;
    if (this.#text.charAt(this.#at) === '}') throw new SyntaxError('bad substitution');
    const name = this.#name();
    const value = this.#env.get(name);
    const next = this.#next();
    if (next === '}') return value ?? '';
    if (next !== ':') throw new SyntaxError("missing ':' in substitution");
    const modifier = this.#next();
    const word = this.#until('}');
    switch (modifier) {
      case '-':
        return value === undefined || value === '' ? word : value;
      case '+':
        return value === undefined || value === '' ? '' : word;
      case '?':
        if (value !== undefined && value !== '') return value;
        throw new SyntaxError(`${name}: ${word === '' ? 'is not allowed to be empty' : word}`);
      default:
        throw new SyntaxError(`unsupported modifier (${modifier}) in substitution`);
    }
  }

  #name(): string {
    const name = NAME.exec(this.#text.slice(this.#at))?.[0] ?? '';
    this.#at += name.length;
    return name;
  }

  #next(): string {
    const character = this.#text.charAt(this.#at);
    this.#at += 1;
    return character;
  }
}
