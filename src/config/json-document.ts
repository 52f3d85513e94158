/**
 * JSON with positions: the value, the line of each key, and errors in the words of Go's encoding/json, with line and
 * column. JSON.parse makes the values; the scan beside it only looks.
 */
export interface JsonDocument {
  readonly value: unknown;
  /** Keys of the outermost object and, as `outer.inner`, of the objects right in it. */
  readonly keys: ReadonlyMap<string, JsonKey>;
  /** Keys that occur more than once in the outermost object; the last one counts, as in Go. */
  readonly repeated: readonly JsonKey[];
}

export interface JsonKey {
  readonly name: string;
  /** Counted from 1. */
  readonly line: number;
  /** Its value as it is written. */
  readonly text: string;
}

/** Malformed JSON; the message is Go's. */
export class JsonSyntaxError extends Error {
  readonly line: number;
  readonly column: number;

  constructor(message: string, line: number, column: number) {
    super(message);
    this.name = 'JsonSyntaxError';
    this.line = line;
    this.column = column;
  }
}

/** Throws {@link JsonSyntaxError}. */
export function parseJsonDocument(text: string): JsonDocument {
  const scan = new Scan(text);
  scan.document();
  return { value: JSON.parse(text) as unknown, keys: scan.keys, repeated: scan.repeated };
}

const DEEPEST = 100;
const ESCAPES = new Set(['"', '\\', '/', 'b', 'f', 'n', 'r', 't']);

class Scan {
  readonly keys = new Map<string, JsonKey>();
  readonly repeated: JsonKey[] = [];
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): void {
    this.#value('', 0);
    this.#blanks();
    if (this.#at < this.#text.length) throw this.#unexpected('after top-level value');
  }

  /** `path`: names of the keys above, joined by dots. */
  #value(path: string, depth: number): void {
    if (depth > DEEPEST) throw this.#error('exceeded max depth');
    this.#blanks();
    const character = this.#text[this.#at];
    if (character === '{') this.#object(path, depth);
    else if (character === '[') this.#array(path, depth);
    else if (character === '"') this.#string();
    else if (character === 't') this.#literal('true');
    else if (character === 'f') this.#literal('false');
    else if (character === 'n') this.#literal('null');
    else if (character !== undefined && /[-\d]/.test(character)) this.#number();
    else throw this.#unexpected('looking for beginning of value');
  }

  #object(path: string, depth: number): void {
    this.#at += 1;
    this.#blanks();
    if (this.#take('}')) return;
    do {
      this.#blanks();
      if (this.#text[this.#at] !== '"') throw this.#unexpected('looking for beginning of object key string');
      const start = this.#at;
      this.#string();
      const name = JSON.parse(this.#text.slice(start, this.#at)) as string;
      this.#blanks();
      if (!this.#take(':')) throw this.#unexpected('after object key');
      this.#blanks();
      const valueStart = this.#at;
      const full = path === '' ? name : `${path}.${name}`;
      this.#value(full, depth + 1);
      if (depth < 2) this.#note(full, start, this.#text.slice(valueStart, this.#at), depth);
      this.#blanks();
    } while (this.#take(','));
    if (!this.#take('}')) throw this.#unexpected('after object key:value pair');
  }

  #note(name: string, start: number, text: string, depth: number): void {
    const key = { name, line: this.#lineAt(start), text };
    if (depth === 0 && this.keys.has(name)) this.repeated.push(key);
    this.keys.set(name, key);
  }

  #array(path: string, depth: number): void {
    this.#at += 1;
    this.#blanks();
    if (this.#take(']')) return;
    do {
      this.#value(path, Math.max(depth + 1, 2));
      this.#blanks();
    } while (this.#take(','));
    if (!this.#take(']')) throw this.#unexpected('after array element');
  }

  #string(): void {
    this.#at += 1;
    while (!this.#take('"')) {
      const character = this.#text[this.#at];
      if (character === undefined || character < ' ') throw this.#unexpected('in string literal');
      this.#at += 1;
      if (character === '\\') this.#escape();
    }
  }

  #escape(): void {
    const character = this.#text[this.#at];
    if (character === 'u') {
      this.#at += 1;
      for (const end = this.#at + 4; this.#at < end; this.#at += 1) {
        if (!/[\da-fA-F]/.test(this.#text[this.#at] ?? ' ')) {
          throw this.#unexpected('in \\u hexadecimal character escape');
        }
      }
    } else if (character !== undefined && ESCAPES.has(character)) this.#at += 1;
    else throw this.#unexpected('in string escape code');
  }

  #literal(word: string): void {
    for (const [index, letter] of [...word].entries()) {
      if (!this.#take(letter)) {
        throw this.#unexpected(
          index === 0 ? 'looking for beginning of value' : `in literal ${word} (expecting '${letter}')`,
        );
      }
    }
  }

  #number(): void {
    const [whole] = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?/.exec(this.#text.slice(this.#at)) ?? [];
    if (whole === undefined) {
      this.#at += 1;
      throw this.#unexpected('in numeric literal');
    }
    this.#at += whole.length;
    const next = this.#text[this.#at];
    if (next === '.' || next === 'e' || next === 'E') {
      this.#at += 1;
      throw this.#unexpected(
        next === '.' ? 'after decimal point in numeric literal' : 'in exponent of numeric literal',
      );
    }
  }

  #blanks(): void {
    while (/[ \t\n\r]/.test(this.#text[this.#at] ?? 'x')) this.#at += 1;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #unexpected(where: string): JsonSyntaxError {
    const character = this.#text[this.#at];
    return character === undefined
      ? this.#error('unexpected EOF')
      : this.#error(`invalid character ${quotedCharacter(character)} ${where}`);
  }

  #error(message: string): JsonSyntaxError {
    const before = this.#text.slice(0, this.#at);
    return new JsonSyntaxError(message, this.#lineAt(this.#at), this.#at - before.lastIndexOf('\n'));
  }

  #lineAt(offset: number): number {
    let line = 1;
    for (let at = this.#text.indexOf('\n'); at !== -1 && at < offset; at = this.#text.indexOf('\n', at + 1)) line += 1;
    return line;
  }
}

/** As Go quotes a character. */
function quotedCharacter(character: string): string {
  if (character === "'") return String.raw`'\''`;
  if (character === '"') return `'"'`;
  return `'${JSON.stringify(character).slice(1, -1)}'`;
}
