/** The words of a variable's value, and what was odd about it. */
export interface SplitWords {
  readonly words: readonly string[];
  /** What the value ends in the midst of: a quote, a backslash, or nothing. */
  readonly open: '"' | "'" | '\\' | null;
}

/**
 * Splits a value as systemd splits `$DOCKER_OPTS` where it is a word of its own in ExecStart (extract-word.c with
 * EXTRACT_RELAX and EXTRACT_UNQUOTE): at blanks, tabs and line ends; quotes hold words together and go away; a backslash
 * takes the next character as it is, in either kind of quotes as well. No C escapes (those belong to unit files), no
 * variables, no specifiers, no comments. What is open at the end counts as closed there.
 */
export function splitWords(value: string): SplitWords {
  const words: string[] = [];
  let word: string | null = null;
  let quote: '"' | "'" | null = null;
  for (let at = 0; at < value.length; at += 1) {
    const character = value[at] ?? '';
    if (character === '\\') {
      at += 1;
      if (at >= value.length) return { words: [...words, word ?? ''], open: '\\' };
      word = (word ?? '') + (value[at] ?? '');
    } else if (quote !== null) {
      if (character === quote) quote = null;
      else word = (word ?? '') + character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= '';
    } else if (SEPARATORS.has(character)) {
      if (word !== null) words.push(word);
      word = null;
    } else {
      word = (word ?? '') + character;
    }
  }
  if (word !== null) words.push(word);
  return { words, open: quote };
}

/**
 * The inverse: a text that systemd and a shell split into these words again. Plain where it can be, else in single
 * quotes, else in double quotes with backslashes.
 */
export function joinWords(words: readonly string[]): string {
  return words.map(quoteWord).join(' ');
}

const SEPARATORS = new Set([' ', '\t', '\n', '\r']);
const PLAIN = /^[A-Za-z0-9_@%+=:,./\u0080-\u{10ffff}-]+$/u;

function quoteWord(word: string): string {
  if (PLAIN.test(word)) return word;
  if (!/['\\]/.test(word)) return `'${word}'`;
  return `"${word.replace(/["\\$`]/g, String.raw`\$&`)}"`;
}
