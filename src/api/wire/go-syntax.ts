/** Go's `encoding/json` scanner, for its texts: clients and people know errors by them. */

/** Go's text for a syntax error. */
export class GoSyntaxError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'GoSyntaxError';
  }
}

const SPACE = /[ \t\r\n]/;
const ESCAPES = new Set('bfnrt\\/"');

/**
 * Reads one JSON value from the start of `text` and returns where it ends. Throws GoSyntaxError with Go's text:
 * `unexpected EOF`, `EOF` for nothing at all, `invalid character '}' looking for beginning of value` …
 */
export function endOfValue(text: string): number {
  const start = skipSpace(text, 0);
  if (start === text.length) throw new GoSyntaxError('EOF');
  return scanValue(text, start);
}

/** What follows a value would be taken for another one (Go's `Decoder.More`). */
export function hasMore(text: string, end: number): boolean {
  const next = text[skipSpace(text, end)];
  return next !== undefined && next !== ']' && next !== '}';
}

function scanValue(text: string, at: number): number {
  switch (text[at]) {
    case '{':
      return scanObject(text, at);
    case '[':
      return scanArray(text, at);
    case '"':
      return scanString(text, at);
    case 't':
      return scanLiteral(text, at, 'true');
    case 'f':
      return scanLiteral(text, at, 'false');
    case 'n':
      return scanLiteral(text, at, 'null');
    default:
      if (/[-0-9]/.test(text[at] ?? '')) return scanNumber(text, at);
      throw unexpected(text, at, 'looking for beginning of value');
  }
}

function scanObject(text: string, start: number): number {
  let at = skipSpace(text, start + 1);
  if (text[at] === '}') return at + 1;
  for (;;) {
    if (text[at] !== '"') throw unexpected(text, at, 'looking for beginning of object key string');
    at = skipSpace(text, scanString(text, at));
    if (text[at] !== ':') throw unexpected(text, at, 'after object key');
    at = skipSpace(text, scanValue(text, skipSpace(text, at + 1)));
    if (text[at] === '}') return at + 1;
    if (text[at] !== ',') throw unexpected(text, at, 'after object key:value pair');
    at = skipSpace(text, at + 1);
  }
}

function scanArray(text: string, start: number): number {
  let at = skipSpace(text, start + 1);
  if (text[at] === ']') return at + 1;
  for (;;) {
    at = skipSpace(text, scanValue(text, at));
    if (text[at] === ']') return at + 1;
    if (text[at] !== ',') throw unexpected(text, at, 'after array element');
    at = skipSpace(text, at + 1);
  }
}

function scanString(text: string, start: number): number {
  for (let at = start + 1; ; at += 1) {
    const char = text[at];
    if (char === '"') return at + 1;
    if (char === undefined || char < ' ') throw unexpected(text, at, 'in string literal');
    if (char !== '\\') continue;
    at += 1;
    if (text[at] === 'u') {
      for (let digit = 0; digit < 4; digit += 1) {
        at += 1;
        if (!/[0-9a-fA-F]/.test(text[at] ?? '')) throw unexpected(text, at, 'in \\u hexadecimal character escape');
      }
    } else if (!ESCAPES.has(text[at] ?? 'x')) throw unexpected(text, at, 'in string escape code');
  }
}

function scanLiteral(text: string, start: number, word: string): number {
  for (let i = 1; i < word.length; i += 1) {
    if (text[start + i] !== word[i]) {
      throw unexpected(text, start + i, `in literal ${word} (expecting '${word[i] ?? ''}')`);
    }
  }
  return start + word.length;
}

function scanNumber(text: string, start: number): number {
  let at = text[start] === '-' ? start + 1 : start;
  if (text[at] === '0') at += 1;
  else at = scanDigits(text, at, 'in numeric literal');
  if (text[at] === '.') at = scanDigits(text, at + 1, 'after decimal point in numeric literal');
  if (text[at] === 'e' || text[at] === 'E') {
    at += 1;
    if (text[at] === '+' || text[at] === '-') at += 1;
    at = scanDigits(text, at, 'in exponent of numeric literal');
  }
  return at;
}

function scanDigits(text: string, start: number, where: string): number {
  let at = start;
  while (/[0-9]/.test(text[at] ?? '')) at += 1;
  if (at === start) throw unexpected(text, at, where);
  return at;
}

function skipSpace(text: string, start: number): number {
  let at = start;
  while (SPACE.test(text[at] ?? '')) at += 1;
  return at;
}

function unexpected(text: string, at: number, where: string): GoSyntaxError {
  const code = text.codePointAt(at);
  if (code === undefined) return new GoSyntaxError('unexpected EOF');
  return new GoSyntaxError(`invalid character ${quote(String.fromCodePoint(code))} ${where}`);
}

/** Go's `quoteChar`. */
function quote(char: string): string {
  if (char === "'") return "'\\''";
  if (char === '"') return "'\"'";
  return `'${JSON.stringify(char).slice(1, -1)}'`;
}
