import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../../src/base/errors.ts';
import { inventName, parseName } from '../../../../../src/engine/containers/create/names.ts';
import { parseSignal } from '../../../../../src/engine/containers/signals.ts';

describe('a name', () => {
  it.each([
    ['box', 'box'],
    ['/box', 'box'],
    ['a1', 'a1'],
    ['A_b.c-d', 'A_b.c-d'],
  ])('%s is %s', (text, name) => {
    expect(parseName(text)).toBe(name);
  });

  it.each(['', '/', 'a', '/a', '-ab', '.ab', '_ab', 'a b', 'a/b', '//ab', 'ab\n', 'äb'])('%j is none', (text) => {
    expect(() => parseName(text)).toThrow(
      new InvalidArgumentError(`Invalid container name (${text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`),
    );
  });

  it('that is invented is a name, and one that nobody has', () => {
    expect(parseName(inventName(() => false))).toMatch(/^[a-z]+_[a-z]+$/);
    const taken = new Set<string>();
    for (let count = 0; count < 200; count++) {
      const name = inventName((candidate) => taken.has(candidate));
      expect(taken.has(name)).toBe(false);
      taken.add(parseName(name));
    }
  });

  it('is found also when all plain ones are taken', () => {
    expect(inventName((candidate) => !/\d$/.test(candidate))).toMatch(/^[a-z]+_[a-z]+\d+$/);
  });
});

describe('a signal', () => {
  it.each([
    ['SIGTERM', 15],
    ['term', 15],
    ['Kill', 9],
    ['9', 9],
    ['64', 64],
    ['SIGRTMIN', 34],
    ['RTMIN+3', 37],
    ['SIGRTMAX-1', 63],
    ['rtmax', 64],
  ])('%s is %i', (text, number) => {
    expect(parseSignal(text)).toBe(number);
  });

  it.each(['', '0', '65', '-1', 'NOPE', 'SIGSIGTERM', 'RTMIN-1', 'RTMAX+1', 'RTMIN+31', '1.5', ' 9', 'toString'])(
    '%j is none',
    (text) => {
      expect(() => parseSignal(text)).toThrow(InvalidArgumentError);
    },
  );

  it('is a number from 1 to 64 or none, whatever is asked', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          const number = parseSignal(text);
          expect(number >= 1 && number <= 64).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidArgumentError);
        }
      }),
    );
  });
});
