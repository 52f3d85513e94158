/**
 * Regular expressions as Go reads them (RE2), for patterns that come from clients: Docker's own syntax, and matching takes
 * time in proportion to the text, whatever the pattern. V8's engine can be kept busy for years by a dozen characters, and
 * the whole daemon with it.
 */
import { createRequire } from 'node:module';
import type * as Re2 from 're2js';

/** Plain text, with an anchor at either end or not: nearly all that anybody asks for. */
const PLAIN = /^(\^?)([\w/ :@%,~-]*)(\$?)$/;
/** Longer than any that a person has written. */
const MAX_LENGTH = 4096;

let library: typeof Re2 | null = null;

/** Says whether the expression is found anywhere in a text; null for one that is none. */
export function compileGoRegexp(source: string): ((text: string) => boolean) | null {
  const [isPlain, start = '', words = '', end = ''] = PLAIN.exec(source) ?? [];
  if (isPlain !== undefined) return plain(words, { atStart: start !== '', atEnd: end !== '' });
  if (source.length > MAX_LENGTH) return null;
  // Few ever need it: loaded for the first who does.
  library ??= createRequire(import.meta.url)('re2js') as typeof Re2;
  const { RE2JS, RE2JSException } = library;
  try {
    const compiled = RE2JS.compile(source);
    return (text) => compiled.matcher(text).find();
  } catch (error) {
    if (error instanceof RE2JSException) return null;
    throw error;
  }
}

function plain(
  words: string,
  { atStart, atEnd }: { readonly atStart: boolean; readonly atEnd: boolean },
): (text: string) => boolean {
  if (atStart && atEnd) return (text) => text === words;
  if (atStart) return (text) => text.startsWith(words);
  return atEnd ? (text) => text.endsWith(words) : (text) => text.includes(words);
}
