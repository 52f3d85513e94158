import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
import { parseMode } from '../../../../src/engine/storage/file-modes.ts';

describe('modes of --chmod', () => {
  const change = (text: string, mode: number, isDirectory = false): string =>
    parseMode(text)({ mode, isDirectory }).toString(8);

  it.each([
    ['755', 0o600, '755'],
    ['4755', 0o600, '4755'],
    ['u=rwx,go=rx', 0o000, '755'],
    ['a+x', 0o644, '755'],
    ['+x', 0o644, '755'],
    ['go-rwx', 0o777, '700'],
    ['u+x,g-w', 0o664, '744'],
    ['g=u', 0o740, '770'],
    ['o=g', 0o750, '755'],
    ['u=', 0o755, '55'],
    ['a=rX', 0o600, '444'],
    ['a=rX', 0o700, '555'],
    ['u+s', 0o755, '4755'],
    ['g+s', 0o755, '2755'],
    ['+t', 0o777, '1777'],
    ['u+r-w', 0o200, '400'],
  ])('%s of %i', (text, mode, expected) => {
    expect(change(text, mode)).toBe(expected);
  });

  it('lets directories be searched where a file is not run', () => {
    expect(change('go=rX', 0o600)).toBe('644');
    expect(change('go=rX', 0o600, true)).toBe('655');
  });

  it.each(['', 'x', '8', '999', '77777', 'u', 'u+z', 'u=rw,', 'rwx', '0x1ff', '755 '])('refuses %j', (text) => {
    expect(() => parseMode(text)).toThrow(
      new InvalidArgumentError(`invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`),
    );
  });

  it('gives permission bits and nothing else, whatever it is given', () => {
    const letters = fc.stringMatching(/^[ugoa+=,rwxXst-]{0,12}$/);
    fc.assert(
      fc.property(letters, fc.integer({ min: 0, max: 0o7777 }), fc.boolean(), (text, mode, isDirectory) => {
        let result: number;
        try {
          result = parseMode(text)({ mode, isDirectory });
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidArgumentError);
          return;
        }
        expect(result).toBeGreaterThanOrEqual(0);
        expect(result).toBeLessThanOrEqual(0o7777);
      }),
    );
  });
});
