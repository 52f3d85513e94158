/**
 * The patterns of `${x#p}`, `${x%p}` and `${x/p/r}`: `*` is any text of one line, `?` any character of it, `\` takes
 * either's meaning away.
 *
 * Docker makes regular expressions of them, for a machine that never goes back. Ours would (`*a*a*a*b`), so the match is
 * computed: for every place of the pattern, from its end, where the text's tail that begins at each place would end. One
 * row needs the row behind it only: time is pattern times text, memory is the text.
 */

/** What one word may become: `ENV A=$A$A` again and again would fill the memory. */
export const LONGEST = 1024 * 1024;

/** Steps a single substitution may take: some tens of milliseconds. */
const MOST_STEPS = 8e6;

type Token = 'any' | 'one' | { readonly character: string };

const NO_MATCH = -1;

/** `text` without what `pattern` matches at its beginning. SyntaxError for what is no pattern. */
export function withoutPrefix(text: string, pattern: string, isLongest: boolean): string {
  return stripped([...text], tokensOf(pattern), isLongest).join('');
}

/** `text` without what `pattern` matches at its end. */
export function withoutSuffix(text: string, pattern: string, isLongest: boolean): string {
  const tokens = tokensOf(pattern).toReversed();
  return stripped([...text].reverse(), tokens, isLongest)
    .reverse()
    .join('');
}

/** `text` with `replacement` for the first, or every, longest match. */
export function withReplaced(text: string, pattern: string, replacement: string, isEvery: boolean): string {
  const characters = [...text];
  const ends = matchEnds(characters, tokensOf(pattern), true);
  let out = '';
  let from = 0;
  for (let at = 0; at <= characters.length;) {
    const end = ends[at] ?? NO_MATCH;
    // Nothing at all is no match right behind a match.
    if (end === NO_MATCH || (end === at && at === from && at > 0)) {
      at += 1;
      continue;
    }
    out += characters.slice(from, at).join('') + replacement;
    if (out.length > LONGEST) throw new SyntaxError(`the result is longer than ${String(LONGEST)} characters`);
    from = end;
    if (!isEvery) break;
    at = Math.max(end, at + 1);
  }
  return out + characters.slice(from).join('');
}

function stripped(characters: readonly string[], tokens: readonly Token[], isLongest: boolean): string[] {
  const end = matchEnds(characters, tokens, isLongest)[0] ?? NO_MATCH;
  return characters.slice(Math.max(end, 0));
}

/** For each place of the text: where a match that begins there ends. */
function matchEnds(text: readonly string[], tokens: readonly Token[], isGreedy: boolean): Int32Array {
  if ((text.length + 1) * (tokens.length + 1) > MOST_STEPS) throw new SyntaxError('value and pattern are too long');
  let behind = Int32Array.from({ length: text.length + 1 }, (_, at) => at);
  for (const token of tokens.toReversed()) {
    const row = new Int32Array(text.length + 1).fill(NO_MATCH);
    for (let at = text.length; at >= 0; at -= 1) {
      const character = text[at];
      const stop = behind[at] ?? NO_MATCH;
      const isOneLine = character !== undefined && character !== '\n';
      if (token === 'any') {
        const longer = isOneLine ? (row[at + 1] ?? NO_MATCH) : NO_MATCH;
        const [first, second] = isGreedy ? [longer, stop] : [stop, longer];
        row[at] = first === NO_MATCH ? second : first;
      } else if (token === 'one' ? isOneLine : character === token.character) row[at] = behind[at + 1] ?? NO_MATCH;
    }
    behind = row;
  }
  return behind;
}

function tokensOf(pattern: string): readonly Token[] {
  const tokens: Token[] = [];
  const characters = [...pattern];
  for (let at = 0; at < characters.length; at += 1) {
    let character = characters[at] ?? '';
    if (character === '*') tokens.push('any');
    else if (character === '?') tokens.push('one');
    else {
      if (character === '\\') {
        at += 1;
        character = characters[at] ?? '';
        if (!['*', '?', '\\', '}', '/'].includes(character)) {
          throw new SyntaxError(`invalid pattern (${pattern}) in substitution: invalid escape '\\${character}'`);
        }
      }
      tokens.push({ character });
    }
  }
  return tokens;
}
