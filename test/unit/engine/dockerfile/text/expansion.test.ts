import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../../src/base/errors.ts';
import { expandText, expandWord, expandWords } from '../../../../../src/engine/dockerfile/text/expansion.ts';

const VALUES = new Map([
  ['A', 'hello'],
  ['EMPTY', ''],
  ['PATHS', '/usr/local/bin'],
  ['PORTS', '80  443'],
  ['héllo', 'accent'],
]);

describe('words', () => {
  it.each([
    ['plain', 'plain'],
    ['$A', 'hello'],
    ['${A}x', 'hellox'],
    ['$Ax', ''],
    ['x$A.y', 'xhello.y'],
    ['$héllo', 'accent'],
    ['$', '$'],
    ['a$ b', 'a$ b'],
    ['$1a', 'a'],
    ['\\$A', '$A'],
    ["'$A'", '$A'],
    ['"$A"', 'hello'],
    ['"\\$A"', '$A'],
    ['"a\\b"', 'a\\b'],
    ['"a\\"b"', 'a"b'],
    ['a\\ b', 'a b'],
    ['a"b c"d\'e\'', 'ab cde'],
    ['x\\', 'x'],
    ['${B:-x}', 'x'],
    ['${EMPTY:-x}', 'x'],
    ['${EMPTY-x}', ''],
    ['${B-x}', 'x'],
    ['${A:-x}', 'hello'],
    ['${A:+x}', 'x'],
    ['${EMPTY:+x}', ''],
    ['${EMPTY+x}', 'x'],
    ['${B+x}', ''],
    ['${A:?no}', 'hello'],
    ['${EMPTY?no}', ''],
    ['${B:-${C:-$A}}', 'hello'],
    ['${B:-"a }"}', 'a }'],
    ["${B:-'$A'}", '$A'],
    ['${B:-a\\}b}', 'a}b'],
    ['${PATHS#*/}', 'usr/local/bin'],
    ['${PATHS##*/}', 'bin'],
    ['${PATHS%/*}', '/usr/local'],
    ['${PATHS%%/*}', ''],
    ['${PATHS%?}', '/usr/local/bi'],
    ['${PATHS#x}', '/usr/local/bin'],
    ['${A/l/L}', 'heLlo'],
    ['${A//l/L}', 'heLLo'],
    ['${A//l/}', 'heo'],
    ['${PATHS//\\//_}', '_usr_local_bin'],
    ['${A/$A/x}', 'x'],
    ['${B#x}', ''],
  ])('%s is %s', (word, result) => {
    expect(expandWord(word, VALUES, '\\')).toBe(result);
  });

  it.each([
    ['"a', 'failed to process "\\"a": unexpected end of statement while looking for matching double-quote'],
    ["'a", 'failed to process "\'a": unexpected end of statement while looking for matching single-quote'],
    ['${', 'failed to process "${": syntax error: missing \'}\''],
    ['${A', 'failed to process "${A": syntax error: missing \'}\''],
    ['${A:-x', 'failed to process "${A:-x": syntax error: missing \'}\''],
    ['${}', 'failed to process "${}": syntax error: bad substitution'],
    ['${:x}', 'failed to process "${:x}": syntax error: bad substitution'],
    ['${A^}', 'failed to process "${A^}": unsupported modifier (^) in substitution'],
    ['${A:#x}', 'failed to process "${A:#x}": unsupported modifier (:#) in substitution'],
    ['${A/x}', 'failed to process "${A/x}": syntax error: missing \'/\' in ${}'],
    ['${B?}', 'failed to process "${B?}": B: is not allowed to be unset'],
    ['${EMPTY:?}', 'failed to process "${EMPTY:?}": EMPTY: is not allowed to be empty'],
    ['${B:?give B}', 'failed to process "${B:?give B}": B: give B'],
    ['${A#\\q}', 'failed to process "${A#\\\\q}": invalid pattern (\\q) in substitution: invalid escape \'\\q\''],
  ])('refuses %s', (word, message) => {
    expect(() => expandWord(word, VALUES, '\\')).toThrow(
      expect.objectContaining({ kind: 'invalid-argument', message }),
    );
  });

  it('escape by the file’s sign alone', () => {
    expect(expandWord('C:\\x`$A', VALUES, '`')).toBe('C:\\x$A');
  });

  it('split where values have white space, unless quoted', () => {
    expect(expandWords('$PORTS', VALUES, '\\')).toEqual(['80', '443']);
    expect(expandWords('"$PORTS" x$PORTS-y', VALUES, '\\')).toEqual(['80  443', 'x80', '443-y']);
    expect(expandWords('$EMPTY "" a\\ b', VALUES, '\\')).toEqual(['a b']);
  });

  it('of heredocs keep their quotes', () => {
    expect(expandText('say "$A" it\'s \\$A\n', VALUES)).toBe('say "hello" it\'s $A\n');
  });

  it('end soon, with a text or a sentence, whatever they hold', () => {
    const part = fc.constantFrom('$', '{', '}', ':', '-', '/', '#', '%', '?', '*', '"', "'", '\\', 'A', 'B', ' ', '<');
    fc.assert(
      fc.property(fc.string({ unit: part, maxLength: 40 }), (word) => {
        try {
          expect(expandWord(word, VALUES, '\\')).toBeTypeOf('string');
          expandWords(word, VALUES, '\\');
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidArgumentError);
        }
      }),
    );
  });

  it('grow no further than a limit, nor lie deeper in one another', () => {
    const big = new Map([['X', 'x'.repeat(400_000)]]);
    for (const word of ['$X$X$X', '"$X$X$X"', '${Y:-$X$X$X}']) {
      expect(() => expandWord(word, new Map(big), '\\')).toThrow('the result is longer than 1048576 characters');
    }
    const nested = `${'${A:+'.repeat(5000)}x${'}'.repeat(5000)}`;
    expect(() => expandWord(nested, VALUES, '\\')).toThrow('more than 100 substitutions in one another');
  });
});
