import { InvalidArgumentError } from './errors.ts';

/** Says whether one character may stand there; null is a `*`. */
type Step = ((character: string) => boolean) | null;

/**
 * Go's `path.Match`: `*` and `?` do not match `/`; `[a-z]`, `[^a]`; `\` quotes. The whole text must match.
 * InvalidArgumentError in Go's words for a malformed pattern.
 */
export function compileGlob(pattern: string): (text: string) => boolean {
  const steps = stepsOf(pattern);
  return (text) => walk(steps, [...text]);
}

/** As Go does it: only the last star is tried again. A regular expression would try all of them, for years. */
function walk(steps: readonly Step[], text: readonly string[]): boolean {
  let at = 0;
  let step = 0;
  let star: { readonly next: number; from: number } | null = null;
  while (at < text.length || step < steps.length) {
    const allows = steps[step];
    if (allows === null) {
      step += 1;
      star = { next: step, from: at };
    } else if (allows?.(text[at] ?? '') === true) {
      at += 1;
      step += 1;
    } else {
      if (star === null || star.from >= text.length || text[star.from] === '/') return false;
      star.from += 1;
      at = star.from;
      step = star.next;
    }
  }
  return true;
}

function stepsOf(pattern: string): readonly Step[] {
  const characters = [...pattern];
  const steps: Step[] = [];
  for (let at = 0; at < characters.length; at += 1) {
    const character = characters[at] ?? '';
    if (character === '*') steps.push(null);
    else if (character === '?') steps.push((one) => one !== '/' && one !== '');
    else if (character === '[') {
      const { source, end } = translateClass(characters, at);
      const expression = new RegExp(`^${source}$`, 'su');
      steps.push((one) => expression.test(one));
      at = end;
    } else {
      const literal = character === '\\' ? characters[(at += 1)] : character;
      if (literal === undefined) throw malformed();
      steps.push((one) => one === literal);
    }
  }
  return steps;
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

function malformed(): InvalidArgumentError {
  return new InvalidArgumentError('syntax error in pattern');
}
