/** How the words of an instruction are taken apart: by the rules of Docker's line parser, one function for each form. */
import { InvalidArgumentError } from '../../../base/errors.ts';

const SPACE = /\s/;
/** White space between words; a line feed is none, for it can only come from a heredoc. */
const BLANKS = /[\t\v\f\r ]+/;

/** Without the characters at its end that are among these. An expression would try at each of them anew (`\r\r\r…x`). */
export function withoutEnd(text: string, characters: string): string {
  let end = text.length;
  while (end > 0 && characters.includes(text.charAt(end - 1))) end -= 1;
  return text.slice(0, end);
}

/** Splits at white space outside quotes, keeping quotes and escapes as they are. */
export function splitWords(text: string, escape: string): readonly string[] {
  const words: string[] = [];
  let word = '';
  let quote = '';
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (quote === '' && SPACE.test(character)) {
      if (word !== '') words.push(word);
      word = '';
      continue;
    }
    if (character === escape && quote !== "'") {
      // An escape that ends the text is dropped.
      if (at + 1 === text.length) break;
      at += 1;
      word += character + text.charAt(at);
      continue;
    }
    word += character;
    if (quote === '' && (character === '"' || character === "'")) quote = character;
    else if (character === quote) quote = '';
  }
  if (word !== '') words.push(word);
  return words;
}

/** Splits at white space, quoted or not. */
export function splitBlanks(text: string): readonly string[] {
  return text === '' ? [] : text.split(BLANKS);
}

/** The first word and what follows it. */
export function splitFirst(text: string): readonly [first: string, rest: string | null] {
  const match = BLANKS.exec(text);
  if (match === null) return [text, null];
  return [text.slice(0, match.index), text.slice(match.index + match[0].length)];
}

/** Takes `--name[=value]` words off the front; `--` alone ends them. Quotes and escapes inside them are resolved. */
export function splitFlags(text: string, escape: string): { readonly flags: readonly string[]; readonly rest: string } {
  const flags: string[] = [];
  let at = 0;
  for (;;) {
    while (at < text.length && SPACE.test(text.charAt(at))) at += 1;
    if (!text.startsWith('--', at)) return { flags, rest: text.slice(at).trim() };
    const { word, end } = readFlag(text, at, escape);
    at = end;
    if (word === '--') return { flags, rest: text.slice(at).trim() };
    flags.push(word);
  }
}

function readFlag(text: string, from: number, escape: string): { readonly word: string; readonly end: number } {
  let word = '';
  let quote = '';
  let at = from;
  for (; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (quote === '' && SPACE.test(character)) break;
    if (character === quote) quote = '';
    else if (quote === '' && (character === '"' || character === "'")) quote = character;
    else if (character === escape) {
      at += 1;
      word += text.charAt(at);
    } else word += character;
  }
  return { word, end: Math.min(at, text.length) };
}

/** The strings of a JSON array; null when the text is not JSON. InvalidArgumentError for an array of other things. */
export function parseJsonForm(text: string): readonly string[] | null {
  if (!text.startsWith('[')) return null;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(json)) return null;
  const items: readonly unknown[] = json;
  if (!items.every((item) => typeof item === 'string')) {
    throw new InvalidArgumentError('when using JSON array syntax, arrays must be comprised of strings only');
  }
  return items.map((item) => item.toWellFormed());
}

/** The fields of one line of comma separated values: `type=bind,"source=a,b"`. InvalidArgumentError as Go's reader says. */
export function csvFields(text: string): readonly string[] {
  const fields: string[] = [];
  for (let at = 0; ; at += 1) {
    if (text.charAt(at) === '"') {
      const { field, end } = quotedField(text, at);
      fields.push(field);
      at = end;
    } else {
      const comma = text.indexOf(',', at);
      const field = text.slice(at, comma < 0 ? undefined : comma);
      const quote = field.indexOf('"');
      if (quote >= 0) throw csvFault(at + quote, 'bare " in non-quoted-field');
      fields.push(field);
      at = comma < 0 ? text.length : comma;
    }
    if (at >= text.length) return fields;
  }
}

function quotedField(text: string, from: number): { readonly field: string; readonly end: number } {
  let field = '';
  for (let at = from + 1; ;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) throw csvFault(text.length, 'extraneous or missing " in quoted-field');
    field += text.slice(at, quote);
    const after = text.charAt(quote + 1);
    if (after === '' || after === ',') return { field, end: quote + 1 };
    if (after !== '"') throw csvFault(quote, 'extraneous or missing " in quoted-field');
    field += '"';
    at = quote + 2;
  }
}

function csvFault(at: number, what: string): InvalidArgumentError {
  return new InvalidArgumentError(
    `failed to parse csv mounts: parse error on line 1, column ${String(at + 1)}: ${what}`,
  );
}
