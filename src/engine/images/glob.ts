import { InvalidArgumentError } from '../../base/errors.ts';

/**
 * Go's `path.Match`: `*` and `?` do not match `/`; `[a-z]`, `[^a]`; `\` quotes. The whole text must match.
 * InvalidArgumentError in Go's words for a malformed pattern.
 */
export function compileGlob(pattern: string): (text: string) => boolean {
  const expression = new RegExp(`^${translate(pattern)}$`, 'su');
  return (text) => expression.test(text);
}

function translate(pattern: string): string {
  const characters = [...pattern];
  let out = '';
  for (let at = 0; at < characters.length; at += 1) {
    const character = characters[at] ?? '';
    if (character === '*') out += '[^/]*';
    else if (character === '?') out += '[^/]';
    else if (character === '[') {
      const { source, end } = translateClass(characters, at);
      out += source;
      at = end;
    } else if (character === '\\') {
      at += 1;
      out += literal(characters[at]);
    } else out += literal(character);
  }
  return out;
}

/** A character class that begins at `start`; `end` is the place of its `]`. */
function translateClass(characters: readonly string[], start: number): { source: string; end: number } {
  let at = start + 1;
  const isNegated = characters[at] === '^';
  if (isNegated) at += 1;
  let ranges = '';
  while (ranges === '' || characters[at] !== ']') {
    const low = classMember(characters, at);
    at = low.next;
    let high = low;
    if (characters[at] === '-') {
      high = classMember(characters, at + 1);
      at = high.next;
    }
    // Go: a range that is upside down matches nothing.
    ranges += low.code > high.code ? '' : `\\u{${low.code.toString(16)}}-\\u{${high.code.toString(16)}}`;
    if (ranges === '') ranges = '\\u{10FFFF}';
  }
  return { source: `[${isNegated ? '^' : ''}${ranges}]`, end: at };
}

function classMember(characters: readonly string[], at: number): { code: number; next: number } {
  const isQuoted = characters[at] === '\\';
  const character = characters[isQuoted ? at + 1 : at];
  const isOpen = character === undefined || (!isQuoted && (character === '-' || character === ']'));
  if (isOpen) throw malformed();
  return { code: character.codePointAt(0) ?? 0, next: at + (isQuoted ? 2 : 1) };
}

function literal(character: string | undefined): string {
  if (character === undefined) throw malformed();
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}

function malformed(): InvalidArgumentError {
  return new InvalidArgumentError('syntax error in pattern');
}
