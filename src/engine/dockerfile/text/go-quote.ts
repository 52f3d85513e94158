/** What Go's `%q` leaves as it is: letters, marks, digits, punctuation, symbols and the blank. */
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

const LONGEST_SHOWN = 500;

const SHORT: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
};

/** Go's `%q` of a text, as Docker's messages and `created_by` have it. */
export function goQuote(text: string): string {
  return `"${escaped(text, '"')}"`;
}

/** The same for messages, which nobody reads to the end of a long text. */
export function goQuoteShort(text: string): string {
  return text.length <= LONGEST_SHOWN ? goQuote(text) : `${goQuote(text.slice(0, LONGEST_SHOWN))}...`;
}

/** Go's `%q` of a number: the character with that code. */
export function goQuoteRune(code: number): string {
  const isCharacter = code <= 0x10_ffff && (code < 0xd800 || code > 0xdfff);
  return `'${escaped(isCharacter ? String.fromCodePoint(code) : '\ufffd', "'")}'`;
}

/** Go's `%q` of a list: `["a" "b c"]`. */
export function goQuoteAll(words: readonly string[]): string {
  return `[${words.map(goQuote).join(' ')}]`;
}

function escaped(text: string, quote: string): string {
  let out = '';
  for (const character of text) {
    if (character === quote) out += `\\${quote}`;
    else out += SHORT[character] ?? (PRINTABLE.test(character) ? character : byCode(character));
  }
  return out;
}

function byCode(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x80) return `\\x${hex(code, 2)}`;
  return code > 0xffff ? `\\U${hex(code, 8)}` : `\\u${hex(code, 4)}`;
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}
