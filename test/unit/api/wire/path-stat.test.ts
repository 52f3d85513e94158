import { describe, expect, it } from 'vitest';
import { goFileMode, pathStatHeader } from '../../../../src/api/wire/path-stat.ts';

describe('the header of a path', () => {
  it.each([
    [0o100644, 0o644],
    [0o040755, 2 ** 31 + 0o755],
    [0o120777, 2 ** 27 + 0o777],
    [0o104755, 2 ** 23 + 0o755],
    [0o102755, 2 ** 22 + 0o755],
    [0o041777, 2 ** 31 + 2 ** 20 + 0o777],
    [0o020666, 2 ** 26 + 2 ** 21 + 0o666],
    [0o060660, 2 ** 26 + 0o660],
    [0o010644, 2 ** 25 + 0o644],
    [0o140755, 2 ** 24 + 0o755],
  ])('has Go’s bits for %o', (mode, expected) => {
    expect(goFileMode(mode)).toBe(expected);
  });

  it('is JSON in standard base64, with padding', () => {
    const stat = { name: 'ü', sizeBytes: 5, mode: 0o100600, mtimeNs: '1500000000', linkTarget: '' };
    const text = pathStatHeader(stat);
    expect(text.length % 4).toBe(0);
    expect(Buffer.from(text, 'base64').toString()).toBe(
      '{"name":"ü","size":5,"mode":384,"mtime":"1970-01-01T00:00:01.5Z","linkTarget":""}',
    );
  });
});
