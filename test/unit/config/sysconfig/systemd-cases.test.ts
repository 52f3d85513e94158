import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { joinWords, parseSysconfig, splitWords } from '../../../../src/config/sysconfig.ts';
import { ENVIRONMENT_FILE_CASES, WORDS_CASES } from '../../../support/sysconfig-cases.ts';

describe('a sysconfig file is read as systemd reads it', () => {
  it.each(ENVIRONMENT_FILE_CASES)('$name', ({ file, environment }) => {
    const { variables, problems } = parseSysconfig(Buffer.from(file, 'latin1'));
    expect(Object.fromEntries([...variables].map(([name, { value }]) => [name, value]))).toEqual(environment ?? {});
    expect(problems.some(({ code }) => code === 'nul-byte' || code === 'invalid-utf8')).toBe(environment === null);
  });

  it.each(ENVIRONMENT_FILE_CASES.filter(({ before254 }) => before254 !== undefined))(
    'tells where older versions differ: $name',
    ({ file }) => {
      expect(parseSysconfig(Buffer.from(file)).problems.map(({ code }) => code)).toContain('comment-continuation');
    },
  );

  it('never fails, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(parseSysconfig(bytes).problems.every(({ line }) => line >= 1)).toBe(true);
      }),
    );
  });
});

describe('the words of $DOCKER_OPTS', () => {
  it.each(WORDS_CASES)('$name', ({ value, words, open }) => {
    const split = splitWords(value);
    expect(split.words).toEqual(words);
    expect(split.open !== null).toBe(open === true);
  });

  it('joins so that it splits into the same words', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' })), (words) => {
        expect(splitWords(joinWords(words))).toEqual({ words, open: null });
      }),
    );
  });
});
