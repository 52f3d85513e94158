/**
 * Why a text is no JSON, in the words of Go's `encoding/json`: dockerd quotes them in its messages when a registry or a
 * proxy answers something else (`404 page not found`).
 */

/** What follows a value, by what it stands in. */
const AFTER = {
  top: 'after top-level value',
  array: 'after array element',
  object: 'after object key:value pair',
} as const;

const END = 'unexpected end of JSON input';
const BLANK = /[ \t\r\n]*/y;
const STRING_PART = /[^"\\\u0000-\u001f]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y;
const DIGITS = /[0-9]+/y;
const LITERALS: Readonly<Record<string, string>> = { t: 'true', f: 'false', n: 'null' };

/** Parses JSON; throws what `fail` makes of the fault. */
export function parseJson(text: string, fail: (text: string) => Error): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw fail(jsonFault(text));
  }
}

/** The fault of `text`; '' when it is JSON. Bounded by its length however deep it is nested. */
export function jsonFault(text: string): string {
  const scan = new Scan(text);
  try {
    scan.document();
    return '';
  } catch (error) {
    if (error instanceof Fault) return error.message;
    throw error;
  }
}

class Fault extends Error {}

class Scan {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): void {
    /** What is open: `[` or `{`, innermost last. */
    const open: ('array' | 'object')[] = [];
    for (;;) {
      // A value begins here, unless a collection ends at once.
      const opened = this.#open();
      if (opened !== null) {
        open.push(opened);
        if (!this.#closes(opened)) {
          if (opened === 'object') this.#key();
          continue;
        }
        open.pop();
      }
      for (;;) {
        const within = open.at(-1) ?? 'top';
        const next = this.#blank();
        if (within === 'top') {
          if (next === '') return;
          throw this.#fault(AFTER.top);
        }
        if (next === ',') {
          this.#at += 1;
          if (within === 'object') this.#key();
          break;
        }
        if (next !== (within === 'array' ? ']' : '}')) throw this.#fault(AFTER[within]);
        this.#at += 1;
        open.pop();
      }
    }
  }

  /** Reads a scalar whole, of a collection its bracket. */
  #open(): 'array' | 'object' | null {
    const first = this.#blank();
    if (first === '[' || first === '{') {
      this.#at += 1;
      return first === '[' ? 'array' : 'object';
    }
    const literal = LITERALS[first];
    if (first === '"') this.#string();
    else if (literal !== undefined) this.#literal(literal);
    else if (/[-0-9]/.test(first)) this.#number();
    else throw this.#fault('looking for beginning of value');
    return null;
  }

  #closes(kind: 'array' | 'object'): boolean {
    if (this.#blank() !== (kind === 'array' ? ']' : '}')) return false;
    this.#at += 1;
    return true;
  }

  #key(): void {
    if (this.#blank() !== '"') throw this.#fault('looking for beginning of object key string');
    this.#string();
    if (this.#blank() !== ':') throw this.#fault('after object key');
    this.#at += 1;
  }

  #string(): void {
    this.#at += 1;
    for (;;) {
      this.#skip(STRING_PART);
      const stop = this.#here();
      if (stop === '"') break;
      if (stop !== '\\') throw this.#fault('in string literal');
      this.#at += 1;
      const escape = this.#here();
      if (!/["\\/bfnrtu]/.test(escape)) throw this.#fault('in string escape code');
      this.#at += 1;
      for (let digit = 0; escape === 'u' && digit < 4; digit += 1) {
        if (!/[0-9a-fA-F]/.test(this.#here())) throw this.#fault('in \\u hexadecimal character escape');
        this.#at += 1;
      }
    }
    this.#at += 1;
  }

  #literal(word: string): void {
    for (const letter of word) {
      if (this.#here() !== letter) throw this.#fault(`in literal ${word} (expecting '${letter}')`);
      this.#at += 1;
    }
  }

  #number(): void {
    if (!this.#skip(NUMBER)) {
      this.#at += 1;
      throw this.#fault('in numeric literal');
    }
    const next = this.#here();
    if (next === '.') {
      this.#at += 1;
      throw this.#fault('after decimal point in numeric literal');
    }
    if (next !== 'e' && next !== 'E') return;
    this.#at += 1;
    if (/[-+]/.test(this.#here())) this.#at += 1;
    if (!this.#skip(DIGITS)) throw this.#fault('in exponent of numeric literal');
  }

  /** The next character that is not blank; '' at the end. */
  #blank(): string {
    this.#skip(BLANK);
    return this.#here();
  }

  #here(): string {
    return this.#text.charAt(this.#at);
  }

  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += found.length;
    return found !== '';
  }

  #fault(where: string): Fault {
    const found = String.fromCodePoint(this.#text.codePointAt(this.#at) ?? 0);
    if (this.#at >= this.#text.length) return new Fault(END);
    const quoted = found === "'" ? `'\\''` : found === '"' ? `'"'` : `'${JSON.stringify(found).slice(1, -1)}'`;
    return new Fault(`invalid character ${quoted} ${where}`);
  }
}
